"""Points that two studies both have: how much better B is, at each and over all of them."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from vae_jax import lane_fields
from vae_jax.comparison import contrasts

Key = tuple[tuple[str, Any], ...]  # the lane fields of a point, but the seed


class Change(NamedTuple):
  """B less A; nats, below 0 where B is better.

  Attributes:
    mean: the difference of the means.
    stderr: its standard error, NaN where nothing is known of it.
    p_value: of the two-sided test; of a point corrected for the number of points, by Holm.
    degrees: of freedom of the error.
  """

  mean: float
  stderr: float
  p_value: float
  degrees: int


def points_of(
  rows: Sequence[Mapping[str, Any]], counted: Sequence[int]
) -> dict[Key, tuple[int, ...]]:
  """Returns the lanes of each point; a field that a run is older than is at its default.

  Args:
    rows: of results.csv.
    counted: the indices of the lanes that count.
  """
  found: dict[Key, list[int]] = {}
  for i in counted:
    fields = lane_fields.DEFAULTS | {
      name: rows[i][name] for name in lane_fields.NAMES if rows[i].get(name) is not None
    }
    key = tuple((name, value) for name, value in fields.items() if name != 'seed')
    found.setdefault(key, []).append(i)
  return {key: tuple(lanes) for key, lanes in found.items()}


def changes(
  one: Sequence[np.ndarray], other: Sequence[np.ndarray], paired: bool
) -> tuple[Change, list[Change]]:
  """Returns how B differs from A over all points, and at each.

  Args:
    one, other: values [S, n] of the lanes of each point, [P]; lower is better.
    paired: whether the images of the two are the same.
  """
  count = len(one)
  each = np.eye(count)
  weights = np.concatenate([np.full((1, count), 1 / count), each])
  weights = np.concatenate([-weights, weights], axis=1)  # B less A
  means = weights @ [np.mean(point) for point in (*one, *other)]
  stderr, degrees = contrasts.errors_of(one, other, paired, weights)
  with np.errstate(divide='ignore', invalid='ignore'):
    p_values = 2 * special.stdtr(degrees, -np.abs(means / stderr))
  p_values = np.where(means == 0, 1.0, p_values)
  p_values[1:] = holm(p_values[1:])
  overall, *points = map(
    Change, *np.array([means, stderr, p_values]).tolist(), [degrees] * (count + 1)
  )
  return overall, points


def holm(p_values: Sequence[float]) -> np.ndarray:
  """Returns p-values corrected for their number (Holm 1979); NaN stays, and counts."""
  p_values = np.asarray(p_values, float)
  order = np.argsort(p_values)  # NaN last
  factors = len(order) - np.arange(len(order))
  corrected = np.empty_like(p_values)
  corrected[order] = np.maximum.accumulate(np.minimum(1.0, factors * p_values[order]))
  return corrected
