"""Forecast of posterior collapse: how many latents the training data can hold at each beta.

Near collapse q(z | x) is the prior, and a decoder reads little of z. Its likelihood then is that of
a linear-Gaussian model: to the second order in W z, with m the mean of the data and V the diagonal
of the likelihood's own variance at m,

  log p(x | z) = log p(x | 0) + (x - m)' V^-1 W z - 1/2 (W z)' V^-1 W z

which is, but for what does not depend on z, the log density of V^-1/2 (x - m) under
N(V^-1/2 W z, I). (Of a mean that is a function of the decoder's output, W has its derivative.) At a
weight beta of the rate the noise counts beta times (Lucas et al. 2019, arxiv.org/abs/1911.02469),
so that latent i gains from leaving the prior while

  l_i > beta,    l_1 >= l_2 >= ... the eigenvalues of V^-1/2 S V^-1/2, S the covariance of x

  Gaussian, variance s^2     V = s^2: l_i is an eigenvalue of S over s^2, and the law is exact for a
                             linear decoder: probabilistic PCA with beta s^2 in place of s^2
  Bernoulli                  V = m (1 - m): the eigenvalues of the correlations of binary pixels. A
                             pixel that fewer than one image in a thousand has otherwise than the
                             rest is left out: the one image lies 30 of its deviations from m, where
                             no second order holds, and such pixels would fill the tail

It is the stability of collapse, and no more: a decoder that is not linear may keep latents beyond
it, where they pay in terms that are not of the second order, and training may not find one that
could live.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_MOST_EXAMPLES = 10_000  # are enough: of 784 values, their covariance takes half a second
_WIDEST = 1024  # values of an example, beyond which the products of fewer examples are cheaper
_MOST_PRODUCTS = 3000  # examples that are multiplied with each other, of wider ones
_MOST_OPERATIONS = 2e10  # for these products


class Forecast(NamedTuple):
  """Until which beta each latent can live.

  Attributes:
    onsets: [K], the largest first: collapse of latent i sets in at beta = onsets[i]. Behind the
      last one nothing is held at any beta.
  """

  onsets: np.ndarray

  def active(self, beta: float, latent_size: int) -> int:
    """Returns how many of a lane's latents can be active."""
    return int(np.count_nonzero(self.onsets[:latent_size] > beta))


def num_examples(event_size: int) -> int:
  """Returns how many examples of D values are enough."""
  if event_size <= _WIDEST:
    return _MOST_EXAMPLES
  return min(_MOST_PRODUCTS, max(2, int(math.sqrt(_MOST_OPERATIONS / event_size))))


def forecast(
  x: np.ndarray,
  variance: Callable[[np.ndarray], np.ndarray],
  min_scale: float | None = None,
  is_sample: bool = False,
) -> Forecast:
  """Returns the forecast for a likelihood and training data.

  Args:
    x: [n, D], examples as the likelihood sees them; `num_examples` are enough.
    variance: mean [D] -> V [D], that of the likelihood. Values with V = 0, and those that never
      vary, hold no latent.
    min_scale: of a learned s with variance s^2 V, its lower bound; None where V is the variance.
    is_sample: whether x stands for more examples than these.
  """
  x = np.asarray(x, np.float64 if x.shape[1] <= _WIDEST else np.float32)
  mean = x.mean(axis=0, dtype=np.float64)
  noise = variance(mean)
  kept = (noise > 0) & (np.ptp(x, axis=0) > 0)
  if not kept.any():
    return Forecast(np.zeros(0))
  centred = (x[:, kept] - mean[kept].astype(x.dtype)) / np.sqrt(noise[kept]).astype(x.dtype)
  eigenvalues, total = spectrum(centred, is_sample)
  if min_scale is None:
    return Forecast(eigenvalues)
  return Forecast(learned_onsets(eigenvalues, total, x.shape[1], min_scale))


def spectrum(y: np.ndarray, is_sample: bool) -> tuple[np.ndarray, float]:
  """Returns the eigenvalues of the covariance [D, D] of centred y [n, D], and their sum.

  The largest first, divided by n. Where D is large, they are those of the products [n, n] of the
  examples. If these stand for more, they are the variances of one half of them along the axes of
  the other: the largest eigenvalues of few examples are too large by about D / n, and these
  variances are not.
  """
  total = float(np.square(y).sum(dtype=np.float64) / len(y))
  if y.shape[1] <= _WIDEST:
    return _descending(np.linalg.eigvalsh(y.T @ y / len(y))), total
  if not is_sample:
    return _descending(np.linalg.eigvalsh(y @ y.T / len(y))), total
  fitted, held_out = y[::2], y[1::2]
  squares, vectors = np.linalg.eigh(fitted @ fitted.T)
  found = squares > 1e-6 * squares[-1]
  along = (held_out @ fitted.T) @ (vectors[:, found] / np.sqrt(squares[found]))
  return _descending(np.square(along).mean(axis=0)), total


def _descending(eigenvalues: np.ndarray) -> np.ndarray:
  eigenvalues = np.sort(eigenvalues)[::-1]
  return eigenvalues[eigenvalues > 1e-6 * eigenvalues[0]].astype(np.float64)


def learned_onsets(
  eigenvalues: np.ndarray, total: float, event_size: int, min_scale: float
) -> np.ndarray:
  """Returns up to which beta each latent lives beside a variance s^2 that is learned, [K].

  At the optimum of a linear decoder over W and q, with k latents active (closed form: see
  experiments/closed_form.py),

    D + beta R = D/2 log(2 pi s^2) + sum_{i > k} l_i / (2 s^2)
                 + k beta / 2 + beta/2 sum_{i <= k} log(l_i / (beta s^2))

  whose derivative to log s^2, (D - beta k - sum_{i > k} l_i / s^2) / 2, is continuous where k
  changes, at s^2 = l_i / beta, and never falls: there is one optimum, and latent i lives if the
  derivative is above 0 at its own l_i / beta. That is, for any latent size from i on,

    beta < D / sum_j min(l_j / l_i, 1)      and    beta < l_i / min_scale^2

  At beta = 1 all latents live, beside the s^2 of probabilistic PCA (Tipping & Bishop 1999, eq. 8).

  Args:
    eigenvalues: l [K] of the covariance, the largest first.
    total: their sum, with those that are not among them.
    event_size: D.
    min_scale: the lower bound of s.
  """
  above = np.arange(len(eigenvalues))
  behind = total - np.cumsum(eigenvalues) + eigenvalues  # sum_{j >= i} l_j
  return np.minimum(event_size / (above + behind / eigenvalues), eigenvalues / np.square(min_scale))
