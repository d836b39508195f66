"""The mean difference of two rate-distortion curves at equal rate.

As of codecs (Bjontegaard 2001, VCEG-M33), in nats and over the rate itself: with R -> D_A(R) and
R -> D_B(R) through the points of two studies,

  delta D = 1 / (R_1 - R_0) int_{R_0}^{R_1} D_B(R) - D_A(R) dR

over the rates [R_0, R_1] that both have. Below 0 B is better: less distortion at equal rate. The
curves are monotone cubic interpolants (PCHIP), so that no curve has a bend that its points lack.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import interpolate, special

from vae_jax import errors
from vae_jax.comparison import contrasts

_STEP = 1e-4  # of a finite difference, as a share of the range of the rates


class Gap(NamedTuple):
  """delta D of two curves; nats, below 0 where B is better.

  Attributes:
    mean: the difference.
    stderr: its standard error, from images where they are known and from seeds where there are
      several; NaN where neither is.
    degrees: of freedom of that.
    low, high: the rates that both have, nats.
  """

  mean: float
  stderr: float
  degrees: int
  low: float
  high: float

  def interval(self, level: float = 0.95) -> tuple[float, float]:
    """Returns the confidence interval of the mean."""
    reach = special.stdtrit(self.degrees, (1 + level) / 2) * self.stderr
    return self.mean - reach, self.mean + reach


class Curve(NamedTuple):
  """The points of one study that differ by beta alone.

  Attributes:
    rates: of each point [S, n]: of its lanes, of every image, nats; n is 1 where only the means are
      known.
    distortions: the same.
  """

  rates: Sequence[np.ndarray]
  distortions: Sequence[np.ndarray]

  def means(self) -> np.ndarray:
    """Returns the mean rate and distortion of each point, [2, P]."""
    return np.array([[np.mean(p) for p in part] for part in self])


def overlap(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
  """Returns the rates that two curves both have.

  Args:
    one, other: rates and distortions, [2, P].

  Raises:
    InputError: there are none, or a curve has a single rate.
  """
  ends = [(float(rates.min()), float(rates.max())) for rates, _ in (one, other)]
  low, high = max(start for start, _ in ends), min(stop for _, stop in ends)
  if not low < high:
    said = ' and '.join(f'{start:.4g} to {stop:.4g}' for start, stop in ends)
    raise errors.InputError(f'the rates do not overlap: {said} nats')
  return low, high


def delta(one: np.ndarray, other: np.ndarray) -> float:
  """Returns delta D of two curves given as rates and distortions, [2, P] each."""
  low, high = overlap(one, other)
  areas = [_curve(*points).integrate(low, high) for points in (one, other)]
  return float(areas[1] - areas[0]) / (high - low)


def at(points: np.ndarray, rate: float) -> float:
  """Returns the distortion of a curve [2, P] at a rate, NaN beyond its ends."""
  return float(_curve(*points)(rate, extrapolate=False))


def _curve(rates: np.ndarray, distortions: np.ndarray) -> interpolate.PchipInterpolator:
  """Returns R -> D; points of the same rate are one, at their mean."""
  at, index = np.unique(rates, return_inverse=True)
  means = np.bincount(index, distortions) / np.bincount(index)
  return interpolate.PchipInterpolator(at, means)


def gaps(one: Sequence[Curve], other: Sequence[Curve], paired: bool) -> tuple[Gap, list[Gap]]:
  """Returns the mean delta D over pairs of curves, and that of each, by the delta method.

  To first order delta D is a sum of g_R R + g_D D over the points, g its slopes; so the images and
  the seeds make it uncertain as they do a difference of means: see `contrasts`.

  Args:
    one, other: the curves A and B, [L]; their rates overlap.
    paired: whether the images of the two are the same.
  """
  pairs = [(a.means(), b.means()) for a, b in zip(one, other, strict=True)]
  values = [
    [part for pair, curve in zip(pairs, curves, strict=True) for part in _linear(pair, side, curve)]
    for side, curves in enumerate((one, other))
  ]
  belongs = np.concatenate(
    [np.repeat(np.arange(len(c)), [len(x.rates) for x in c]) for c in (one, other)]
  )
  weights = np.arange(len(pairs))[:, None] == belongs
  weights = np.concatenate([np.full((1, len(belongs)), 1 / len(pairs)), weights])
  stderr, degrees = contrasts.errors_of(*values, paired, weights)
  ends = [overlap(*pair) for pair in pairs]
  means = [delta(*pair) for pair in pairs]
  each = [
    Gap(mean, float(error), degrees, *end)
    for mean, error, end in zip(means, stderr[1:], ends, strict=True)
  ]
  low, high = min(end[0] for end in ends), max(end[1] for end in ends)
  return Gap(float(np.mean(means)), float(stderr[0]), degrees, low, high), each


def _linear(points: Sequence[np.ndarray], side: int, curve: Curve) -> list[np.ndarray]:
  """Returns g_R R + g_D D of the points of one side, [P] of [S, n]."""
  slopes = _slopes(points, side).T
  return [g[0] * r + g[1] * d for g, r, d in zip(slopes, *curve, strict=True)]


def _slopes(points: Sequence[np.ndarray], side: int) -> np.ndarray:
  """Returns the slopes of delta D in the rates and distortions of one side, [2, P]."""
  slopes = np.zeros_like(points[side])
  step = _STEP * np.ptp(np.concatenate([both[0] for both in points]))
  for at in np.ndindex(slopes.shape):
    values = []
    for sign in (1, -1):
      moved = [part.copy() for part in points]
      moved[side][at] += sign * step
      values.append(delta(*moved))
    slopes[at] = (values[0] - values[1]) / (2 * step)
  return slopes
