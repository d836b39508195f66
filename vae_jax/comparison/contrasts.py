"""Standard errors of sums of means over the points of two studies."""

from collections.abc import Sequence

import numpy as np

from vae_jax.verdict import differences


def errors_of(
  one: Sequence[np.ndarray], other: Sequence[np.ndarray], paired: bool, weights: np.ndarray
) -> tuple[np.ndarray, int]:
  """Returns the standard error of each contrast, and the degrees of freedom of them all.

    s.e.^2 = w^T (images' covariance of the means + seeds' variances) w

  as in `verdict.differences`. NaN where neither images nor seeds say anything.

  Args:
    one, other: values [S, n] of the lanes of each point of the sides A and B; n is 1 where only the
      means are known.
    paired: whether the images of the two sides are the same.
    weights: [K, P_A + P_B], of the means.
  """
  if paired:
    return _errors([_means([*one, *other])], [weights])
  return _errors([_means(one), _means(other)], np.split(weights, [len(one)], axis=1))


def _errors(
  sides: Sequence[differences.Means], weights: Sequence[np.ndarray]
) -> tuple[np.ndarray, int]:
  variance = sum(map(_variance, sides, weights))
  return np.sqrt(variance), min(means.degrees for means in sides)


def _variance(means: differences.Means, weights: np.ndarray) -> np.ndarray:
  """Returns the variance [K] of contrasts of one side."""
  if means.num_images == 1 and not np.any(means.seeds > 1):
    return np.full(len(weights), np.nan)
  images = np.nan_to_num(means.of_images)  # of one image nothing is known
  of_images = np.maximum(np.einsum('kp,pq,kq->k', weights, images, weights), 0.0)
  rounding = 1e-13 * (np.square(weights) @ np.diag(images))  # of equal lanes
  return np.where(of_images < rounding, 0.0, of_images) + np.square(weights) @ means.of_seeds


def _means(points: Sequence[np.ndarray]) -> differences.Means:
  ends = np.cumsum([len(point) for point in points])
  lanes = [range(end - len(point), end) for end, point in zip(ends, points, strict=True)]
  return differences.means_of(np.concatenate(points), lanes)
