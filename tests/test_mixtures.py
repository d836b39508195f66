"""A mixture of Gaussians for the codes of a lane, against SciPy and closed forms."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from vae_jax import densities, evaluation

pytestmark = pytest.mark.math

MASK = np.array([1.0, 0.0, 1.0])
CENTRES = np.array([[3.0, 0.0], [-2.0, 2.0], [0.0, -3.0]])
SHAPES = np.array([[[0.5, 0.0], [0.3, 0.4]], [[0.8, 0.0], [-0.2, 0.3]], [[0.3, 0.0], [0.0, 1.0]]])
SHARES = np.array([0.5, 0.3, 0.2])


def codes(count=2000, seed=0):
  """Of three clusters of other shapes, in the first and the last of three latents."""
  rng = np.random.default_rng(seed)
  which = rng.choice(3, count, p=SHARES)
  z = np.zeros((count, 3), np.float32)
  z[:, [0, 2]] = CENTRES[which] + np.einsum(
    'nij,nj->ni', SHAPES[which], rng.normal(size=(count, 2))
  )
  return z


def log_law(z):
  laws = zip(SHARES, CENTRES, SHAPES, strict=True)
  parts = [
    np.log(w) + scipy.stats.multivariate_normal(m, s @ s.T).logpdf(z[:, [0, 2]]) for w, m, s in laws
  ]
  return scipy.special.logsumexp(parts, axis=0)


def test_the_law_of_the_codes_is_found_and_its_gain_is_measured_on_others():
  others = codes(seed=1)
  log_prior = scipy.stats.norm.logpdf(others[:, [0, 2]]).sum(axis=1)
  found, gain = evaluation.fit_mixture(codes(), others, log_prior, MASK, 3, seed=0)
  order = np.argsort(found.log_weights)[::-1]
  shares = np.exp(found.log_weights)[order]
  assert (np.abs(shares - SHARES) < 5 * np.sqrt(SHARES * (1 - SHARES) / 2000)).all()
  np.testing.assert_allclose(found.means[order][:, [0, 2]], CENTRES, atol=0.15)
  factors = found.factors[order][:, [0, 2]][..., [0, 2]]
  covariances = np.einsum('kij,klj->kil', factors, factors)
  np.testing.assert_allclose(covariances, np.einsum('kij,klj->kil', SHAPES, SHAPES), atol=0.12)
  exact = log_law(others) - log_prior
  # 17 numbers are fitted to 2,000 codes: the fit is 17 / 4,000 nats off on others, about.
  assert exact.mean() - 0.03 < gain < exact.mean() + 5 * exact.std() / 2000**0.5
  for array in (found.means, found.factors):
    assert not array[..., 1].any()


def test_draws_are_of_the_mixture_and_inert_latents_stay_0():
  found = evaluation.Mixture(
    *map(jnp.asarray, evaluation.fit_mixture(codes(), codes(), 0.0, MASK, 3, seed=0)[0])
  )
  count = 20_000
  z = jax.jit(lambda key: found.sample(key, count, jnp.asarray(MASK)))(jax.random.key(1))
  z, weights = np.asarray(z, np.float64), np.exp(np.float64(found.log_weights))
  means, factors = np.float64(found.means), np.float64(found.factors)
  mean = weights @ means
  apart = means - mean
  spread = np.einsum('k,kij,klj->il', weights, factors, factors)
  spread = spread + np.einsum('k,ki,kj->ij', weights, apart, apart)
  assert (np.abs(z.mean(axis=0) - mean) <= 5 * np.sqrt(np.diag(spread) / count)).all()
  products = np.einsum('ni,nj->nij', z - mean, z - mean)
  assert (np.abs(products.mean(axis=0) - spread) <= 5 * products.std(axis=0) / count**0.5).all()
  assert not z[:, 1].any()


@pytest.mark.parametrize('scale', [1.0, 0.3])
def test_the_gain_is_the_marginal_kl_where_the_codes_are_gaussian(scale):
  """q(z) = N(b, A A' + s^2 I): its KL to the prior in closed form, within the codes' noise."""
  rng, count = np.random.default_rng(0), 4000
  matrix, shift = np.array([[0.9, 0.2], [0.0, 0.5]]), np.array([0.5, -1.0])
  model = types.SimpleNamespace(
    at_beta=lambda params, beta: params,
    knowing=lambda params, beside: params,
    encode=lambda params, x, mask: densities.DiagonalGaussian(
      x @ matrix.T + shift, jnp.full(2, scale), mask
    ),
    prior=lambda params, mask: densities.StandardNormal(mask),
  )
  lane = types.SimpleNamespace(mask=jnp.ones(2), beta=1.0, seed=np.uint32(0))
  cut = [evaluation.cut(x, count) for x in rng.normal(size=(2, count, 2)).astype(np.float32)]

  @jax.jit
  def drawn():
    return [evaluation.drawn_codes(model, None, lane, b, 1.0, i) for i, b in enumerate(cut)]

  (z, _), (held_out, log_prior) = drawn()
  np.testing.assert_allclose(log_prior, scipy.stats.norm.logpdf(held_out).sum(axis=1), rtol=1e-4)
  assert abs(np.corrcoef(z[:, 0], held_out[:, 0])[0, 1]) < 5 / count**0.5
  _, gain = evaluation.fit_mixture(z, held_out, log_prior, np.ones(2), 1, seed=0)
  covariance = matrix @ matrix.T + scale**2 * np.eye(2)
  kl = 0.5 * (np.trace(covariance) + shift @ shift - 2 - np.log(np.linalg.det(covariance)))
  logs = scipy.stats.multivariate_normal(shift, covariance).logpdf(held_out) - log_prior
  assert abs(gain - kl) < 5 * logs.std() / count**0.5


def test_few_codes_one_point_and_none_that_are_finite():
  point = np.zeros((30, 3), np.float32)
  found, gain = evaluation.fit_mixture(point, point, np.zeros(30), MASK, 4, seed=0)
  assert np.isfinite(gain) and np.isfinite(found.factors).all()
  few, _ = evaluation.fit_mixture(codes(2), codes(5), np.zeros(5), MASK, 4, seed=0)
  assert np.isfinite(few.log_weights).tolist() == [True, True, False, False]
  lost, gain = evaluation.fit_mixture(np.nan * point, point, np.zeros(30), MASK, 4, seed=0)
  assert np.isnan(gain) and np.isnan(lost.means).all()
