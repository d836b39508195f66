"""Lanes that differ in more than beta, latent size and seed: told apart in every picture."""

import itertools

import numpy as np
import pytest
from figure_data import (
  assert_nothing_overlaps,
  grid,
  heading,
  lane,
  latents_of,
  legend_words,
  lines_by_label,
  losses_of,
  metrics_of,
  nll_curve_of,
  shades,
  thick_lines,
  with_fields,
)

from vae_jax import figures
from vae_jax.figures import points, style

pytestmark = pytest.mark.run

WARMUPS = ('constant', 'linear')
BETAS, SIZES = (0.5, 1.0, 4.0), (2, 8)


def warmed(rows):
  """Returns the rows with a constant warm-up and those with a linear one, which add 20 nats."""
  both = []
  for warmup, row in itertools.product(WARMUPS, rows):
    extra = 20 * WARMUPS.index(warmup)
    values = {name: row[name] + extra for name in ('test/rate', 'test/elbo')}
    name = f'{row["name"]}-{warmup}'
    fields = with_fields(row, learning_rate=1e-3, warmup=warmup, free_bits=None)
    both.append(fields | values | {'lane': len(both), 'name': name})
  return both


def draw(name, rows):
  """Draws one of the pictures that have a panel per latent size."""
  tables = {
    'learning_curves': metrics_of,
    'loss_curves': losses_of,
    'latents': latents_of,
    'nll_curve': nll_curve_of,
  }
  return getattr(figures, name)(tables[name](rows), rows, 'digits')


def test_rate_distortion_has_a_line_per_latent_size_and_variant():
  figure = figures.rate_distortion(warmed(grid()))
  lines = lines_by_label(figure.axes[0])
  assert list(lines) == ['2, constant', '2, linear', '8, constant', '8, linear']
  for label, line in lines.items():
    size, warmup = label.split(', ')
    rates = [100 + int(size) - 10 * b + 0.5 + 20 * (warmup == 'linear') for b in BETAS]
    np.testing.assert_allclose(line.get_xdata(), rates)
  constant, linear = (lines[f'2, {name}'] for name in WARMUPS)
  assert constant.get_color() == linear.get_color()
  assert constant.get_linestyle() == '-' and linear.get_linestyle() == '--'
  words = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
  assert words[:7] == ['latent size', '2', '8', 'β', '0.5', '1', '4']
  assert words[7:10] == ['warmup', 'constant', 'linear']
  assert 'mean over 2 seeds' in heading(figure)


