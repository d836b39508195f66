"""Densities against SciPy, at ordinary and at extreme arguments."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from vae_jax import densities

SCALES = ('fixed', 'shared', 'per_pixel')


def test_bernoulli_equals_scipy():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(4, 3, 1)).astype(np.float32)
  x = rng.integers(0, 2, logits.shape).astype(np.float32)
  expected = scipy.stats.bernoulli.logpmf(x, scipy.special.expit(logits)).sum()
  distribution = densities.bernoulli().make((jnp.asarray(logits),))
  assert distribution.log_prob(x) == pytest.approx(expected, rel=1e-6)
  np.testing.assert_allclose(distribution.mean(), scipy.special.expit(logits), rtol=1e-6)


def test_bernoulli_sums_to_one():
  logits = jnp.array([0.3, -2.0, 5.0])
  distribution = densities.bernoulli().make((logits,))
  values = [np.array([a, b, c], np.float32) for a in (0, 1) for b in (0, 1) for c in (0, 1)]
  assert sum(np.exp(distribution.log_prob(x)) for x in values) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize('logit', [-1e4, -90.0, 90.0, 1e4])
@pytest.mark.parametrize('x', [0.0, 1.0])
def test_bernoulli_is_finite_at_extreme_logits(logit, x):
  """log sigmoid(l) -> min(l, 0) and its derivative -> x - [l > 0]."""

  def log_prob(logit):
    return densities.bernoulli().make((logit[None],)).log_prob(jnp.array([x]))

  value, gradient = jax.value_and_grad(log_prob)(jnp.array(logit))
  assert value == pytest.approx(min(logit, 0) if x else min(-logit, 0), abs=1e-6)
  assert gradient == pytest.approx(x - (logit > 0), abs=1e-6)


def outputs_for(likelihood, loc, raw):
  return (
    (loc, jnp.full_like(loc, raw))
    if likelihood.num_heads == 2
    else ((loc, jnp.asarray(raw)) if likelihood.num_shared else (loc,))
  )


@pytest.mark.parametrize('scale', SCALES)
def test_gaussian_equals_scipy_and_starts_at_its_initial_scale(scale):
  likelihood = densities.gaussian(scale, initial_scale=0.7, min_scale=0.01, mean='identity')
  rng = np.random.default_rng(1)
  loc, x = rng.normal(size=(2, 5, 2)).astype(np.float32)
  distribution = likelihood.make(outputs_for(likelihood, jnp.asarray(loc), 0.0))
  assert distribution.log_prob(x) == pytest.approx(
    scipy.stats.norm.logpdf(x, loc, 0.7).sum(), rel=1e-5
  )


@pytest.mark.parametrize('initial_scale', [1e-5, 1.0, 1e3, 1e6])
def test_a_learned_scale_starts_where_it_should_in_any_unit(initial_scale):
  likelihood = densities.gaussian('shared', initial_scale, initial_scale / 100, 'identity')
  log_prob = likelihood.make((jnp.zeros(2), jnp.zeros(()))).log_prob(jnp.zeros(2))
  assert log_prob == pytest.approx(2 * scipy.stats.norm.logpdf(0, 0, initial_scale), rel=1e-5)


@pytest.mark.parametrize('log_scale', [-1e4, 1e4])
def test_an_unbounded_posterior_scale_keeps_a_finite_kl(log_scale):
  q = densities.diagonal_gaussian(jnp.zeros(1), jnp.array([log_scale]))
  assert np.isfinite(q.kl_divergence(densities.standard_normal(1))).all()


@pytest.mark.parametrize('scale', SCALES[1:])
@pytest.mark.parametrize('raw', [-1e4, 1e4])
def test_a_learned_scale_is_bounded_below_and_finite(scale, raw):
  likelihood = densities.gaussian(scale, initial_scale=1.0, min_scale=0.1, mean='identity')
  loc, x = jnp.zeros(3), jnp.full(3, 0.05)

  def log_prob(raw):
    return likelihood.make(outputs_for(likelihood, loc, raw)).log_prob(x)

  value, gradient = jax.value_and_grad(log_prob)(raw)
  expected_scale = 0.1 if raw < 0 else 1e4
  expected = scipy.stats.norm.logpdf(np.asarray(x), 0, expected_scale).sum()
  assert value == pytest.approx(expected, rel=1e-3)
  assert np.isfinite(gradient)


def test_sigmoid_mean():
  likelihood = densities.gaussian('fixed', 1.0, 0.01, 'sigmoid')
  np.testing.assert_allclose(
    likelihood.make((jnp.array([0.0, 2.0]),)).mean(), scipy.special.expit([0.0, 2.0]), rtol=1e-6
  )


@pytest.mark.parametrize('mean', ['identity', 'sigmoid'])
def test_output_of_mean_gives_back_the_mean(mean):
  target = jnp.array([0.2, 0.5, 0.93])
  for likelihood in (densities.bernoulli(), densities.gaussian('fixed', 1.0, 0.01, mean)):
    np.testing.assert_allclose(
      likelihood.make((likelihood.output_of_mean(target),)).mean(), target, rtol=1e-6
    )


def test_logit_of_mean_is_finite_where_a_pixel_never_varies():
  np.testing.assert_allclose(
    densities.logit_of_mean(jnp.array([0.0, 1.0])), scipy.special.logit([0.001, 0.999]), rtol=1e-4
  )


def test_diagonal_gaussian_uses_the_standard_deviation():
  loc, log_scale = np.array([0.5, -1.0]), np.array([0.3, -2.0])
  z = np.array([0.1, -0.9])
  q = densities.diagonal_gaussian(jnp.asarray(loc), jnp.asarray(log_scale))
  expected = scipy.stats.norm.logpdf(z, loc, np.exp(log_scale))
  np.testing.assert_allclose(q.log_prob(z), expected, rtol=1e-5)
  np.testing.assert_allclose(
    densities.standard_normal(2).log_prob(z), scipy.stats.norm.logpdf(z), rtol=1e-6
  )
