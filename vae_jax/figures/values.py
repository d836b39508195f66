"""The pictures of a study whose examples are signals or rows of a table: plots of their values."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from vae_jax import records
from vae_jax.figures import pictures, plots, points, signals, style, tables, traversal
from vae_jax.figures.plots import Rows

RANKS = ('used most', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth')
_MOST_LANES, _MOST_ROWS, _COLUMNS = 4, 4, 6
_WALKED = 4  # latents of a figure
_BY_ROW = ('units', 'by_condition', 'walks_by_condition')  # of which each row has a name

_SAID = {
  'signals': {
    'reconstructions': 'test signals, pale, and their reconstructions',
    'samples': 'samples from {}',
    'traversals': 'signals along the latents used most, from −2, pale, to 2',
  },
  'table': {
    'reconstructions': 'reconstructions over the test examples',
    'samples': 'values of the test examples, grey, and of samples from {}',
    'traversals': 'values along the latents used most, from −2 to 2',
  },
}


def of_lane(images: Mapping[str, np.ndarray], i: int, walked: int = len(RANKS)) -> dict[str, Rows]:
  """Returns the plots of a lane by kind, of a file of values; see `signals` and `tables`."""
  made = {'signals': signals, 'table': tables}[records.kind_of(images)]
  return made.of_lane(images, i, RANKS[:walked])


def sketches(
  images: Mapping[str, np.ndarray], i: int, walked: int = len(RANKS), share: float = 1.0
) -> dict[str, np.ndarray]:
  """Returns sketches of a lane by kind, uint8 [H, W, 4], with a share of the plots of each.

  Args:
    images: of `records.images`, of signals or a table.
    i: the lane.
    walked: along how many latents.
    share: of rows or, where these have names, of what is in them; one at least.
  """
  drawn = {}
  for kind, rows in of_lane(images, i, walked).items():
    if kind in _BY_ROW:
      rows = [row[: max(1, round(share * len(row)))] for row in rows]
    else:
      rows = rows[: max(1, round(share * len(rows)))]
    drawn[kind] = plots.sketch(rows)
  return drawn


def draw(
  images: Mapping[str, np.ndarray], rows: Sequence[Mapping], study: str
) -> dict[str, Figure | None]:
  """Returns the pictures by name: reconstructions, samples, walks, and samples by condition."""
  kind = records.kind_of(images)
  said, names = _SAID[kind], [str(name) for name in images.get('conditions', ())]
  chosen = points.spread(pictures.choose(rows, None), _MOST_LANES)
  wanted = [
    ('reconstructions', said['reconstructions'], ('rate', 'distortion')),
    ('samples', said['samples'].format('the prior'), ('elbo',)),
    ('aggregate_samples', said['samples'].format('a mixture fitted to the codes'), ('elbo',)),
  ]
  made = [of_lane(images, i) for i in chosen]
  drawn = {}
  for name, title, scores in wanted:
    if made and name in made[0]:
      blocks = [_flat(lane[name], max(1, _MOST_ROWS // len(made))) for lane in made]
      labels = [pictures.label(rows[i], scores) for i in chosen]
      drawn[name] = _headed(blocks, labels, rows, study, title)
  best = traversal.best_lanes(rows)
  if kind == 'signals' and best:
    walked = [min(_WALKED, rows[i]['latent_size']) for i in best]
    blocks = [_flat(of_lane(images, i, n)['units'], 1) for i, n in zip(best, walked, strict=True)]
    labels = [pictures.label(rows[i], ('elbo',)) for i in best]
    drawn['traversals'] = _headed(blocks, labels, rows, study, said['traversals'])
  for name, title, labels in (
    ('units', said['traversals'], ['latent ' + RANKS[0], *RANKS[1:]]),
    ('by_condition', said['samples'].format('the prior'), names),
  ):
    lane = traversal.best_lane(rows)
    if lane is None or name not in images or (kind, name) == ('signals', 'units'):
      continue
    walked = min(_WALKED, rows[lane]['latent_size'])
    of_rows = of_lane(images, lane, walked)[name]
    title = f'{title}, of {rows[lane]["name"]}'
    figure = _headed([[row] for row in of_rows], labels[: len(of_rows)], rows, study, title)
    drawn['traversals' if name == 'units' else name] = figure
  return drawn


def _flat(rows: Rows, most: int) -> Rows:
  """Returns plots in rows as wide as a figure, and at most so many."""
  return plots.wrapped(list(itertools.chain(*rows)), _COLUMNS)[:most]


def _headed(
  blocks: Sequence[Rows], labels: Sequence[str], rows: Sequence[Mapping], study: str, title: str
) -> Figure:
  figure = plots.figure(blocks, labels)
  style.set_heading(figure, study, title, pictures.unit_note(labels, rows))
  return figure
