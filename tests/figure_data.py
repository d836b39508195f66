"""Rows, log lines and images with known values, and how a picture is read back."""

import itertools
import json
import warnings

import numpy as np
import pytest

from vae_jax import records
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
    'best_step': 100 - index,  # no hyperparameter: a lane's own
    'beta': beta,
    'latent_size': latent_size,
    'seed': seed,
    'learning_rate': learning_rate,
    'beta_normalised': beta * latent_size / 64,
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


def with_fields(row, **fields):
  """Returns a row with further lane fields, where results.csv has them."""
  items = [(name, value) for name, value in row.items() if name not in fields]
  place = [name for name, _ in items].index('beta_normalised')
  return dict([*items[:place], *fields.items(), *items[place:]])


def latents_of(rows, layers=(0,)):
  """Returns latents.csv: rates z / (1 + beta) + seed, one less for each next latent, shuffled.

  The smaller half of the latents is not active.
  """
  table = []
  for row in rows:
    size = row['latent_size']
    order = np.random.default_rng(row['lane']).permutation(size)
    for layer, latent in itertools.product(layers, range(size)):
      rank = int(order[latent])
      lane_and_latent = {'lane': row['lane'], 'name': row['name'], 'layer': layer, 'latent': latent}
      rate = size / (1 + row['beta']) + row['seed'] - rank
      table.append(
        lane_and_latent
        | {'rate': rate, 'mean_variance': 10.0**-rank, 'active': int(2 * rank < size)}
      )
  return table


def nll_curve_of(rows, counts=(1, 10, 100, 1000)):
  """Returns nll_curve.csv: L_k = ELBO + 2 log10(k), with a standard error of 0.5 + seed."""
  return [
    {
      'lane': row['lane'],
      'name': row['name'],
      'samples': k,
      'bound': row['test/elbo'] + 2 * float(np.log10(k)),
      'stderr': 0.5 + row['seed'],
      'images': 500,
    }
    for k in reversed(counts)
    for row in rows
  ]


def losses_of(rows, steps=(1, 2, 4, 8, 16, 32, 64, 100)):
  """Returns log lines in which minus the objective at step s is 100 + 10 beta + seed + 400 / s."""
  return [
    {
      'lane': row['lane'],
      'step': step,
      'batch/objective': -(100 + 10 * row['beta'] + row['seed']) - 400 / step,
    }
    for step in steps
    for row in rows
  ]


def lines_by_label(axes):
  return {line.get_label(): line for line in axes.lines if not line.get_label().startswith('_')}


def heading(figure):
  return figure.get_suptitle().replace('\n', ' ')


def legend_words(figure):
  (legend,) = figure.legends
  return [text.get_text() for text in legend.get_texts()]


def overlap(first, second):
  """Says whether two drawn things share more than a pixel."""
  return share(first.get_window_extent(), second.get_window_extent())


def share(a, b):
  """Says whether two boxes share more than a pixel."""
  return min(a.x1, b.x1) - max(a.x0, b.x0) > 1 and min(a.y1, b.y1) - max(a.y0, b.y0) > 1


def thick_lines(axes):
  return [line for line in axes.lines if line.get_linewidth() == 1.2]


def shades(num_lanes, count=3, shape=(8, 8, 1)):
  """Returns originals of value 7 and images of lane g of value 20 + g."""
  originals = np.full((count, *shape), 7, np.uint8)
  lanes = np.broadcast_to(
    np.arange(20, 20 + num_lanes, dtype=np.uint8).reshape(-1, 1, 1, 1, 1),
    (num_lanes, count, *shape),
  )
  return originals, lanes


def fill_workdir(path, rows, metrics=None, images=True):
  records.write_results(path / 'results.csv', rows, FIELDS)
  lines = metrics_of(rows) if metrics is None else metrics
  (path / 'metrics.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
  (path / 'config.json').write_text(json.dumps({'study': 'digits'}))
  if images:
    originals, made = shades(len(rows))
    np.savez(path / 'images.npz', originals=originals, reconstructions=made, samples=made)
  return path


def assert_nothing_overlaps(figure):
  """Checks the heading, the legend, the panels with their titles, and the labels of their ticks."""
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    figure.draw_without_rendering()
  (legend,) = figure.legends
  width, height = figure.get_size_inches() * style.DPI
  around = [legend, figure._suptitle, figure._supxlabel, figure._supylabel]
  panels = [part for axes in figure.axes for part in (axes, axes.title)]
  boxes = {thing: thing.get_window_extent() for thing in (*around, *panels)}
  for box in map(boxes.get, around):
    assert box.x0 > -1 and box.x1 < width + 1 and box.y0 > -1 and box.y1 < height + 1
  for first, second in itertools.combinations(boxes, 2):
    assert not share(boxes[first], boxes[second]), f'{first} over {second}'
  for axes in figure.axes:
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
      ticks = [tick for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
      labels = [tick.label1.get_window_extent() for tick in ticks if tick.label1.get_visible()]
      assert not any(share(*pair) for pair in itertools.pairwise(labels))
      assert not any(share(label, boxes[other]) for label in labels for other in figure.axes)


# Betas, latent sizes and seeds of 1, 4, 40 and 100 lanes, and of 100 along a single axis.
GRIDS = {
  '1': ((1.0,), (20,), (0,)),
  '1-latent': ((1.0,), (1,), (0,)),
  '4': ((1.0, 4.0), (2, 20), (0,)),
  '40': ((0.25, 0.5, 1.0, 2.0, 4.0), (2, 4, 16, 64), (0, 1)),
  '100': ((0.0, 0.5, 1.0, 2.0, 4.0), (1, 2, 5, 10, 20, 40, 60, 80, 100, 200), (0, 1)),
  '100-betas': (tuple(np.geomspace(0.01, 10, 100)), (20,), (0,)),
}
# At 1 and 40 nothing is drawn that is not at the others too.
SLOW = ('1', '40')
SIZES = [pytest.param(size, marks=pytest.mark.slow if size in SLOW else ()) for size in GRIDS]
