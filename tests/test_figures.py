"""The pictures, read back: what is drawn is what stands in the rows."""

import itertools
import json

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from vae_jax import errors, figures, tracking
from vae_jax.figures import style

FIELDS = ('beta', 'latent_size', 'seed', 'learning_rate')


def lane(index, beta, latent_size, seed=0, learning_rate=1e-3, **changes):
  """Returns a row with rate and distortion known: 100 + z - 10 beta + seed, 50 + 2 beta + seed."""
  rate, distortion = 100 + latent_size - 10 * beta + seed, 50 + 2 * beta + seed
  return {
    'lane': index,
    'name': f'beta{beta:g}_z{latent_size}_s{seed}_lr{learning_rate:g}',
    'status': 'done',
    'step': 100,
    'beta': beta,
    'latent_size': latent_size,
    'seed': seed,
    'learning_rate': learning_rate,
    'test/elbo': -rate - distortion,
    'test/rate': rate,
    'test/distortion': distortion,
    'seconds': 1.5,
    **changes,
  }


def grid(betas=(0.5, 1.0, 4.0), latent_sizes=(2, 8), seeds=(0, 1), learning_rates=(1e-3,)):
  points = itertools.product(betas, latent_sizes, seeds, learning_rates)
  return [lane(i, *point) for i, point in enumerate(points)]


def metrics_of(rows, steps=(0, 50, 100)):
  """Returns log lines in which a lane's test ELBO at step s is its final one minus (100 - s)."""
  return [
    {
      'lane': row['lane'],
      'step': step,
      'test/elbo': row['test/elbo'] - 100 + step,
      'batch/elbo': row['test/elbo'] - 99 + step,
    }
    for step in steps
    for row in rows
  ]


def lines_by_label(axes):
  return {line.get_label(): line for line in axes.lines if not line.get_label().startswith('_')}


def heading(figure):
  return figure.get_suptitle().replace('\n', ' ')


def overlap(first, second):
  """Says whether two drawn things share more than a pixel."""
  a, b = first.get_window_extent(), second.get_window_extent()
  return min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1


# Rate and distortion


def test_rate_distortion_lines_are_the_means_over_seeds_in_the_order_of_beta():
  rows = grid(betas=(4.0, 0.5, 1.0))
  axes = figures.rate_distortion(rows, 'digits').axes[0]
  lines = lines_by_label(axes)
  assert list(lines) == ['2', '8']
  for latent_size, line in lines.items():
    # Seeds 0 and 1 add 0 and 1 nat: their mean adds a half.
    expected = [(100 + int(latent_size) - 10 * b + 0.5, 50 + 2 * b + 0.5) for b in (0.5, 1.0, 4.0)]
    np.testing.assert_allclose(line.get_xydata(), expected)


def test_rate_distortion_dots_are_the_lanes():
  rows = grid()
  axes = figures.rate_distortion(rows).axes[0]
  dots = np.concatenate([c.get_offsets() for c in axes.collections if c.get_sizes()[0] < 10])
  expected = [(row['test/rate'], row['test/distortion']) for row in rows]
  assert sorted(map(tuple, dots)) == sorted(expected)


def test_rate_distortion_diagonals_have_the_elbo_that_they_are_labelled_with():
  axes = figures.rate_distortion(grid()).axes[0]
  diagonals = [line for line in axes.lines if line.get_label().startswith('_')]
  totals = [np.sum(line.get_xydata(), axis=1) for line in diagonals]
  for total in totals:
    np.testing.assert_allclose(total, total[0])
  elbos = {round(-total[0], 6) for total in totals}
  assert len(axes.texts) >= 3
  for text in axes.texts:
    elbo = float(text.get_text().replace('−', '-'))
    assert elbo in elbos
    np.testing.assert_allclose(np.sum(text.xy), -elbo)


