"""Differences of means over images and seeds: their standard errors, and how far to trust these.

A value Y_psi (point p, seed s, image i; nats) is taken as

  Y_psi = mu_p + a_i + c_pi + b_ps + e_psi

with the images and the seeds drawn at random and crossed: every lane sees the same images. a_i, how
hard an image is, is by far the largest part, and drops out of every difference. What is said of
mu_p - mu_q is of new images and of new seeds; with one seed a point, of these seeds alone.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

_ROUNDING = 1e-13  # what it leaves of the variance between equal lanes, as a share


class Means(NamedTuple):
  """The means of P points, and what their differences are uncertain by.

  Attributes:
    mean: [P] over seeds and images.
    of_images: [P, P] covariance of the means from the images; NaN of one image.
    of_seeds: [P] variance of the means from the seeds, 0 where no point has two.
    between: [P] variance of one seed's mean about the others', of a point of one seed the pooled.
    noise: [P] what of it the images make up.
    seeds: [P] how many.
    degrees: of freedom that the standard errors have.
    num_images: n.
  """

  mean: np.ndarray
  of_images: np.ndarray
  of_seeds: np.ndarray
  between: np.ndarray
  noise: np.ndarray
  seeds: np.ndarray
  degrees: int
  num_images: int


class Differences(NamedTuple):
  """mu_p - mu_q of all pairs, [P, P]: positive where q is the better one of a loss.

  Attributes:
    mean: of the difference.
    images: the part of its variance from the images.
    seeds: the part from the seeds.
    degrees: of freedom of all the variances.
  """

  mean: np.ndarray
  images: np.ndarray
  seeds: np.ndarray
  degrees: int

  @property
  def stderr(self) -> np.ndarray:
    """Standard errors."""
    return np.sqrt(self.images + self.seeds)

  @property
  def t(self) -> np.ndarray:
    """Student's statistics; 0 where there is no difference, or where nothing is known of it."""
    with np.errstate(divide='ignore', invalid='ignore'):
      return np.nan_to_num(self.mean / self.stderr, nan=0.0, posinf=np.inf, neginf=-np.inf)

  @property
  def p_value(self) -> np.ndarray:
    """Of the two-sided test of each pair by itself."""
    return 2 * special.stdtr(self.degrees, -np.abs(self.t))


def means_of(values: np.ndarray, lanes: Sequence[Sequence[int]]) -> Means:
  """Returns the means of points over their lanes.

  All degrees of freedom are those of the seeds where there are several, whatever the images' share
  of a variance is: Satterthwaite's approximation, which weighs the two, rejects up to twice too
  often with two seeds.

  Args:
    values: [G, n].
    lanes: the rows of each point, [P] of [S].
  """
  num_images = values.shape[1]
  over_seeds = np.stack([values[list(rows)].mean(axis=0) for rows in lanes])  # [P, n]
  mean = over_seeds.mean(axis=1)
  centred = over_seeds - mean[:, None]
  with np.errstate(invalid='ignore', divide='ignore'):
    of_images = centred @ centred.T / np.float64(num_images - 1) / num_images
  seeds = np.array([len(rows) for rows in lanes])
  degrees, nothing = int(np.sum(seeds - 1)), np.zeros(len(lanes))
  between, noise, of_seeds = nothing, nothing, nothing
  if degrees:
    between, noise = np.array(
      [_seed_variances(values[list(rows)]) if len(rows) > 1 else (0.0, 0.0) for rows in lanes]
    ).T
    pooled = [np.sum((seeds - 1) * part) / degrees for part in (between, noise)]
    between, noise = (
      np.where(seeds > 1, part, of_all)
      for part, of_all in zip((between, noise), pooled, strict=True)
    )
    of_seeds = seeds_part(between, noise, seeds)
  most = num_images - 1 or degrees or 1  # of one image nothing is asked but the seeds' part
  degrees = min(degrees or most, most)
  return Means(mean, of_images, of_seeds, between, noise, seeds, degrees, num_images)


def seeds_part(between: np.ndarray, noise: np.ndarray, seeds: np.ndarray) -> np.ndarray:
  """Returns the variance [..., P] of the means from the seeds, out of that between the seeds.

  The variance between the seed means of a point has S - 1 degrees of freedom, of two seeds hardly
  any. So it counts as no smaller than the variance pooled over all points: cautious where a point
  varies less than others, and also where it varies more. What of it comes from the images (e_psi,
  which the images' part has already) is subtracted.

  Args:
    between, noise: see `Means`.
    seeds: [P].
  """
  pooled = np.sum((seeds - 1) * between, axis=-1, keepdims=True) / np.sum(seeds - 1)
  return np.maximum(np.maximum(between, pooled) - noise, 0.0) / seeds


def _seed_variances(values: np.ndarray) -> tuple[float, float]:
  """Returns the variance of the seed means of a point [S, n], and what of it the images make up."""
  count, num_images = values.shape
  means = values.mean(axis=1)
  if num_images == 1:
    return means.var(ddof=1), 0.0
  rest = values - values.mean(axis=0) - means[:, None] + values.mean()
  residual = np.sum(np.square(rest)) / ((count - 1) * (num_images - 1))
  return means.var(ddof=1), residual / num_images


def differences_of(means: Means) -> Differences:
  """Returns the differences of all pairs."""
  variances = np.diag(means.of_images)
  both = variances[:, None] + variances
  images = both - 2 * means.of_images
  images[images < _ROUNDING * both] = 0.0
  seeds = means.of_seeds[:, None] + means.of_seeds
  np.fill_diagonal(seeds, 0.0)
  return Differences(means.mean[:, None] - means.mean, images, seeds, means.degrees)
