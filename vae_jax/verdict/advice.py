"""What the next run should resolve: images, seeds, samples or other values of a field."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from scipy import special

from vae_jax.verdict.differences import Differences, Means
from vae_jax.verdict.points import Point
from vae_jax.verdict.units import Growth, Onset

_POWER = 0.8
_MOST_IMAGES = 10_000_000  # what would need more is as good as equal
_MOST_SEEDS = 1000
_MOST_LONELY = 0.1  # of the images may hang on one importance sample
_EDGED = ('beta', 'latent_size', 'learning_rate')


class Need(NamedTuple):
  """What would tell a point from the best one, were their difference what was measured.

  Attributes:
    images: None where so many do not decide, or no number that could be had.
    seeds: a point; None where those that there are do, or no number that could be had.
  """

  images: int | None
  seeds: int | None


class Edge(NamedTuple):
  """The best point lies at the edge of a field.

  Attributes:
    field: its name.
    value: there.
    add: the value to add beyond it.
  """

  field: str
  value: float
  add: float


def need(means: Means, differences: Differences, point: int, best: int, critical: float) -> Need:
  """Returns how many images, or seeds and images, would show a difference with a power of 80 %.

    |d| = (t + z_0.8) s.e.,    s.e.^2 = images' part * n / n' + seeds' part * S / S'

  Where the seeds' part alone is too large for that, so many seeds that it takes half of what there
  may be, and images for the other half.

  Args:
    means, differences: as measured.
    point, best: of which.
    critical: Student's statistic that decides.
  """
  distance = abs(differences.mean[point, best])
  images, seeds = differences.images[point, best], differences.seeds[point, best]
  allowed = (distance / (critical + special.ndtri(_POWER))) ** 2
  if not allowed > 0 or not images + seeds > 0:
    return Need(None, None)
  if allowed > seeds:
    return Need(_count(means.num_images * images / (allowed - seeds), _MOST_IMAGES), None)
  each = max(means.seeds[point], means.seeds[best])
  more = _count(each * seeds / (allowed / 2), _MOST_SEEDS)
  count = _count(means.num_images * images / (allowed / 2), _MOST_IMAGES)
  if more is None or count is None:
    return Need(None, None)
  return Need(max(count, means.num_images), more)


def _count(number: float, most: int) -> int | None:
  """Returns a number of things, rounded up to two digits; None where it is too large."""
  if number > most:
    return None
  unit = 10 ** max(0, math.floor(math.log10(max(number, 1))) - 1)
  return max(2, math.ceil(number / unit) * unit)


def edges(
  points: Sequence[Point], best: Point, onsets: Sequence[Onset], growths: Sequence[Growth]
) -> list[Edge]:
  """Returns the fields at whose edge the best point lies, where a value beyond could be better.

  The step on is the last one again, as a factor. A latent size beyond one to which the largest adds
  no active unit is not worth a lane, nor is a beta beyond one that leaves none active.
  """
  is_over = {'beta': _has_collapsed(best, onsets), 'latent_size': _has_stopped(best, growths)}
  found = []
  for field in _EDGED:
    values = sorted({point.fields[field] for point in points if field in point.fields})
    if len(values) < 2:
      continue
    here, whole = best.fields[field], isinstance(values[0], int)
    if here == values[-1] and not is_over.get(field):
      found.append(Edge(field, here, _beyond(values[-2], here, whole)))
    elif here == values[0] and here > int(whole):
      found.append(Edge(field, here, _beyond(values[1], here, whole)))
  return found


def _has_collapsed(best: Point, onsets: Sequence[Onset]) -> bool:
  rest = _without(best, 'beta')
  return any(
    onset.fields == rest and onset.none_from is not None and onset.none_from <= best.fields['beta']
    for onset in onsets
  )


def _has_stopped(best: Point, growths: Sequence[Growth]) -> bool:
  rest = _without(best, 'latent_size')
  return any(growth.fields == rest and growth.stops_at < growth.largest for growth in growths)


def _without(point: Point, field: str) -> dict[str, Any]:
  return {name: value for name, value in point.fields.items() if name != field}


def _beyond(before: float, here: float, whole: bool) -> float:
  """Returns the next value after `before` and `here`, by the same factor."""
  factor = here / before if before > 0 else 2.0
  value = here * factor
  if not whole:
    return float(f'{value:.2g}')
  return max(1, math.floor(value)) if factor < 1 else math.ceil(value)


def too_few_samples(
  rows: Sequence[Mapping[str, Any]], lanes: Sequence[int], split: str
) -> list[str]:
  """Returns the lanes whose NLL hangs on one sample for more than a tenth of the images."""
  column = f'{split}/low_effective_fraction'
  return [rows[i]['name'] for i in lanes if (rows[i].get(column) or 0.0) > _MOST_LONELY]