def test_rate_distortion_names_units_and_everything_in_a_legend_beside_the_axes():
  # A distortion that spans more than the rate: diagonals leave the frame at the right too.
  rows = [dict(row, **{'test/distortion': 50 + 40 * row['beta']}) for row in grid()]
  figure = figures.rate_distortion(rows, 'digits')
  figure.canvas.draw()
  axes = figure.axes[0]
  assert 'nats' in axes.get_xlabel() and 'rate' in axes.get_xlabel()
  assert 'nats' in axes.get_ylabel() and 'distortion' in axes.get_ylabel()
  assert heading(figure) == 'digits: rate and distortion on the test set mean over 2 seeds'
  words = [text.get_text() for text in axes.get_legend().get_texts()]
  assert words[:7] == ['latent size', '2', '8', 'β', '0.5', '1', '4']
  left = axes.get_legend().get_window_extent().x0
  assert left >= axes.get_window_extent().x1
  ends = [text.get_window_extent().x1 for text in axes.texts]
  assert axes.get_window_extent().x1 < max(ends) <= left


def test_rate_distortion_of_one_lane_is_a_point():
  figure = figures.rate_distortion([lane(0, 1.0, 16)])
  axes = figure.axes[0]
  np.testing.assert_array_equal(lines_by_label(axes)['16'].get_xydata(), [(106.0, 52.0)])
  assert 'mean' not in heading(figure)
  assert axes.get_xlim()[0] < 106 < axes.get_xlim()[1]


@pytest.mark.parametrize('status', ['diverged', 'failed'])
def test_a_lost_lane_is_in_no_mean_even_if_it_has_values(status):
  rows = grid(betas=(1.0,), latent_sizes=(2, 8))
  rows[0].update({'status': status, 'test/rate': 1e6, 'test/elbo': -1e6})
  figure = figures.rate_distortion(rows)
  np.testing.assert_allclose(lines_by_label(figure.axes[0])['2'].get_xydata(), [(93.0, 53.0)])
  assert f'1 of 4 lanes {status}' in heading(figure)
  assert cell_texts(figures.elbo_heatmap(rows))[(0, 0)] == '−146.0*'


def test_beta_zero_does_not_press_the_others_into_a_corner():
  rows = grid(betas=(0.0, 0.5, 1.0, 4.0), seeds=(0,))
  for row in rows:
    if row['beta'] == 0:
      row.update({'test/rate': 5000.0, 'test/elbo': -5050.0})
  figure = figures.rate_distortion(rows)
  axes = figure.axes[0]
  assert lines_by_label(axes)['2'].get_xdata()[0] == 5000.0
  assert axes.get_xlim()[1] < 150
  assert '2 of 8 points outside the frame (β = 0, rate 5000 nats)' in heading(figure)
  near = figures.rate_distortion(grid(betas=(0.0, 0.5, 1.0, 4.0)))
  assert 'outside' not in heading(near)
  assert near.axes[0].get_xlim()[1] > 108
  heat = figures.elbo_heatmap(rows)
  mesh = next(c for c in heat.axes[0].collections if isinstance(c, QuadMesh))
  assert mesh.norm.vmin > -200
  assert mesh.colorbar.extend == 'min'


def test_more_betas_than_shapes_are_written_beside_the_points():
  betas = tuple(np.linspace(0.0, 8.0, 17))
  axes = figures.rate_distortion(grid(betas=betas, latent_sizes=(2, 32), seeds=(0,))).axes[0]
  assert [text.get_text() for text in axes.get_legend().get_texts()][:3] == [
    'latent size',
    '2',
    '32',
  ]
  written = {
    float(t.get_text().removeprefix('β = ')): t.xy for t in axes.texts if t.get_ha() == 'right'
  }
  assert len(written) >= 5
  for beta, point in written.items():
    np.testing.assert_allclose(point, (132 - 10 * beta, 50 + 2 * beta))


# The heat map


def cell_texts(figure):
  return {text.get_position(): text.get_text() for text in figure.axes[0].texts}


