"""Whether the learning curves of lanes still rise at their end."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import special

_FEWEST = 4  # evaluations that tell a slope from noise
_PART = 4  # of all evaluations, the last one of so many parts
_CERTAIN = 0.99  # one-sided
_GAIN = 0.1  # nats that a tenth as many steps again would bring, from which on it is said


class Slope(NamedTuple):
  """How a curve rises over its last evaluations, in nats a step."""

  mean: float
  least: float  # with 99 % certainty


def slope_of(steps: Sequence[int], values: Sequence[float]) -> Slope:
  """Returns the slope of a line through a curve, by least squares, and what it is at least.

  Its standard error is that of the residuals about the line, at n - 2 degrees of freedom: the noise
  of the evaluations, and how much the curve bends.
  """
  x, y = np.asarray(steps, float), np.asarray(values, float)
  x = x - x.mean()
  mean = float(x @ y / (x @ x))
  residuals = y - y.mean() - mean * x
  freedom = len(x) - 2
  error = np.sqrt(residuals @ residuals / freedom / (x @ x))
  return Slope(mean, float(mean - special.stdtrit(freedom, _CERTAIN) * error))


def still_rising(
  metrics: Sequence[Mapping[str, Any]],
  points: Mapping[int, Mapping[str, Any]],
  split: str,
  total: int,
) -> dict[int, float]:
  """Returns the slopes, in nats a step, of the lanes whose objective still rises at the last step.

  That is, of which a tenth as many steps again would bring a tenth of a nat at least, were they to
  go on as over the last quarter of their evaluations, or the last four. Evaluations before the end
  of a warm-up of beta or of the capacity are of another objective, and those of a lane that is held
  at a rate all have their own.

  Args:
    metrics: the rows of metrics.jsonl.
    points: the fields of lanes, by their number.
    split: whose objective it is.
    total: the last step.
  """
  curves: dict[int, dict[int, float]] = {lane: {} for lane in points}
  for row in metrics:
    if row['lane'] in curves and row.get(f'{split}/objective') is not None:
      curves[row['lane']][row['step']] = row[f'{split}/objective']
  found = {}
  for lane, curve in curves.items():
    last = _last(curve, points[lane])
    if total in curve and len(last) >= _FEWEST:
      slope = slope_of(last, [curve[step] for step in last])
      if slope.least * total / 10 >= _GAIN:
        found[lane] = slope.mean
  return found


def _last(curve: Mapping[int, float], point: Mapping[str, Any]) -> list[int]:
  """Returns the steps of the evaluations of a lane that are looked at."""
  if point['warmup'] == 'cyclical' or point['target_rate']:
    return []
  ramp = max(point['warmup_steps'], point['capacity_steps'])
  steps = sorted(step for step in curve if step > ramp)
  return steps[-max(_FEWEST, len(steps) // _PART) :]
