"""A model with known answers: z ~ N(0, I), x | z ~ N(W z + b, s^2 I), so x ~ N(b, W W' + s^2 I).

It is probabilistic PCA (Tipping & Bishop 1999): evidence and posterior have closed forms.
"""

from typing import NamedTuple

import distrax
import jax.numpy as jnp
import numpy as np
import scipy.stats


class LinearGaussian(NamedTuple):
  weights: np.ndarray  # [D, Z], orthogonal columns: then the posterior is diagonal
  bias: np.ndarray  # [D]
  scale: float

  def decode(self, z):
    loc = jnp.asarray(self.weights) @ z + self.bias
    return distrax.Independent(distrax.Normal(loc, jnp.full_like(loc, self.scale)), 1)

  def log_evidence(self, x):
    covariance = self.weights @ self.weights.T + self.scale**2 * np.eye(len(self.bias))
    return scipy.stats.multivariate_normal(self.bias, covariance).logpdf(x)

  def exact_posterior(self, x):
    precision = np.eye(self.weights.shape[1]) + self.weights.T @ self.weights / self.scale**2
    covariance = np.linalg.inv(precision)
    loc = covariance @ self.weights.T @ (x - self.bias) / self.scale**2
    return loc, np.sqrt(np.diag(covariance))


def make(event_size: int, latent_size: int, scale: float = 0.7, seed: int = 0) -> LinearGaussian:
  """Returns a model with random orthogonal columns of length 0.5, 1, 1.5 ..."""
  rng = np.random.default_rng(seed)
  basis, _ = np.linalg.qr(rng.normal(size=(event_size, latent_size)))
  lengths = 0.5 * np.arange(1, latent_size + 1)
  return LinearGaussian(basis * lengths, rng.normal(size=event_size), scale)