def test_heatmap_writes_the_mean_of_each_cell():
  rows = grid(betas=(4.0, 0.5, 1.0), latent_sizes=(8, 2))
  figure = figures.elbo_heatmap(rows, 'digits')
  axes = figure.axes[0]
  expected = {
    (column, row): f'−{150 + z - 8 * beta + 1:.1f}'
    for column, z in enumerate((2, 8))
    for row, beta in enumerate((0.5, 1.0, 4.0))
  }
  assert cell_texts(figure) == expected
  mesh = next(c for c in axes.collections if isinstance(c, QuadMesh))
  for (column, row), text in expected.items():
    assert float(text.replace('−', '-')) == pytest.approx(mesh.get_array()[row, column])
  assert [tick.get_text() for tick in axes.get_xticklabels()] == ['2', '8']
  assert [tick.get_text() for tick in axes.get_yticklabels()] == ['0.5', '1', '4']
  assert figure.axes[1].get_ylabel() == 'test ELBO (nats)'
  (best,) = axes.patches
  assert best.get_xy() == (-0.5, 1.5)  # latent size 2, beta 4: -153 + 32 - 1


def test_heatmap_marks_lost_cells_and_leaves_absent_ones_empty():
  lost = {'test/elbo': None, 'step': 40}
  rows = [
    lane(0, 1.0, 2, status='diverged', **lost),
    lane(1, 1.0, 8, status='failed', **lost),
    lane(2, 4.0, 2),
    lane(3, 4.0, 8, status='running', **lost),
    lane(4, 8.0, 8, **{'test/elbo': float('nan')}),
  ]
  figure = figures.elbo_heatmap(rows)
  assert cell_texts(figure) == {(0, 0): 'diverged', (1, 0): 'failed', (0, 1): '−120.0'}
  patches = {patch.get_xy(): patch for patch in figure.axes[0].patches if patch.get_fill()}
  assert set(patches) == {(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (0.5, 1.5)}  # none at (2, beta 8)
  assert [bool(patch.get_hatch()) for _, patch in sorted(patches.items())] == [
    True,
    True,
    False,
    False,
  ]
  for words in ('1 of 5 lanes diverged', '1 of 5 lanes failed', '1 of 5 lanes still running'):
    assert words in heading(figure)


@pytest.mark.parametrize('latent_sizes', [(16,), tuple(range(1, 16))])
def test_heatmap_numbers_fit_their_cells(latent_sizes):
  study = 'a study of the rate and the distortion of handwritten digits'
  figure = figures.elbo_heatmap(grid(latent_sizes=latent_sizes), study)
  figure.canvas.draw()
  axes = figure.axes[0]
  width = axes.get_window_extent().width / len(latent_sizes)
  height = axes.get_window_extent().height / 3
  assert len(axes.texts) == 3 * len(latent_sizes)
  assert all(text.get_window_extent().width < width for text in axes.texts)
  assert all(2 * text.get_window_extent().height < height for text in axes.texts)
  assert axes.get_window_extent().y1 < figure._suptitle.get_window_extent().y0


# Learning curves


def thick_lines(axes):
  return [line for line in axes.lines if line.get_linewidth() == 1.2]


def test_learning_curves_are_the_means_and_the_lanes():
  rows = grid(betas=(1.0, 4.0))
  figure = figures.learning_curves(metrics_of(rows), rows, 'digits')
  assert [axes.get_title() for axes in figure.axes] == ['latent size 2', 'latent size 8']
  for axes, z in zip(figure.axes, (2, 8), strict=True):
    ends = [-(150 + z - 8 * beta) for beta in (1.0, 4.0)]
    for line, end in zip(thick_lines(axes), ends, strict=True):
      np.testing.assert_allclose(
        line.get_xydata(), [(0, end - 101), (50, end - 51), (100, end - 1)]
      )
    thin = [line.get_ydata()[-1] for line in axes.lines if line.get_linewidth() == 0.5]
    assert thin == [ends[0], ends[0] - 2, ends[1], ends[1] - 2]
    faint = [line.get_ydata()[-1] for line in axes.lines if line.get_linewidth() == 2]
    assert faint == [end - 1 + 1 for end in ends]
  assert 'nats' in figure.get_supylabel() and 'step' in figure.get_supxlabel()
  assert heading(figure) == 'digits: test ELBO while training mean over 2 seeds'


@pytest.mark.parametrize(
  ('betas', 'latent_sizes', 'seeds', 'panels'),
  [
    ((1.0,), (16,), (0,), 1),
    ((0.0, 0.5, 1.0, 2.0, 4.0), (2, 8, 32, 64), (0, 1), 4),
    ((0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), (2, 4, 8, 16, 32), (0, 1), 5),
    (tuple(2.0**i for i in range(-6, 10)), (1, 2, 4, 8), (0, 1, 2, 3), 4),
    ((1.0,), tuple(range(1, 16)), (0,), 8),
  ],
)
def test_learning_curves_have_a_panel_per_latent_size_and_a_legend_beside(
  betas, latent_sizes, seeds, panels
):
  rows = grid(betas, latent_sizes, seeds)
  study = 'a study of the rate and the distortion of handwritten digits'
  figure = figures.learning_curves(metrics_of(rows), rows, study)
  figure.canvas.draw()
  assert len(figure.axes) == panels
  assert all(len(thick_lines(axes)) == len(betas) for axes in figure.axes)
  (legend,) = figure.legends
  words = [text.get_text() for text in legend.get_texts()]
  assert words[: len(betas) + 1] == ['β', *map(style.plain, betas)]
  assert not any(overlap(legend, axes) for axes in figure.axes)
  assert not overlap(legend, figure._suptitle)
  assert not any(overlap(figure._suptitle, axes.title) for axes in figure.axes)
  assert (f'{panels} of {len(latent_sizes)} latent sizes' in heading(figure)) == (
    panels < len(latent_sizes)
  )
  assert figure.axes[0].get_title() == f'latent size {latent_sizes[0]}'
  assert figure.axes[-1].get_title() == f'latent size {latent_sizes[-1]}'


def test_a_diverged_curve_ends_in_a_cross_where_it_diverged():
  rows = grid(betas=(1.0,), latent_sizes=(2,))
  rows[1].update({'status': 'diverged', 'step': 60, 'test/elbo': None})
  metrics = [
    *metrics_of(rows[:1]),
    {'lane': 1, 'step': 0, 'test/elbo': -300.0},
    {'lane': 1, 'step': 50, 'test/elbo': -250.0},
    {'lane': 1, 'step': 60, 'test/elbo': None},
    {'lane': 1, 'step': 100, 'test/elbo': -250.0},  # frozen, measured again
  ]
  figure = figures.learning_curves(metrics, rows)
  (axes,) = figure.axes
  (cross,) = [line for line in axes.lines if line.get_marker() == 'x']
  np.testing.assert_array_equal(cross.get_xydata(), [(50, -250.0)])
  (mean,) = thick_lines(axes)
  np.testing.assert_array_equal(mean.get_ydata(), [-244.0, -194.0, -144.0])
  assert '1 of 2 lanes diverged' in heading(figure)


def test_curves_are_averaged_only_at_the_steps_that_all_lanes_reached():
  rows = grid(betas=(1.0,), latent_sizes=(2,))
  metrics = [line for line in metrics_of(rows) if (line['lane'], line['step']) != (1, 100)]
  (mean,) = thick_lines(figures.learning_curves(metrics, rows).axes[0])
  np.testing.assert_array_equal(mean.get_xdata(), [0, 50])


def test_a_lane_that_has_not_begun_is_in_no_mean():
  rows = grid(betas=(1.0,), latent_sizes=(2,))
  metrics = metrics_of(rows[:1])
  (mean,) = thick_lines(figures.learning_curves(metrics, rows).axes[0])
  np.testing.assert_array_equal(mean.get_ydata(), [-244.0, -194.0, -144.0])
  assert figures.learning_curves([], rows) is None


def test_learning_curves_of_an_unfinished_run_are_points():
  rows = [dict(row, status='running', step=0) for row in grid()]
  figure = figures.learning_curves(metrics_of(rows, steps=(0,)), rows)
  figure.canvas.draw()
  line = thick_lines(figure.axes[0])[0]
  np.testing.assert_array_equal(line.get_xydata(), [(0, -249.0)])
  low, high = figure.axes[0].get_ylim()
  assert low < -249 < high and line.get_marker() == 'o'
  assert '12 of 12 lanes still running' in heading(figure)


def test_learning_curves_frame_the_end_of_training_not_its_start():
  rows = grid(betas=(0.0, 1.0, 2.0), seeds=(0,))
  metrics = metrics_of(rows, steps=range(0, 101, 10))
  for line in metrics:
    if rows[line['lane']]['beta'] == 0:
      line['test/elbo'] -= 5000
    if line['step'] == 0:
      line['test/elbo'] = -1e4
    if (line['lane'], line['step']) == (5, 50):  # one evaluation gone wrong
      line['test/elbo'] = -1e4
  figure = figures.learning_curves(metrics, rows)
  low, high = figure.axes[0].get_ylim()
  assert -300 < low < -225 and high > -134
  assert '2 of 6 lanes end below the frame (β = 0)' in heading(figure)


# What a mean is over


@pytest.mark.parametrize(
  ('rows', 'words'),
  [
    (grid(seeds=(0,)), None),
    (grid(), 'mean over 2 seeds'),
    (grid(learning_rates=(1e-4, 1e-3, 1e-2)), 'mean over 2 seeds × 3 learning rates'),
    (grid(seeds=(0,), learning_rates=(1e-4, 1e-3)), 'mean over 2 learning rates'),
    ([*grid(seeds=(0,)), lane(9, 1.0, 2, seed=1)], 'mean over up to 2 lanes a point'),
    ([lane(i, 1.0, 2, i, 10.0**-i) for i in range(3)], 'mean over 3 lanes a point'),
    ([lane(0, 0.5, 2), lane(1, 1.0, 8), lane(2, 4.0, 31)], None),
  ],
)
def test_the_heading_says_what_a_mean_is_over(rows, words):
  rows = [dict(row, lane=i) for i, row in enumerate(rows)]
  drawn = [
    figures.rate_distortion(rows),
    figures.elbo_heatmap(rows),
    figures.learning_curves(metrics_of(rows), rows),
  ]
  for figure in drawn:
    assert words in heading(figure) if words else 'mean' not in heading(figure)


@pytest.mark.parametrize(
  ('number', 'text'),
  [(0.0, '0'), (1.0, '1'), (0.0001, '0.0001'), (1e-7, '0.0000001'), (1234.0, '1234'), (2, '2')],
)
def test_betas_are_written_as_plain_numbers(number, text):
  assert style.plain(number) == text


# Images


def test_image_grid_equals_a_tiling_by_hand():
  images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
  expected = [
    [0, 1, 255, 4, 5],
    [2, 3, 255, 6, 7],
    [255, 255, 255, 255, 255],
    [8, 9, 255, 255, 255],
    [10, 11, 255, 255, 255],
  ]
  np.testing.assert_array_equal(figures.image_grid(images)[..., 0], expected)
  np.testing.assert_array_equal(
    figures.image_grid(images, columns=3, separator=0)[..., 0],
    [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]],
  )


