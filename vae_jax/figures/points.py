"""From rows of results.csv to the points of a picture: one cell per latent size and setting.

Lanes that differ in their seed alone share a cell, and a picture shows their mean. What else the
lanes of a study differ in, be it beta, the learning rate or a warm-up, is their setting.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.lines import Line2D

from vae_jax import records
from vae_jax.figures import style

MOST_LINES = 30  # lanes of a cell that are drawn one by one; of more their quantiles are
_MOST_CELLS = 100  # that colours and line styles tell apart at the very most


class Sweep(NamedTuple):
  """How a picture tells the settings of a study apart.

  Attributes:
    fields: the lane fields that colour, shape or place stand for: beta, or what varies instead.
    settings: their values in all lanes, ascending.
    dashed: the fields that the line style stands for; () where `fields` say it all.
    dashes: line style of each of their values, [()] where there are none.
  """

  fields: tuple[str, ...]
  settings: list[tuple]
  dashed: tuple[str, ...]
  dashes: dict[tuple, str | tuple]


class Cell(NamedTuple):
  """The lanes that differ in their seed alone.

  Attributes:
    setting: the values of Sweep.fields.
    variant: the values of Sweep.dashed.
    lanes: the rows with a value for what is drawn; a mean is taken over these.
    lost: the status of each lane that diverged or failed.
  """

  beta: float
  latent_size: int
  setting: tuple
  variant: tuple
  lanes: list[Mapping]
  lost: list[str]

  def mean(self, column: str) -> float:
    """Returns the mean of a column over the lanes; there must be at least one."""
    return float(np.mean([value(row, column) for row in self.lanes]))


def value(row: Mapping, column: str) -> float | None:
  """Returns a finite number, or None for what is absent, empty, NaN or infinite."""
  number = row.get(column)
  return None if number is None or not math.isfinite(number) else float(number)


def chosen(rows: Sequence[Mapping]) -> tuple[list[dict], str]:
  """Returns rows that have the figures of the split by which choosing goes as `elbo`, `rate` ...

  And the name of the split: 'validation', or 'test' where there is none.
  """
  split = records.chosen_on(rows)
  begins = f'{split}/'
  own = [
    {name.removeprefix(begins): row[name] for name in row if name.startswith(begins)}
    for row in rows
  ]
  return [{**row, **figures} for row, figures in zip(rows, own, strict=True)], split


def is_lost(row: Mapping) -> bool:
  """Says whether a lane diverged or failed: what it last measured is not its result."""
  return row['status'] in ('diverged', 'failed')


def lane_fields(rows: Sequence[Mapping]) -> list[str]:
  """Returns the hyperparameters of a lane: what stands before `beta_normalised`, but its state."""
  names = list(rows[0])
  state = records.schemas.names(records.schemas.RESULTS_BEFORE)
  return [name for name in names[: names.index('beta_normalised')] if name not in state]


def pick(row: Mapping, fields: Sequence[str]) -> tuple:
  """Returns the values of these fields."""
  return tuple(row.get(name) for name in fields)


def ordered(tuples: Sequence[tuple]) -> list[tuple]:
  """Returns the different tuples, ascending; None comes first and text last."""
  return sorted(
    dict.fromkeys(tuples), key=lambda each: [(v is not None, isinstance(v, str), v) for v in each]
  )


def sweep(rows: Sequence[Mapping]) -> Sweep:
  """Returns how the settings of these rows, all of a study, are told apart.

  The first field that varies gets the colour, beta before all others; a field that follows from it
  stands beside it, and the rest get the line style. With more of these than there are line styles,
  every setting has a colour of its own.
  """
  names = [name for name in lane_fields(rows) if name not in ('latent_size', 'seed')]
  varying = [name for name in names if _count(rows, [name]) > 1] or ['beta']
  first = varying[:1]
  dashed = [name for name in varying if _count(rows, [*first, name]) > _count(rows, first)]
  if _count(rows, dashed) > len(style.DASHES):
    dashed = []
  fields = [name for name in varying if name not in dashed]
  variants = ordered([pick(row, dashed) for row in rows])
  return Sweep(
    fields=tuple(fields),
    settings=ordered([pick(row, fields) for row in rows]),
    dashed=tuple(dashed),
    dashes=dict(zip(variants, style.DASHES, strict=False)),
  )


def told_apart(rows: Sequence[Mapping]) -> Sweep:
  """Returns `sweep`, or one without fields where lines of as many cells could not be told apart.

  The lanes of each latent size are one cell then.
  """
  swept = sweep(rows)
  if len(cells(rows, swept=swept)) <= _MOST_CELLS:
    return swept
  return Sweep(fields=(), settings=[()], dashed=(), dashes={(): style.DASHES[0]})


def is_ordered(swept: Sweep) -> bool:
  """Says whether the first field alone tells the settings apart, so that they stand in a row."""
  return len({setting[0] for setting in swept.settings}) == len(swept.settings)


def _count(rows: Sequence[Mapping], fields: Sequence[str]) -> int:
  return len({pick(row, fields) for row in rows})


def cells(
  rows: Sequence[Mapping], columns: Sequence[str] = (), swept: Sweep | None = None
) -> list[Cell]:
  """Groups all rows of a study by latent size, variant and setting, in that order.

  The `lanes` of a cell have a value in every one of `columns`. `swept` is how settings are told
  apart, None for that of `sweep`.
  """
  if not rows:
    return []
  swept = sweep(rows) if swept is None else swept
  fields = ('latent_size', *swept.dashed, *swept.fields)
  groups = {}
  for row in rows:
    groups.setdefault(pick(row, fields), []).append(row)
  return [_cell(groups[key], swept, columns) for key in ordered(groups)]


def _cell(rows: Sequence[Mapping], swept: Sweep, columns: Sequence[str]) -> Cell:
  """Returns the cell of rows that differ in their seed alone."""
  return Cell(
    beta=float(rows[0]['beta']),
    latent_size=int(rows[0]['latent_size']),
    setting=pick(rows[0], swept.fields),
    variant=pick(rows[0], swept.dashed),
    lanes=[
      row
      for row in rows
      if not is_lost(row) and all(value(row, column) is not None for column in columns)
    ],
    lost=[row['status'] for row in rows if is_lost(row)],
  )


def title(fields: Sequence[str]) -> str:
  """Returns what a legend or an axis calls these fields: 'β', 'learning rate'."""
  return ', '.join('β' if name == 'beta' else name.replace('_', ' ') for name in fields)


def label(values: Sequence) -> str:
  """Returns what a legend or an axis calls these values of fields: '0.5', 'linear, 1000'."""
  return ', '.join(
    style.plain(v) if isinstance(v, float) else 'none' if v is None else str(v) for v in values
  )


def dashed_section(swept: Sweep) -> dict[str, list[Line2D]]:
  """Returns the section of a legend that tells the line styles; none where there is one."""
  if not swept.dashed:
    return {}
  handles = [
    Line2D([], [], color='0.4', linewidth=1.2, linestyle=dash, label=label(variant))
    for variant, dash in swept.dashes.items()
  ]
  return {title(swept.dashed): handles}


def notes(rows: Sequence[Mapping], swept: Sweep | None = None) -> list[str]:
  """Returns what a reader must know of the lanes: what a mean is over, who is missing.

  `swept` is of a picture that draws quantiles where lanes are many; None for one of means alone.
  """
  found = [_mean_note(rows, swept)]
  for status, words in (
    ('diverged', 'diverged and left out'),
    ('failed', 'failed and left out'),
    ('running', 'still running'),
  ):
    count = sum(row['status'] == status for row in rows)
    found.append(f'{count} of {len(rows)} lanes {words}' if count else '')
  return [note for note in found if note]


def _mean_note(rows: Sequence[Mapping], swept: Sweep | None) -> str:
  """Returns for example 'mean over 2 seeds', or '' for one lane a point."""
  sizes = [len(cell.lanes) + len(cell.lost) for cell in cells(rows, swept=swept)]
  if max(sizes) == 1:
    return ''
  middle = 'median' if swept is not None and max(sizes) > MOST_LINES else 'mean'
  unit = 'seeds' if swept is None or swept.fields else 'lanes'
  return f'{middle} over {"" if min(sizes) == max(sizes) else "up to "}{max(sizes)} {unit}'


def spread(items: Sequence, count: int) -> list:
  """Returns at most `count` items, evenly spread, the first and the last among them."""
  if len(items) <= count:
    return list(items)
  return [items[round(i)] for i in np.linspace(0, len(items) - 1, count)] if count > 0 else []


def frame(priced: Sequence[float], free: Sequence[float]) -> tuple[float, float]:
  """Returns the limits of an axis: all values of lanes with beta > 0, those of beta = 0 if near.

  With beta = 0 nothing holds the rate down, and one such lane would press all others into a corner.
  Near is within once the range of the priced values; all are, if those have no range.
  """
  low, high = (min(priced), max(priced)) if priced else (0.0, 0.0)
  reach = (high - low) or float('inf')
  shown = [*priced, *(number for number in free if low - reach <= number <= high + reach)]
  return min(shown), max(shown)
