"""What a model must come to, from the moments of the data alone: the exact side of the tables.

The linear VAE of the tables has D pixels and Z latents:

  z ~ N(0, I),  x | z ~ N(W z + b, s^2 I),  q(z | x) = N(V x + c, diag(t^2))

Its optimum is probabilistic PCA (Tipping & Bishop 1999, doi.org/10.1111/1467-9868.00196; Lucas et
al. 2019, arxiv.org/abs/1911.02469), a function of the eigenvalues l_1 >= l_2 >= ... of the
covariance of the training data (divided by n, not by n - 1). Nats per example throughout.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Spectrum(NamedTuple):
  """The principal axes of the training data."""

  mean: np.ndarray  # [D]
  eigenvalues: np.ndarray  # [D], the largest first
  axes: np.ndarray  # [D, D], one unit vector a column


def spectrum(images: np.ndarray, scale: float) -> Spectrum:
  """Returns mean and principal axes of images [n, *event]; the model sees images / scale."""
  mean = images.mean(axis=0, dtype=np.float64).ravel() / scale
  covariance = sum(block.T @ block for block in _centred(images, scale, mean)) / len(images)
  eigenvalues, axes = np.linalg.eigh(covariance)
  return Spectrum(mean, eigenvalues[::-1], axes[:, ::-1])


def second_moments(images: np.ndarray, scale: float, train: Spectrum) -> np.ndarray:
  """Returns E_x[(u_i'(x - mean))^2] [D] along the training axes u_i, with the training mean.

  On the training images these are the eigenvalues.
  """
  blocks = _centred(images, scale, train.mean)
  return sum(np.square(block @ train.axes).sum(axis=0) for block in blocks) / len(images)


def _centred(images: np.ndarray, scale: float, mean: np.ndarray) -> Iterator[np.ndarray]:
  """Yields blocks [m, D] in float64: all 60,000 MNIST images at once would take 380 MB."""
  for start in range(0, len(images), 10_000):
    block = images[start : start + 10_000]
    yield block.reshape(len(block), -1) / np.float64(scale) - mean


def learned_variance(eigenvalues: np.ndarray, latent_size: int) -> float:
  """Returns the s^2 that maximises the likelihood: the mean of the discarded eigenvalues.

  s^2 = 1/(D - Z) sum_{i > Z} l_i        Tipping & Bishop 1999, eq. 8
  """
  return float(eigenvalues[latent_size:].mean())


class Optimum(NamedTuple):
  """The best linear VAE on one data set; nats per example."""

  rate: float  # lower is better
  distortion: float  # lower is better
  active_units: int  # latents with w_i > 0

  @property
  def elbo(self) -> float:
    """ELBO = -D - R; higher is better. At beta = 1 it is log p(x) of the training optimum."""
    return -self.distortion - self.rate


def optimum(
  eigenvalues: np.ndarray, moments: np.ndarray, latent_size: int, variance: float, beta: float
) -> Optimum:
  """Returns what the linear VAE that maximises -D - beta R on the training data comes to.

  Divided by beta, the objective is the ELBO at noise variance beta s^2, up to a constant. So W, V
  and t are those of probabilistic PCA with beta s^2 in place of s^2, latent by latent:

    active:  l_i > beta s^2,   r_i = beta s^2 / l_i,   w_i^2 = l_i - beta s^2,
    q(z_i | x) = N(w_i u_i'(x - mean) / l_i, r_i)

    R = 1/2 sum_active [(1 - r_i) m_i / l_i + r_i - 1 - log r_i]
    D = D/2 log(2 pi s^2) + 1/(2 s^2) [sum_inactive m_i + sum_active (r_i^2 m_i + r_i w_i^2)]

  with m_i the second moments of the data that it is evaluated on. With m_i = l_i (the training
  data) R = -1/2 sum log r_i, each active latent leaves beta s^2 of squared error, and along beta
  dR = -dbeta / (2 beta) and dD = dbeta / 2 per active latent: dD/dR = -beta. The posterior mean of
  an active latent has the variance 1 - r_i over the training data: it is an active unit by the
  count of Burda et al. 2016 (variance above 0.01) unless l_i is within 1 % of beta s^2.

  Args:
    eigenvalues: l [D], the largest first.
    moments: m [D], see `second_moments`; `eigenvalues` for the training data.
    latent_size: Z.
    variance: s^2.
    beta: weight of the rate.
  """
  active = np.flatnonzero(eigenvalues[:latent_size] > beta * variance)
  kept, m = eigenvalues[active], moments[active]
  r = beta * variance / kept
  rate = 0.5 * np.sum((1 - r) * m / kept + r - 1 - np.log(r))
  squares = moments.sum() - m.sum() + np.sum(r**2 * m + r * (kept - beta * variance))
  normaliser = 0.5 * len(eigenvalues) * np.log(2 * np.pi * variance)
  return Optimum(float(rate), float(normaliser + 0.5 * squares / variance), len(active))


def num_borderline(
  eigenvalues: np.ndarray, latent_size: int, variance: float, beta: float, margin: float = 0.1
) -> int:
  """Returns of how many latents l_i is within a margin of beta s^2: training may err on these.

  There the gain of a latent, and so the force on its weights, is of the order of margin^2.
  """
  ratio = eigenvalues[:latent_size] / (beta * variance)
  return int(np.sum(np.abs(ratio - 1) < margin))


def bernoulli_floor(train: np.ndarray, images: np.ndarray) -> float:
  """Returns the distortion on binary images of the best decoder that ignores z.

    D = -E_x sum_d x_d log p_d + (1 - x_d) log(1 - p_d),  p_d = (k_d + 1/2) / (n + 1)

  Maximum likelihood is p_d = k_d / n, k_d of n training images with pixel d on: infinitely bad
  where a pixel is on in a test image alone. The half (Krichevsky & Trofimov 1981) costs 0.001 nats
  on the training images of MNIST.

  Args:
    train: binary images [n, *event].
    images: binary images [m, *event] to evaluate on.
  """
  p = (train.sum(axis=0, dtype=np.float64) + 0.5) / (len(train) + 1)
  mean = images.mean(axis=0, dtype=np.float64)
  return float(-np.sum(mean * np.log(p) + (1 - mean) * np.log1p(-p)))