@pytest.mark.parametrize(('channels', 'shown'), [(1, 1), (2, 1), (3, 3), (4, 1)])
def test_image_grid_shows_colours_or_the_first_channel(channels, shown):
  images = np.random.default_rng(0).integers(0, 255, (4, 1, 7, channels), np.uint8)
  tiled = figures.image_grid(images, columns=1)
  assert tiled.shape == (7, 7, shown) and tiled.dtype == np.uint8
  np.testing.assert_array_equal(tiled[::2], images[:, 0, :, :shown])
  assert (tiled[1::2] == 255).all()


@pytest.mark.parametrize(
  ('images', 'columns'),
  [
    (np.zeros((2, 4, 4), np.uint8), None),
    (np.zeros((0, 4, 4, 1), np.uint8), 2),
    (np.zeros((2, 4, 4, 1)), None),
    (np.zeros((2, 4, 4, 1), np.uint8), 0),
  ],
)
def test_image_grid_refuses_what_is_no_list_of_images(images, columns):
  with pytest.raises(errors.InputError):
    figures.image_grid(images, columns)


def shades(num_lanes, count=3, shape=(8, 8, 1)):
  """Returns originals of value 7 and images of lane g of value 20 + g."""
  originals = np.full((count, *shape), 7, np.uint8)
  lanes = np.broadcast_to(
    np.arange(20, 20 + num_lanes, dtype=np.uint8).reshape(-1, 1, 1, 1, 1),
    (num_lanes, count, *shape),
  )
  return originals, lanes