def test_the_heat_map_has_a_row_per_setting():
  figure = figures.elbo_heatmap(warmed(grid()))
  figure.draw_without_rendering()
  axes = figure.axes[0]
  labels = [f'{beta:g}, {warmup}' for beta in BETAS for warmup in WARMUPS]
  assert [tick.get_text() for tick in axes.get_yticklabels()] == labels
  assert axes.get_ylabel() == 'β,\nwarmup'
  read = {text.get_position(): text.get_text() for text in axes.texts}
  assert len(read) == 12
  for (column, row), text in read.items():
    elbo = -(150 + SIZES[column] - 8 * BETAS[row // 2]) - 1 + 20 * (row % 2)
    assert text == f'−{-elbo:.1f}'
  width = axes.get_window_extent().width / 2
  assert all(text.get_window_extent().width < width for text in axes.texts)


@pytest.mark.parametrize('name', ['learning_curves', 'loss_curves', 'latents', 'nll_curve'])
def test_panels_have_a_colour_per_beta_and_a_dash_per_variant(name):
  rows = warmed(grid())
  figure = draw(name, rows)
  assert_nothing_overlaps(figure)
  for axes in figure.axes:
    lines = thick_lines(axes)
    assert [line.get_linestyle() for line in lines] == ['-'] * 3 + ['--'] * 3
    colours = [line.get_color() for line in lines]
    assert colours[:3] == colours[3:] and len(set(colours)) == 3
  words = legend_words(figure)
  assert words[:7] == ['β', '0.5', '1', '4', 'warmup', 'constant', 'linear']
  assert 'mean over 2 seeds' in heading(figure)


@pytest.mark.parametrize(('name', 'extra'), [('learning_curves', 20), ('nll_curve', 20)])
def test_the_mean_of_one_variant_has_nothing_of_the_other(name, extra):
  (axes, *_) = draw(name, warmed(grid(betas=(1.0,)))).axes
  constant, linear = (line.get_ydata()[-1] for line in thick_lines(axes))
  assert linear - constant == pytest.approx(extra)
  assert constant == pytest.approx(-145.0 + 6 * (name == 'nll_curve'))


def test_where_beta_is_constant_another_field_has_the_colours():
  rows = grid(betas=(1.0,), latent_sizes=(2,), learning_rates=(1e-2, 1e-4, 1e-3))
  figure = draw('learning_curves', rows)
  assert legend_words(figure)[:4] == ['learning rate', '0.0001', '0.001', '0.01']
  assert [line.get_linestyle() for line in thick_lines(figure.axes[0])] == ['-'] * 3
  assert figures.elbo_heatmap(rows).axes[0].get_ylabel() == 'learning rate'
  (line,) = lines_by_label(figures.rate_distortion(rows).axes[0]).values()
  assert len(line.get_xdata()) == 3


def test_more_variants_than_line_styles_get_colours_of_their_own():
  rates = [10.0**-i for i in range(6)]
  rows = grid(betas=(1.0, 4.0), latent_sizes=(2,), seeds=(0,), learning_rates=rates)
  figure = draw('learning_curves', rows)
  lines = thick_lines(figure.axes[0])
  assert len({line.get_color() for line in lines}) == len(lines) == 12
  assert legend_words(figure)[:2] == ['β, learning rate', '1, 0.00001']
  # Settings that are no row of numbers are not joined.
  tradeoff = figures.rate_distortion(rows)
  (line,) = lines_by_label(tradeoff.axes[0]).values()
  assert line.get_linestyle() == 'None' and len(line.get_xdata()) == 12


def test_settings_beside_the_points_do_not_touch():
  rates = [10.0**-i for i in range(7)]
  rows = grid(betas=(0.5, 1.0, 4.0), latent_sizes=(2,), seeds=(0,), learning_rates=rates)
  for row in rows:
    row['test/rate'] += 3 * rates.index(row['learning_rate'])
  figure = figures.rate_distortion(rows)
  figure.draw_without_rendering()
  texts = [text for text in figure.axes[0].texts if text.get_ha() == 'right']
  boxes = [text.get_window_extent() for text in texts]
  assert len(texts) > 3
  assert not any(a.overlaps(b) for a, b in itertools.combinations(boxes, 2))


def test_pictures_of_images_show_both_variants():
  rows = warmed(grid(betas=(1.0,), seeds=(0,)))
  figure = figures.samples(shades(len(rows))[1], rows)
  labels = [tick.get_text().split('\n')[0] for tick in figure.axes[0].get_yticklabels()]
  assert sorted(labels) == sorted(row['name'] for row in rows)


# The settings themselves


def swept(**columns):
  """Returns the sweep of lanes whose further fields are these columns; beta is 1 by default."""
  size = max(map(len, columns.values()))
  columns = {'beta': (1.0,) * size} | columns
  rows = [
    with_fields(lane(i, 1.0, 2), **{name: column[i] for name, column in columns.items()})
    for i in range(size)
  ]
  return points.sweep(rows)


@pytest.mark.parametrize(
  ('columns', 'fields', 'dashed'),
  [
    ({'seed': (0, 1), 'latent_size': (2, 8)}, ('beta',), ()),
    ({'beta': (1.0, 2.0)}, ('beta',), ()),
    ({'capacity': (0.0, 5.0)}, ('capacity',), ()),
    ({'beta': (1.0, 1.0, 2.0, 2.0), 'capacity': (0.0, 5.0, 0.0, 5.0)}, ('beta',), ('capacity',)),
    # What follows from the first field stands beside it.
    ({'warmup': ('constant', 'linear'), 'warmup_steps': (0, 100)}, ('warmup', 'warmup_steps'), ()),
    ({'beta': (1.0, 2.0), 'seed': (0, 1), 'free_bits': (0.5, 0.1)}, ('beta', 'free_bits'), ()),
    (
      {'beta': (1.0, 1.0, 2.0), 'warmup': ('a', 'b', 'b'), 'warmup_steps': (0, 1, 1)},
      ('beta',),
      ('warmup', 'warmup_steps'),
    ),
    ({'beta': (1.0,) * 6 + (2.0,), 'capacity': (1, 2, 3, 4, 5, 6, 6)}, ('beta', 'capacity'), ()),
  ],
)
def test_which_fields_tell_the_lanes_apart(columns, fields, dashed):
  found = swept(**columns)
  assert (found.fields, found.dashed) == (fields, dashed)
  if not dashed:
    assert found.dashes == {(): '-'}


def test_settings_are_in_order_also_with_gaps_and_text():
  columns = {'beta': (2.0, 1.0, 10.0, 1.0), 'warmup': ('linear', None, None, 'cosine')}
  found = swept(**columns)
  assert found.settings == [(1.0,), (2.0,), (10.0,)]
  assert list(found.dashes) == [(None,), ('cosine',), ('linear',)]
  assert len(set(map(str, found.dashes.values()))) == 3


@pytest.mark.parametrize(
  ('values', 'words'),
  [
    ((0.5,), '0.5'),
    ((1e-5, 'linear'), '0.00001, linear'),
    ((None, 123456), 'none, 123456'),
    ((), ''),
  ],
)
def test_labels_of_settings(values, words):
  assert points.label(values) == words


def test_every_lane_is_in_one_cell_with_those_that_differ_in_their_seed_alone():
  rows = warmed(grid(learning_rates=(1e-4, 1e-3)))
  for row, (rate, _) in zip(rows, itertools.cycle(((1e-4, 0), (1e-3, 1))), strict=False):
    row['learning_rate'] = rate
  cells = points.cells(rows)
  assert sorted(row['lane'] for cell in cells for row in cell.lanes) == list(range(len(rows)))
  for cell in cells:
    assert [row['seed'] for row in cell.lanes] == [0, 1]
    fields = [name for name in points.lane_fields(rows) if name != 'seed']
    assert len({points.pick(row, fields) for row in cell.lanes}) == 1
  assert points.cells([]) == []
  assert len(style.DASHES) == len(set(map(str, style.DASHES)))
