"""The model confidence set: the points that the data cannot tell from the best one."""

from typing import Any, NamedTuple

import numpy as np
from scipy import special

from vae_jax.verdict.differences import Differences, Means, seeds_part

_DRAWS = 10_000  # a p-value of 0.05 is then within 0.002
_DRAWS_SEED = 20_110_301
_FEW = 6  # degrees of freedom below which the seeds' share of a variance is hardly known


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
  T_R where all are equal is simulated, with the errors of the variances that divide it; see
  `_draws`. Where k points are equally good the set holds all k with probability 1 - alpha; a single
  best one, well apart from the others, with probability 1 (the level is not attained there).

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
  draws = _draws(means)
  for k in range(len(order) - 2, -1, -1):
    here, rest = order[k], order[k + 1 :]
    np.maximum(maxima, _largest(draws, differences, here, rest), out=maxima)
    # A pair by itself has a level, too, and among more pairs none is decided sooner. The draws,
    # which take each point's few seeds for what they were found to be, may have it otherwise.
    alone = 2 * special.stdtr(differences.degrees, -statistics[k])
    found.append(max(np.mean(maxima >= statistics[k]), alone))
    least = -special.stdtrit(differences.degrees, alpha / 2)
    critical[k] = max(float(np.quantile(maxima, 1 - alpha)), least)
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


class _Draws(NamedTuple):
  """What chance makes of points that are equal, B times.

  Attributes:
    errors: [B, P] of the means.
    images: [B, 1] what the images' part of every variance is estimated at, as a share of it.
    seeds: [B, P] what the seeds' parts are estimated at.
  """

  errors: np.ndarray
  images: np.ndarray
  seeds: np.ndarray


def _draws(means: Means) -> _Draws:
  """Returns draws of the errors of the means, and of their variances as they would be estimated.

  A parametric bootstrap, as for the analysis of variance with unequal variances (Krishnamoorthy, Lu
  & Mathew 2007, doi.org/10.1016/j.csda.2006.09.039): each point's variance between seeds is drawn
  with its own degrees of freedom about what it was found to be, and then goes through
  `seeds_part` as the found ones did. Of fewer than 6 degrees of freedom in all it is not known how
  much of a variance the seeds make up: there all of it is taken to be known as badly as their part.
  """
  generator = np.random.default_rng(_DRAWS_SEED)

  def shares(degrees: Any, count: int) -> np.ndarray:
    return generator.chisquare(np.maximum(degrees, 1), (_DRAWS, count)) / np.maximum(degrees, 1)

  of_images = np.nan_to_num(means.of_images)  # of one image nothing is known, and every t is 0
  apart = np.sum(means.seeds - 1) >= _FEW and means.num_images > 1
  own = np.maximum(means.between - means.noise, 0.0) / means.seeds if apart else means.of_seeds
  values, vectors = np.linalg.eigh(of_images + np.diag(own))
  normal = generator.standard_normal((_DRAWS, len(values)))
  errors = normal @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
  if not apart:
    images = shares(means.degrees, 1)
    return _Draws(errors, images, means.of_seeds * images)
  drawn = means.between * shares(means.seeds - 1, len(values))
  images = shares(means.num_images - 1, 1)
  return _Draws(errors, images, seeds_part(drawn, means.noise, means.seeds))


def _largest(draws: _Draws, differences: Differences, here: int, rest: list[int]) -> np.ndarray:
  """Returns max_q |t_pq| over the points q that are left, [B]; 0 of pairs that are equal."""
  rest = [q for q in rest if differences.stderr[here, q] > 0]
  variance = differences.images[here, rest] * draws.images
  variance += draws.seeds[:, [here]] + draws.seeds[:, rest]
  distance = np.abs(draws.errors[:, [here]] - draws.errors[:, rest])
  with np.errstate(divide='ignore', invalid='ignore'):
    t = np.nan_to_num(distance / np.sqrt(variance), nan=0.0, posinf=np.inf)
  return np.max(t, axis=1, initial=0.0)