def rows_drawn(figure):
  """Returns {label: shade} read from the picture at the height of each label."""
  axes = figure.axes[0]
  picture = axes.images[0].get_array()
  labels = [label.get_text() for label in axes.get_yticklabels()]
  heights = [int(tick) for tick in axes.get_yticks()]
  return {label: int(picture[y, 0]) for label, y in zip(labels, heights, strict=True)}


def test_reconstructions_are_labelled_and_below_the_originals():
  rows = grid()
  originals, images = shades(len(rows))
  names = [rows[5]['name'], rows[0]['name']]
  figure = figures.reconstructions(originals, images, rows, names, 'digits')
  assert list(rows_drawn(figure).items()) == [
    ('original', 7),
    (f'{names[0]}\nrate 93.0, distortion 53.0', 25),
    (f'{names[1]}\nrate 97.0, distortion 51.0', 20),
  ]
  assert heading(figure).startswith('digits: ') and 'nats' in heading(figure)
  sampled = figures.samples(images, rows, names)
  assert list(rows_drawn(sampled).items()) == [
    (f'{names[0]}\nELBO −146.0', 25),
    (f'{names[1]}\nELBO −148.0', 20),
  ]


def test_an_unknown_lane_is_refused_with_the_nearest_name():
  rows = grid()
  with pytest.raises(
    errors.InputError, match=r"'beta1_z2_s0_lr0.01'.*nearest is 'beta1_z2_s0_lr0.001'"
  ):
    figures.reconstructions(*shades(len(rows)), rows, ['beta1_z2_s0_lr0.01'])


