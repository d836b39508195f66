"""Pictures of very many lanes: quantiles in place of lines, legends and rows that fit a page."""

import numpy as np
import pytest
from figure_data import grid, heading, lane, legend_words, metrics_of, thick_lines

from vae_jax import figures
from vae_jax.figures import points

pytestmark = pytest.mark.run

RNG = np.random.default_rng(0)
RATES = tuple(float(rate) for rate in np.geomspace(1e-4, 1e-2, 40).round(6))


def scattered(rows, steps=(0, 50, 100)):
  """Returns log lines in which lanes lie apart by a normal deviate, and it: [G]."""
  apart = RNG.normal(size=len(rows))
  lines = metrics_of(rows, steps)
  for line in lines:
    line['test/elbo'] += apart[line['lane']]
    line['batch/elbo'] += apart[line['lane']]
    line['batch/objective'] = line['batch/elbo']
  return lines, apart


def bands(axes):
  """Returns the lower and the upper edges of each band, at its places: [(x, low, high)]."""
  found = []
  for band in axes.collections:
    vertices = band.get_paths()[0].vertices
    places = np.unique(vertices[:, 0])
    edges = [vertices[vertices[:, 0] == x, 1] for x in places]
    found.append((places, [edge.min() for edge in edges], [edge.max() for edge in edges]))
  return found


@pytest.mark.parametrize('seeds', [points.MOST_LINES, points.MOST_LINES + 1, 200])
def test_many_seeds_are_their_median_in_bands(seeds):
  rows = grid(betas=(1.0, 4.0), latent_sizes=(2,), seeds=range(seeds))
  metrics, _ = scattered(rows)
  figure = figures.learning_curves(metrics, rows, 'digits')
  (axes,) = figure.axes
  thin = [line for line in axes.lines if line.get_linewidth() == 0.5]
  if seeds == points.MOST_LINES:
    assert (len(thin), bands(axes)) == (2 * seeds, [])
    assert heading(figure).endswith(f'mean over {seeds} seeds')
    return
  assert thin == []
  assert heading(figure).endswith(f'median over {seeds} seeds')
  assert legend_words(figure) == [
    'β', '1', '4', 'ELBO', 'test', '90% of the lanes', '50% of the lanes', 'batch',
  ]  # fmt: skip
  found = bands(axes)
  for beta, middle, two in zip((1.0, 4.0), thick_lines(axes), (found[:2], found[2:]), strict=True):
    of_beta = {row['lane'] for row in rows if row['beta'] == beta}
    for i, step in enumerate((0, 50, 100)):
      values = [m['test/elbo'] for m in metrics if m['step'] == step and m['lane'] in of_beta]
      assert middle.get_ydata()[i] == pytest.approx(np.median(values))
      for (_, low, high), share in zip(two, (0.9, 0.5), strict=True):
        expected = np.quantile(values, ((1 - share) / 2, (1 + share) / 2))
        np.testing.assert_allclose((low[i], high[i]), expected)


def test_a_median_goes_as_far_as_half_of_the_lanes():
  rows = grid(betas=(1.0,), latent_sizes=(2,), seeds=range(40))
  metrics, _ = scattered(rows)
  fewer = [m for m in metrics if m['step'] < 100 or m['lane'] < 19]
  figure = figures.learning_curves(fewer, rows)
  assert [line.get_xdata()[-1] for line in thick_lines(figure.axes[0])] == [50]
  fewer = [m for m in metrics if m['step'] < 100 or m['lane'] < 20]
  figure = figures.learning_curves(fewer, rows)
  assert [line.get_xdata()[-1] for line in thick_lines(figure.axes[0])] == [100]


def drawn(name, rows):
  """Returns a picture in which lanes are lines."""
  metrics, apart = scattered(rows)
  latents = [
    {'lane': row['lane'], 'layer': None, 'rate': 3.0 - i + abs(apart[row['lane']]), 'active': 1}
    for row in rows
    for i in range(row['latent_size'])
  ]
  bounds = [
    {'lane': row['lane'], 'samples': k, 'bound': row['test/elbo'] + k, 'stderr': 0.5, 'images': 30}
    for row in rows
    for k in (1, 10)
  ]
  return {
    'curves': lambda: figures.learning_curves(metrics, rows),
    'losses': lambda: figures.loss_curves([m for m in metrics if m['step'] != 50], rows),
    'latents': lambda: figures.latents(latents, rows),
    'bounds': lambda: figures.nll_curve(bounds, rows),
  }[name]()


@pytest.mark.parametrize('name', ['curves', 'losses', 'latents', 'bounds'])
def test_very_many_settings_are_one_median_a_panel_and_a_short_legend(name):
  """5 betas x 40 learning rates, of which no colours tell which is which."""
  rows = grid((0.5, 1.0, 2.0, 4.0, 8.0), (2, 3), (0,), RATES)
  figure = drawn(name, rows)
  assert [len(thick_lines(axes)) for axes in figure.axes] == [1, 1]
  assert 'median over 200 lanes' in heading(figure)
  words = legend_words(figure)
  assert '90% of the lanes' in words and len(words) < 8
  assert max(figure.get_size_inches()) < 8
  few = drawn(name, grid((0.5, 1.0, 2.0, 4.0, 8.0), (2, 3), (0,), RATES[:10]))
  assert [len(thick_lines(axes)) for axes in few.axes] == [50, 50]  # 100 cells


def test_lost_lanes_are_a_few_crosses():
  rows = [lane(i, 1.0, 2, seed=i, status='diverged' if i > 9 else 'done') for i in range(400)]
  (axes,) = figures.learning_curves(scattered(rows)[0], rows).axes
  crosses = [line for line in axes.lines if line.get_marker() == 'x']
  assert len(crosses) == points.MOST_LINES


def test_a_heatmap_of_many_settings_has_rows_of_some_and_of_the_best():
  rows = grid((0.5, 1.0, 2.0, 4.0, 8.0), (2,), (0,), RATES)
  rows[77]['test/elbo'] = -1.0
  figure = figures.elbo_heatmap(rows)
  axes = figure.axes[0]
  assert len(axes.get_yticklabels()) == 60
  assert '60 of 200 settings' in heading(figure)
  assert '−1.0' in [text.get_text() for text in axes.texts]
  assert max(figure.get_size_inches()) < 21
