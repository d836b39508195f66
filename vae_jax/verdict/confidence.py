"""The model confidence set: the points that the data cannot tell from the best one."""

from typing import NamedTuple

import numpy as np

from vae_jax.verdict.differences import Differences, Means

_DRAWS = 10_000  # a p-value of 0.05 is then within 0.002
_DRAWS_SEED = 20_110_301


class Confidence(NamedTuple):
  """A model confidence set.

  Attributes:
    p_value: [P] the level at which each point leaves the set; 1 for the last one.
    inside: [P] whether it is in the set.
    critical: Student's statistic that a pair of the set would have to reach.
  """

  p_value: np.ndarray
  inside: np.ndarray
  critical: float


def confidence_set(means: Means, differences: Differences, alpha: float) -> Confidence:
  """Returns the set that holds all best points with probability 1 - alpha at least.

  Hansen, Lunde & Nason 2011 (doi.org/10.3982/ECTA5771), with the statistic T_R = max_pq |t_pq| over
  all pairs that are left and the elimination of argmax_p max_q t_pq: so neither the number of
  points nor that the best was chosen by the same data has to be corrected for elsewhere. The law of
  T_R where all are equal is that of the largest of correlated Student's variables, by simulation
  from the covariance of the means. Where k points are equally good the set holds all k with
  probability 1 - alpha; a single best one, well apart from the others, with probability 1 (the
  level is not attained there).

  Args:
    means: lower is better.
    differences: of the means.
    alpha: such as 0.05.
  """
  order, statistics = _elimination(differences.t)
  p_value = np.ones(len(order))
  if len(order) == 1:
    return Confidence(p_value, p_value > 0, 0.0)
  maxima = np.zeros(_DRAWS)
  found, critical = [], {}
  draws, stderr = _draws(means), differences.stderr
  for k in range(len(order) - 2, -1, -1):
    here, rest = order[k], order[k + 1 :]
    np.maximum(maxima, _largest(draws, stderr, here, rest), out=maxima)
    found.append(np.mean(maxima >= statistics[k]))
    critical[k] = float(np.quantile(maxima, 1 - alpha))
  p_value[order[:-1]] = np.maximum.accumulate(found[::-1])
  inside = p_value > alpha
  first = len(order) - int(inside.sum())  # of the set, in the order in which points leave
  return Confidence(p_value, inside, critical[min(first, len(order) - 2)])


def _elimination(t: np.ndarray) -> tuple[list[int], list[float]]:
  """Returns the points in the order in which they leave, and T_R before each leaves."""
  left = list(range(len(t)))
  order, statistics = [], []
  while len(left) > 1:
    worst = t[np.ix_(left, left)].max(axis=1)
    k = int(np.argmax(worst))
    order.append(left.pop(k))
    statistics.append(float(worst[k]))
  return [*order, left[0]], statistics


def _draws(means: Means) -> np.ndarray:
  """Returns draws [B, P] of the errors of the means, in units of what their variances show."""
  generator = np.random.default_rng(_DRAWS_SEED)
  values, vectors = np.linalg.eigh(_covariance(means))
  normal = generator.standard_normal((_DRAWS, len(values)))
  scale = np.sqrt(generator.chisquare(means.degrees, (_DRAWS, 1)) / means.degrees)
  return normal @ (vectors * np.sqrt(np.maximum(values, 0.0))).T / scale


def _covariance(means: Means) -> np.ndarray:
  images = np.nan_to_num(means.of_images)  # of one image nothing is known, and every t is 0
  return images + np.diag(means.of_seeds)


def _largest(draws: np.ndarray, stderr: np.ndarray, here: int, rest: list[int]) -> np.ndarray:
  """Returns max_q |t_pq| over the points q that are left, [B]; 0 of pairs that are equal."""
  spread = stderr[here, rest]
  known = spread > 0
  distance = np.abs(draws[:, [here]] - draws[:, rest])
  return np.max(distance[:, known] / spread[known], axis=1, initial=0.0)
