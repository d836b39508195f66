"""The rate of each latent and the bound over k samples, read back from the pictures."""

import numpy as np
import pytest
from figure_data import (
  GRIDS,
  SIZES,
  assert_nothing_overlaps,
  grid,
  heading,
  latents_of,
  legend_words,
  nll_curve_of,
  thick_lines,
)

from vae_jax import figures
from vae_jax.figures import style

pytestmark = pytest.mark.run

# The rate of each latent


def dots(axes, full):
  """Returns the points of the full or hollow dots, line by line."""
  return [
    list(map(tuple, line.get_xydata()))
    for line in axes.lines
    if line.get_marker() == 'o' and (line.get_markerfacecolor() != 'white') == full
  ]


def test_latents_are_sorted_by_their_rate_and_averaged_rank_by_rank():
  rows = grid(betas=(1.0, 4.0), latent_sizes=(2, 5))
  figure = figures.latents(latents_of(rows), rows, 'digits')
  assert [axes.get_title() for axes in figure.axes] == ['latent size 2', 'latent size 5']
  for axes, size in zip(figure.axes, (2, 5), strict=True):
    for line, beta in zip(thick_lines(axes), (1.0, 4.0), strict=True):
      # Seeds 0 and 1 add 0 and 1 nat: their mean adds a half.
      expected = [(rank, size / (1 + beta) + 0.5 - (rank - 1)) for rank in range(1, size + 1)]
      np.testing.assert_allclose(line.get_xydata(), expected)
    thin = [line.get_ydata()[0] for line in axes.lines if line.get_linewidth() == 0.5]
    np.testing.assert_allclose(thin, [size / 2, size / 2 + 1, size / 5, size / 5 + 1])
  assert 'rate' in figure.get_supylabel() and 'nats' in figure.get_supylabel()
  assert heading(figure) == 'digits: rate of each latent mean over 2 seeds'
  assert legend_words(figure) == ['β', '1', '4', 'latent', 'active', 'not active', 'one lane']


def test_a_full_dot_is_a_latent_that_is_active_in_half_of_the_lanes():
  rows = grid(betas=(1.0,), latent_sizes=(5,), seeds=(0, 1, 2))
  table = latents_of(rows)
  for line in table:
    # By rank: active in all lanes, in two, in one, in none.
    rank = round(5 / 2 + rows[line['lane']]['seed'] - line['rate'])
    line['active'] = int(rows[line['lane']]['seed'] < (3, 2, 1, 0, 0)[rank])
  (axes,) = figures.latents(table, rows).axes
  assert dots(axes, full=True) == [[(1, 3.5), (2, 2.5)]]
  assert dots(axes, full=False) == [[(3, 1.5), (4, 0.5), (5, -0.5)]]
  assert axes.get_ylim()[0] < -0.5  # a sampled rate may be negative


def test_each_layer_has_its_panels():
  rows = grid(betas=(1.0,), latent_sizes=(2, 5), seeds=(0,))
  table = latents_of(rows, layers=(0, 1))
  for line in table:
    line['rate'] += 100 * line['layer']
  figure = figures.latents(table, rows)
  read = {axes.get_title(): thick_lines(axes)[0].get_ydata()[0] for axes in figure.axes}
  assert read == {
    'latent size 2, layer 0': 1.0,
    'latent size 2, layer 1': 101.0,
    'latent size 5, layer 0': 2.5,
    'latent size 5, layer 1': 102.5,
  }


def test_without_rates_the_variances_stand_in_on_a_logarithmic_axis():
  rows = grid(betas=(1.0,), latent_sizes=(5,), seeds=(0,))
  table = [dict(line, rate=None) for line in latents_of(rows)]
  table[0]['mean_variance'] = 0.0
  figure = figures.latents(table, rows, 'digits')
  (axes,) = figure.axes
  assert axes.get_yscale() == 'log'
  np.testing.assert_allclose(
    sorted(thick_lines(axes)[0].get_ydata())[1:],
    sorted(line['mean_variance'] for line in table[1:]),
  )
  assert heading(figure) == 'digits: variance of each posterior mean'
  assert 'nats' not in figure.get_supylabel()
  figure.draw_without_rendering()
  low, high = axes.get_ylim()
  positive = [line['mean_variance'] for line in table[1:]]
  assert 0 < low < min(positive) and max(positive) < high < 10


