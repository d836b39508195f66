"""A mixture of Gaussians for the codes of a lane, against SciPy and closed forms."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from vae_jax import data, densities, evaluation, lanes, placement, programs

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


def test_draws_of_a_component_have_its_covariance():
  """Which of the factors, which way round: of components so far apart that each draw is known."""
  triangles = np.tril(np.random.default_rng(0).normal(size=(2, 3, 3))).astype(np.float32)
  means = np.array([[100.0, 0.0, 0.0], [-100.0, 0.0, 0.0]], np.float32)
  log_weights = np.log(np.array([0.7, 0.3], np.float32))
  count = 20_000
  found = evaluation.Mixture(*map(jnp.asarray, (log_weights, means, triangles)))
  z = np.asarray(jax.jit(lambda key: found.sample(key, count, jnp.ones(3)))(jax.random.key(2)))
  for of_one, mean, triangle in zip((z[:, 0] > 0, z[:, 0] < 0), means, triangles, strict=True):
    apart = z[of_one] - mean
    products = np.einsum('ni,nj->nij', apart, apart)
    error = products.std(axis=0) / len(apart) ** 0.5
    assert (np.abs(products.mean(axis=0) - triangle @ triangle.T) < 5 * error).all()


def test_the_unit_of_the_codes_is_no_matter():
  """z' = s z: the same mixture in other units, log m less by log s of each latent."""
  unit, prior = np.array([1e-3, 1.0, 200.0], np.float32), np.zeros(2000)

  def fit(unit=1):
    return evaluation.fit_mixture(unit * codes(), unit * codes(seed=1), prior, MASK, 5, seed=3)

  (plain, gain), (found, other), (again, _) = fit(), fit(unit), fit()
  assert other == pytest.approx(gain - np.log(unit[[0, 2]]).sum(), abs=1e-4)
  np.testing.assert_allclose(found.means, unit * plain.means, rtol=1e-3, atol=1e-3 * unit.min())
  np.testing.assert_array_equal(again.means, plain.means)


@pytest.mark.parametrize('scale', [1.0, 0.3])
def test_the_gain_is_the_marginal_kl_where_the_codes_are_gaussian(scale):
  """q(z) = N(b, A A' + s^2 I): its KL to the prior in closed form, within the codes' noise."""
  rng, count = np.random.default_rng(0), 4000
  matrix, shift = np.array([[0.9, 0.2], [0.0, 0.5]]), np.array([0.5, -1.0])
  model = types.SimpleNamespace(
    at_beta=lambda params, beta: beta * params,
    knowing=lambda params, beside: params + beside.condition,
    encode=lambda params, x, mask: densities.DiagonalGaussian(
      x @ matrix.T + params, jnp.full(2, scale), mask
    ),
    prior=lambda params, mask: densities.StandardNormal(mask),
  )
  lane = types.SimpleNamespace(mask=jnp.ones(2), beta=2.0, seed=np.uint32(0))
  params, white = np.array([0.5, -0.5]), 4.0
  known = data.Beside(condition=np.tile(np.float32(shift - lane.beta * params), (count, 1)))
  stored = white * rng.normal(size=(2, count, 2)).astype(np.float32)
  cut = [evaluation.cut(x, count, known) for x in stored]

  @jax.jit
  def drawn():
    return [evaluation.drawn_codes(model, params, lane, b, white, i) for i, b in enumerate(cut)]

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


def test_every_lane_has_the_mixture_of_its_own_latents_measured_on_the_others(monkeypatch):
  """Of one latent and of two; x and condition together tell where the codes lie."""
  count, width, variance = 2000, 2, 0.8**2 + 0.5**2
  model = types.SimpleNamespace(
    at_beta=lambda params, beta: params,
    knowing=lambda params, beside: params + beside.condition,
    encode=lambda params, x, mask: densities.DiagonalGaussian(mask * (x + params), 0.5**mask, mask),
    prior=lambda params, mask: densities.StandardNormal(mask),
  )
  rng = np.random.default_rng(0)
  stacked = lanes.stack(
    [lanes.point(1.0, size, seed, 1e-3) for size, seed in ((1, 0), (2, 5))], width
  )
  sets, known = [], []
  for mean, of_x in ((1.0, 3.0), (2.0, -7.0)):
    sets.append(rng.normal(of_x, 0.8, (count, width)).astype(np.float32))
    known.append(data.Beside(condition=np.full((count, width), mean - of_x, np.float32)))
  seeds, fit = [], evaluation.fit_mixture
  monkeypatch.setattr(
    evaluation, 'fit_mixture', lambda *given: seeds.append(given[-1]) or fit(*given)
  )
  params, place = np.zeros((2, width), np.float32), placement.of_width(2, 100)
  found = programs.mixtures(
    model, params, stacked, *sets, 1.0, 1, place, beside=known[0], beside_held_out=known[1]
  )
  assert seeds == [0, 5]
  # Of a latent E[log m(z) - log p(z)] for m = N(1, v) and z ~ N(2, v).
  gain = 0.5 * (-np.log(variance) - (variance + 1) / variance + variance + 4)
  # Its error is that of the mean over z, with that of the mean and the variance of m.
  slope = 2 - 1 / variance
  error = (variance - 1) ** 2 / 2 + slope**2 * variance + 1 / variance + 1 / (2 * variance**2)
  for lane, size in enumerate((1, 2)):
    np.testing.assert_allclose(
      found['means'][lane, 0], np.arange(width) < size, atol=5 * (variance / count) ** 0.5
    )
    assert abs(found['gain'][lane] - size * gain) < 5 * np.sqrt(size * error / count)


def test_nothing_is_gained_where_the_codes_are_those_of_the_prior():
  """Not by 15 components of 60 codes either: those that it is measured on have other noise."""
  model = types.SimpleNamespace(
    at_beta=lambda params, beta: params,
    knowing=lambda params, beside: params,
    encode=lambda params, x, mask: densities.DiagonalGaussian(x, jnp.ones(2), mask),
    prior=lambda params, mask: densities.StandardNormal(mask),
  )
  stacked = lanes.stack([lanes.point(1.0, 2, seed, 1e-3) for seed in range(3)], 2)
  images, place = np.zeros((60, 2), np.float32), placement.of_width(3, 60)
  found = programs.mixtures(model, np.zeros(3), stacked, images, images, 1.0, 15, place)
  assert (found['gain'] < 0).all()