def test_default_lanes_are_first_seeds_spread_over_the_grid_without_the_lost():
  rows = grid(betas=(0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), latent_sizes=(2, 4, 8, 16, 32))
  lost = next(row for row in rows if (row['beta'], row['latent_size'], row['seed']) == (8.0, 32, 0))
  lost['status'] = 'diverged'
  labels = list(rows_drawn(figures.samples(shades(len(rows))[1], rows)))
  names = [label.split('\n')[0] for label in labels]
  chosen = [row for row in rows if row['name'] in names]
  assert len(chosen) == 8 and lost not in chosen
  # The other seed stands in for the lost one; all other lanes are of the first.
  assert sum(row['seed'] for row in chosen) == 1
  widest = [row['beta'] for row in chosen if row['latent_size'] == 32]
  assert (min(widest), max(widest)) == (0.1, 8.0) and len(widest) >= 5
  assert {2, 32} < {row['latent_size'] for row in chosen if row['beta'] == 1.0}
  few = grid(seeds=(0,))
  assert len(rows_drawn(figures.samples(shades(len(few))[1], few))) == len(few)


@pytest.mark.parametrize(
  'shape', [(1, 64, 1), (64, 1, 1), (1, 1, 1), (1, 784, 1), (13, 9, 3), (28, 28, 4), (28, 56, 1)]
)
def test_images_of_any_shape_are_drawn_with_room_for_their_labels(shape):
  rows = grid(seeds=(0,))
  figure = figures.reconstructions(*shades(len(rows), 20, shape), rows)
  figure.canvas.draw()
  axes = figure.axes[0]
  assert axes.images[0].get_array().ndim == (3 if shape[2] == 3 else 2)
  labels = axes.get_yticklabels()
  assert len(labels) == 7
  assert not any(overlap(a, b) for a, b in itertools.pairwise(labels))
  assert all(label.get_window_extent().x1 <= axes.get_window_extent().x0 for label in labels)
  width, height = figure.get_size_inches()
  assert width < 10 and height < 12
  # Only what would be too thin for its label, or half a page high, loses its square pixels.
  assert (axes.get_aspect() == 1) == (1 / 10 < shape[0] / shape[1] < 10)


# Everything of a workdir