def test_a_table_of_an_older_run_lacks_columns_and_values():
  """Without a word on activity a latent is neither active nor not: it has no dot."""
  rows = grid(betas=(1.0,), latent_sizes=(2,), seeds=(0,))
  table = [{'lane': 0, 'latent': 0, 'rate': 1.0}, {'lane': 0, 'latent': 1, 'rate': float('nan')}]
  (axes,) = figures.latents(table, rows).axes
  assert dots(axes, full=False) == dots(axes, full=True) == [[]]
  assert [list(line.get_ydata()) for line in thick_lines(axes)] == [[1.0]]
  assert figures.latents(table[1:], rows) is None
  assert figures.latents([], rows) is None


@pytest.mark.parametrize('draw', ['latents', 'nll_curve'])
def test_lost_lanes_are_in_no_line(draw):
  rows = grid(betas=(1.0, 4.0), latent_sizes=(2,), seeds=(0, 1))
  tables = {'latents': latents_of(rows), 'nll_curve': nll_curve_of(rows)}
  for lane in (1, 2, 3):
    rows[lane]['status'] = 'diverged'
  figure = getattr(figures, draw)(tables[draw], rows)
  (axes,) = figure.axes
  (line,) = thick_lines(axes)
  first = {'latents': 1.0, 'nll_curve': -144.0}[draw]  # of lane 0, without a seed's half
  assert line.get_ydata()[0] == first
  assert '3 of 4 lanes diverged and left out' in heading(figure)
  rows[0]['status'] = 'failed'
  assert getattr(figures, draw)(tables[draw], rows) is None


def test_latents_of_beta_zero_do_not_flatten_the_others():
  rows = grid(betas=(0.0, 1.0), latent_sizes=(5,), seeds=(0,))
  table = latents_of(rows)
  for line in table:
    line['rate'] += 50 * (rows[line['lane']]['beta'] == 0)
  figure = figures.latents(table, rows)
  assert figure.axes[0].get_ylim()[1] < 5
  assert '1 of 2 lanes leave the frame (β = 0)' in heading(figure)


# The bound over k


def bands(axes):
  """Returns {k: (low, high)} of each band."""
  found = []
  for band in axes.collections:
    (path,) = band.get_paths()
    vertices = path.vertices.round(9)
    found.append(
      {
        x: (vertices[vertices[:, 0] == x, 1].min(), vertices[vertices[:, 0] == x, 1].max())
        for x in sorted(set(vertices[:, 0]))
      }
    )
  return found


def test_nll_curves_are_the_bounds_and_rise_with_k():
  rows = grid(betas=(1.0, 4.0))
  figure = figures.nll_curve(nll_curve_of(rows), rows, 'digits')
  for axes, size in zip(figure.axes, (2, 8), strict=True):
    assert axes.get_xscale() == 'log'
    for line, beta in zip(thick_lines(axes), (1.0, 4.0), strict=True):
      elbo = -(150 + size - 8 * beta) - 1  # of the mean over seeds 0 and 1
      expected = [(k, elbo + 2 * np.log10(k)) for k in (1, 10, 100, 1000)]
      np.testing.assert_allclose(line.get_xydata(), expected)
      assert (np.diff(line.get_ydata()) > 0).all()
    thin = [line.get_ydata()[0] for line in axes.lines if line.get_linewidth() == 0.5]
    assert thin == [-142 - size, -144 - size, -118 - size, -120 - size]
    low, high = axes.get_ylim()
    assert low < -144 - size - 1.5 and -112 - size + 0.5 < high
  assert 'bound' in figure.get_supylabel() and 'nats' in figure.get_supylabel()
  words = 'digits: test bound over k samples, nats per example mean over 2 seeds; 500 examples'
  assert heading(figure) == words


