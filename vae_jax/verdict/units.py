"""Where collapse sets in along beta, and from which latent size on active units stop growing."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vae_jax.verdict.points import Point


class Onset(NamedTuple):
  """Collapse along beta, of points that differ by beta alone.

  Attributes:
    fields: what the points have in common.
    first: the smallest beta.
    units: the mean number of active units there.
    fewer_from: the first beta at which every seed has fewer active units than any has at `first`;
      None where there is none.
    none_from: the first beta from which on no seed has any; None where there is none.
  """

  fields: dict[str, Any]
  first: float
  units: float
  fewer_from: float | None
  none_from: float | None


class Growth(NamedTuple):
  """Active units over the latent size, of points that differ by that alone.

  Attributes:
    fields: what the points have in common.
    stops_at: the smallest latent size to which no larger one adds: none has more active units with
      every seed than this one has with any.
    units: the mean number of active units there.
    largest: the largest latent size; where `stops_at` is that, nothing has stopped.
  """

  fields: dict[str, Any]
  stops_at: int
  units: float
  largest: int


Counts = Mapping[str, Sequence[float]]  # name of a point -> active units of its lanes, known ones


def onsets(points: Sequence[Point], counts: Counts) -> list[Onset]:
  """Returns where collapse sets in, for every line of at least two betas."""
  found = []
  for fields, line in _lines(points, counts, 'beta'):
    (first, units), *later = line
    fewer = [beta for beta, here in later if max(here) < min(units)]
    alive = [beta for beta, here in line if max(here) > 0]
    none = [beta for beta, _ in line if not alive or beta > max(alive)]
    found.append(
      Onset(fields, first, _mean(units), min(fewer, default=None), min(none, default=None))
    )
  return found


def growths(points: Sequence[Point], counts: Counts) -> list[Growth]:
  """Returns where active units stop growing, for every line of at least two latent sizes."""
  found = []
  for fields, line in _lines(points, counts, 'latent_size'):
    for i, (size, units) in enumerate(line):
      if all(min(larger) <= max(units) for _, larger in line[i + 1 :]):
        found.append(Growth(fields, size, _mean(units), line[-1][0]))
        break
  return found


def _lines(
  points: Sequence[Point], counts: Counts, axis: str
) -> list[tuple[dict[str, Any], list[tuple[Any, Sequence[float]]]]]:
  """Returns (what points have in common, (value on the axis, counts) in order) of every line."""
  lines: dict[tuple, list] = {}
  for point in points:
    if axis in point.fields and counts[point.name]:
      common = tuple((name, value) for name, value in point.fields.items() if name != axis)
      lines.setdefault(common, []).append((point.fields[axis], counts[point.name]))
  ordered = (
    (dict(common), sorted(line, key=lambda each: each[0])) for common, line in lines.items()
  )
  return [(common, line) for common, line in ordered if len(line) > 1]


def _mean(units: Sequence[float]) -> float:
  return sum(units) / len(units)