def fill_workdir(path, rows, metrics=None, images=True):
  tracking.write_results(path / 'results.csv', rows, FIELDS)
  lines = metrics_of(rows) if metrics is None else metrics
  (path / 'metrics.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
  (path / 'config.json').write_text(json.dumps({'study': 'digits'}))
  if images:
    originals, made = shades(len(rows))
    np.savez(path / 'images.npz', originals=originals, reconstructions=made, samples=made)
  return path


ALL = ['rate_distortion', 'elbo_heatmap', 'learning_curves', 'reconstructions', 'samples']


def test_draw_all_writes_every_picture_whole_and_nothing_else(tmp_path):
  paths = figures.draw_all(fill_workdir(tmp_path, grid()))
  assert [path.stem for path in paths] == ALL
  assert sorted(p.name for p in (tmp_path / 'figures').iterdir()) == sorted(p.name for p in paths)
  for path in paths:
    picture = matplotlib.image.imread(path)
    assert min(picture.shape[:2]) > 200 and picture.std() > 0.01


def test_draw_all_of_a_workdir_with_lost_lanes_draws_what_is_left(tmp_path):
  rows = grid()
  for row in rows[:3]:
    row.update({'status': 'diverged', 'test/elbo': None, 'test/rate': None})
  paths = figures.draw_all(fill_workdir(tmp_path, rows, metrics_of(rows[3:]), images=False))
  assert [path.stem for path in paths] == ALL[:3]


def test_draw_all_heads_each_picture_with_the_study(tmp_path, monkeypatch):
  drawn = []
  monkeypatch.setattr(figures, 'save', lambda figure, path: drawn.append(heading(figure)))
  figures.draw_all(fill_workdir(tmp_path, grid()))
  assert len(drawn) == 5 and all(words.startswith('digits: ') for words in drawn)
  (tmp_path / 'config.json').unlink()
  drawn.clear()
  figures.draw_all(tmp_path)
  assert len(drawn) == 5 and all(words.startswith(f'{tmp_path.name}: ') for words in drawn)


@pytest.mark.parametrize('status', ['diverged', 'failed'])
def test_draw_all_draws_nothing_when_every_lane_is_lost(tmp_path, status):
  rows = [dict(row, status=status) for row in grid()]
  assert figures.draw_all(fill_workdir(tmp_path, rows)) == []
  assert list((tmp_path / 'figures').iterdir()) == []


def test_draw_all_of_an_empty_workdir_draws_nothing(tmp_path):
  assert figures.draw_all(tmp_path) == []
  assert list(tmp_path.iterdir()) == []


def test_draw_all_refuses_images_of_another_run(tmp_path):
  fill_workdir(tmp_path, grid())
  originals, made = shades(2)
  np.savez(tmp_path / 'images.npz', originals=originals, reconstructions=made, samples=made)
  with pytest.raises(errors.DamagedError, match=r'reconstructions of 2 lanes.*has 12'):
    figures.draw_all(tmp_path)


@pytest.mark.parametrize(
  'damage',
  [
    lambda content: b'',
    lambda content: b'not an archive',
    lambda content: content[:-100],
    lambda content: content[:900] + b'\xff' * 300 + content[1200:],
  ],
)
@pytest.mark.parametrize('write', [np.savez, np.savez_compressed])
def test_draw_all_refuses_damaged_images(tmp_path, damage, write):
  fill_workdir(tmp_path, grid(), images=False)
  path = tmp_path / 'images.npz'
  noise = np.random.default_rng(0).integers(0, 4, (12, 9, 8, 8, 1), np.uint8)
  write(path, originals=noise[0], reconstructions=noise, samples=noise)
  path.write_bytes(damage(path.read_bytes()))
  with pytest.raises(errors.DamagedError, match=r'images\.npz'):
    figures.draw_all(tmp_path)


def test_a_picture_that_fails_midway_leaves_the_old_one(tmp_path, monkeypatch):
  (path, *_) = figures.draw_all(fill_workdir(tmp_path, grid(), images=False))
  before = path.read_bytes()

  def save_half(figure, target, **options):
    target.write_bytes(b'\x89PNG half')
    raise RuntimeError('interrupted')

  monkeypatch.setattr(Figure, 'savefig', save_half)
  with pytest.raises(RuntimeError, match='interrupted'):
    figures.draw_all(tmp_path)
  assert path.read_bytes() == before
  assert len(list((tmp_path / 'figures').iterdir())) == 3


def test_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path):
  with matplotlib.rc_context({'font.size': 17.0, 'axes.linewidth': 3.0}):
    before = dict(matplotlib.rcParams)
    figures.draw_all(fill_workdir(tmp_path, grid()))
    assert dict(matplotlib.rcParams) == before
