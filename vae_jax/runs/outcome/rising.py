"""Whether the learning curves of a run still rise at its end."""

import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from vae_jax import lanes, records
from vae_jax.study import Study

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


def warn_of_rising(study: Study, directory: pathlib.Path) -> None:
  """Warns, in one line, of the lanes whose objective still rises at the last step.

  That is, of which a tenth as many steps again would bring a tenth of a nat at least, were they to
  go on as over the last quarter of their evaluations, or the last four. Evaluations before the end
  of a warm-up of beta or of the capacity are of another objective, and those of a lane that is held
  at a rate all have their own.
  """
  name, total = f'{study.chosen_on}/objective', study.train.steps
  rows = [
    row for row in records.read_metrics(directory / 'metrics.jsonl') if row.get(name) is not None
  ]
  found = {}
  for i, point in enumerate(study.points):
    curve = {row['step']: row[name] for row in rows if row['lane'] == i}
    last = _last(curve, point)
    if total in curve and len(last) >= _FEWEST:
      slope = slope_of(last, [curve[step] for step in last])
      if slope.least * total / 10 >= _GAIN:
        found[study.names[i]] = slope.mean
  if found:
    lane, most = max(found.items(), key=lambda item: item[1])
    logging.warning(
      'the learning curve still rises at step %d in %d of %d lanes, most in %s: %s by %.2g nats in '
      '1,000 steps; train.steps is small for them',
      *(total, len(found), len(study.points), lane, name, 1000 * most),
    )


def _last(curve: Mapping[int, float], point: lanes.Point) -> list[int]:
  """Returns the steps of the evaluations of a lane that are looked at."""
  if point['warmup'] == 'cyclical' or point['target_rate']:
    return []
  ramp = max(point['warmup_steps'], point['capacity_steps'])
  steps = sorted(step for step in curve if step > ramp)
  return steps[-max(_FEWEST, len(steps) // _PART) :]
