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
_NAMED_ROWS = {
  'signals': ('by_condition', 'walks_by_condition'),
  'table': ('units', 'by_condition', 'walks_by_condition'),
}

_SAID = {
  'signals': {
    'reconstructions': 'test signals, pale, and their reconstructions',
    'samples': 'samples from {}',
    'traversals': 'signals along the latents used most, from −2{} to 2',
  },
  'table': {
    'reconstructions': 'reconstructions over the test examples',
    'samples': 'values of the test examples, grey, and of samples from {}',
    'traversals': 'values along the latents used most, from −2 to 2',
  },
}


def of_lane(images: Mapping[str, np.ndarray], i: int, walked: int = len(RANKS)) -> dict[str, Rows]:
  """Returns the plots of a lane by kind, of a file of values; see `signals` and `tables`.

  Of the latents that it is walked along, those that it does not have are left out.
  """
  made = {'signals': signals, 'table': tables}[records.kind_of(images)]
  walks = images['units'][i]  # [U, columns, *event]; a latent that there is none of moves nothing
  there = np.any(walks != walks[:, :1], axis=tuple(range(1, walks.ndim))).sum()
  return made.of_lane(images, i, RANKS[: min(walked, max(1, there))])


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
  drawn, named = {}, _NAMED_ROWS[records.kind_of(images)]
  for kind, rows in of_lane(images, i, walked).items():
    if kind in named:
      rows = [row[: max(1, round(share * len(row)))] for row in rows]
    else:
      rows = rows[: max(1, round(share * len(rows)))]
    drawn[kind] = plots.sketch(rows)
  return drawn


def draw(
  images: Mapping[str, np.ndarray], rows: Sequence[Mapping], study: str
) -> dict[str, Figure | None]:
  """Returns the pictures by name: reconstructions, samples, walks, and samples by condition."""
  said = _SAID[records.kind_of(images)]
  chosen = points.spread(pictures.choose(rows, None), _MOST_LANES)
  made = [of_lane(images, i) for i in chosen]
  most, drawn = max(1, _MOST_ROWS // max(1, len(chosen))), {}
  for kind, title, scores in (
    ('reconstructions', said['reconstructions'], ('rate', 'distortion')),
    ('samples', said['samples'].format('the prior'), ('elbo',)),
    ('aggregate_samples', said['samples'].format('a mixture fitted to the codes'), ('elbo',)),
  ):
    if chosen and kind in images:
      labels = [pictures.label(rows[i], scores) for i in chosen]
      blocks = [_flat(of[kind])[:most] for of in made]
      drawn[kind] = _headed(blocks, labels, rows, study, title)
  best = traversal.best_lane(rows)
  if best is None:
    return drawn
  is_fan = records.kind_of(images) == 'signals' and not signals.is_in_rows(images)
  draw_walks = _walks_of_lanes if is_fan else _walks_of_best
  title = said['traversals'].format(', pale,' if is_fan else '')
  drawn['traversals'] = draw_walks(images, rows, study, title)
  if 'by_condition' in images:
    title = f'{said["samples"].format("the prior")}, of {rows[best]["name"]}'
    blocks = [[row] for row in of_lane(images, best)['by_condition']]
    labels = [str(name) for name in images['conditions']]
    drawn['by_condition'] = _headed(blocks, labels, rows, study, title)
  return drawn


def _walks_of_lanes(
  images: Mapping[str, np.ndarray], rows: Sequence[Mapping], study: str, title: str
) -> Figure:
  """Draws a plot for each latent, in a row for the best lane of each latent size."""
  best = traversal.best_lanes(rows)
  blocks = [_flat(of_lane(images, i, _WALKED)['units'])[:1] for i in best]
  return _headed(blocks, [pictures.label(rows[i], ('elbo',)) for i in best], rows, study, title)


def _walks_of_best(
  images: Mapping[str, np.ndarray], rows: Sequence[Mapping], study: str, title: str
) -> Figure:
  """Draws a row of plots for each latent of the best lane."""
  best = traversal.best_lane(rows)
  blocks = [[row] for row in of_lane(images, best, _WALKED)['units']]
  labels = [f'latent {RANKS[0]}', *RANKS[1:]][: len(blocks)]
  return _headed(blocks, labels, rows, study, f'{title}, of {rows[best]["name"]}')


def _flat(rows: Rows) -> Rows:
  """Returns plots in rows as wide as a figure."""
  return plots.wrapped(list(itertools.chain(*rows)), _COLUMNS)


def _headed(
  blocks: Sequence[Rows], labels: Sequence[str], rows: Sequence[Mapping], study: str, title: str
) -> Figure:
  figure = plots.figure(blocks, labels)
  style.set_heading(figure, study, title, pictures.unit_note(labels, rows))
  return figure
