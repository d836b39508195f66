"""From rows of results.csv to the points of a picture: one cell per (beta, latent size)."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

# What a row says about itself; every other column without a split is a lane's hyperparameter.
_NOT_SWEPT = {'lane', 'name', 'status', 'step', 'beta', 'latent_size', 'beta_normalised'}
_NOT_SWEPT |= {'seconds', 'steps_per_second'}


class Cell(NamedTuple):
  """The lanes that share beta and latent size; they differ in seed, learning rate and so on.

  Attributes:
    lanes: the rows with a value for what is drawn; a mean is taken over these.
    lost: the status of each lane that diverged or failed.
  """

  beta: float
  latent_size: int
  lanes: list[Mapping]
  lost: list[str]

  def mean(self, column: str) -> float:
    """Returns the mean of a column over the lanes; there must be at least one."""
    return float(np.mean([value(row, column) for row in self.lanes]))


def value(row: Mapping, column: str) -> float | None:
  """Returns a finite number, or None for what is absent, empty, NaN or infinite."""
  number = row.get(column)
  return None if number is None or not math.isfinite(number) else float(number)


def is_lost(row: Mapping) -> bool:
  """Says whether a lane diverged or failed: what it last measured is not its result."""
  return row['status'] in ('diverged', 'failed')


def cells(rows: Sequence[Mapping], columns: Sequence[str]) -> list[Cell]:
  """Groups rows by (latent size, beta), in that order; `lanes` have a value in every column."""
  groups = {}
  for row in rows:
    groups.setdefault((int(row['latent_size']), float(row['beta'])), []).append(row)

  def is_drawn(row):
    return not is_lost(row) and all(value(row, column) is not None for column in columns)

  return [
    Cell(
      beta,
      latent_size,
      lanes=list(filter(is_drawn, group)),
      lost=[row['status'] for row in group if is_lost(row)],
    )
    for (latent_size, beta), group in sorted(groups.items())
  ]


def notes(rows: Sequence[Mapping]) -> list[str]:
  """Returns what a reader must know of the lanes: what a mean is over, who is missing."""
  found = [_mean_note(rows)]
  for status, words in (
    ('diverged', 'diverged and left out'),
    ('failed', 'failed and left out'),
    ('running', 'still running'),
  ):
    count = sum(row['status'] == status for row in rows)
    found.append(f'{count} of {len(rows)} lanes {words}' if count else '')
  return [note for note in found if note]


def _mean_note(rows: Sequence[Mapping]) -> str:
  """Returns for example 'mean over 2 seeds × 3 learning rates', or '' for one lane a point."""
  groups = {}
  for row in rows:
    groups.setdefault((row['latent_size'], row['beta']), []).append(row)
  largest = max(groups.values(), key=len)
  if len(largest) == 1:
    return ''
  columns = [name for name in largest[0] if name not in _NOT_SWEPT and '/' not in name]
  counts = {name: len({row.get(name) for row in largest}) for name in columns}
  swept = {name: count for name, count in counts.items() if count > 1}
  same_size = all(len(group) == len(largest) for group in groups.values())
  if not same_size or math.prod(swept.values()) != len(largest):
    return f'mean over {"" if same_size else "up to "}{len(largest)} lanes a point'
  names = [f'{count} {name.replace("_", " ")}s' for name, count in swept.items()]
  return 'mean over ' + ' × '.join(names)


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