def test_the_band_is_the_standard_error_of_one_lane():
  rows = grid(betas=(1.0,), latent_sizes=(2,))
  (axes,) = figures.nll_curve(nll_curve_of(rows), rows).axes
  (line,), (band,) = thick_lines(axes), bands(axes)
  # Seeds 0 and 1 have 0.5 and 1.5; the images are the same, so that two seeds are no surer.
  for k, bound in line.get_xydata():
    np.testing.assert_allclose(band[k], (bound - 1.0, bound + 1.0))
  wide = [dict(line, stderr=20.0) for line in nll_curve_of(rows)]
  (axes,) = figures.nll_curve(wide, rows).axes
  low, high = axes.get_ylim()
  assert low < -164 and high > -137 + 20


def test_a_bound_without_an_error_or_a_value_is_drawn_as_far_as_it_goes():
  rows = grid(betas=(1.0,), latent_sizes=(2,), seeds=(0,))
  table = nll_curve_of(rows)
  table[0]['bound'] = None  # k = 1000
  table[1]['stderr'] = float('nan')
  del table[2]['images']
  table[3]['images'] = 20
  figure = figures.nll_curve(table, rows)
  (axes,) = figure.axes
  assert list(thick_lines(axes)[0].get_xdata()) == [1, 10, 100]
  assert list(bands(axes)[0]) == [1, 10]
  assert '20 to 500 examples' in heading(figure)
  assert figures.nll_curve([], rows) is None


def test_bounds_of_beta_zero_do_not_flatten_the_others():
  rows = grid(betas=(0.0, 1.0, 4.0), latent_sizes=(2, 8), seeds=(0,))
  table = nll_curve_of(rows)
  for line in table:
    if rows[line['lane']]['beta'] == 0:
      line['bound'] -= 5000
  figure = figures.nll_curve(table, rows)
  assert all(axes.get_ylim()[0] > -160 for axes in figure.axes)
  assert '2 of 6 lanes leave the frame (β = 0)' in heading(figure)


# Of any size


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('draw', ['latents', 'nll_curve'])
def test_pictures_of_any_size_are_readable(draw, size):
  rows = grid(*GRIDS[size])
  table = {'latents': latents_of, 'nll_curve': nll_curve_of}[draw](rows)
  figure = getattr(figures, draw)(table, rows, 'a study of the digits')
  assert_nothing_overlaps(figure)
  betas, sizes = ({row[name] for row in rows} for name in ('beta', 'latent_size'))
  assert len(figure.axes) == min(8, len(sizes))
  assert all(len(thick_lines(axes)) == len(betas) for axes in figure.axes)
  assert figure.axes[0].get_title() == f'latent size {min(sizes)}'
  assert figure.axes[-1].get_title() == f'latent size {max(sizes)}'
  assert ('8 of 10' in heading(figure)) == (len(sizes) == 10)
  words = legend_words(figure)
  assert set(words) >= {style.plain(min(betas)), style.plain(max(betas))}
  assert len(words) < 40


@pytest.mark.parametrize('counts', [(1,), (1, 2, 3, 5, 8), (1, 5, 50, 500, 5000), range(1, 60)])
def test_any_numbers_of_samples_have_readable_ticks(counts):
  rows = grid(betas=(1.0, 4.0), latent_sizes=(2, 4, 8, 16), seeds=(0,))
  figure = figures.nll_curve(nll_curve_of(rows, counts), rows)
  assert_nothing_overlaps(figure)
  low, high = figure.axes[0].get_xlim()
  assert low < min(counts) and max(counts) < high
  assert any(low < tick < high for tick in figure.axes[0].get_xticks())
