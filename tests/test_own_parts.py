"""A user's own densities against SciPy: the parts that several tests share."""

import jax
import jax.numpy as jnp
import numpy as np
import own_parts
import pytest
import scipy.stats

pytestmark = pytest.mark.run

OUTPUT = np.linspace(-2, 3, 5, dtype='f')
NOISE = np.random.default_rng(0).normal(size=(20_000, 3)).astype('f')
MASK = np.float32([1, 1, 0])


def asked(likelihood, output, x):
  """log p(x) and the mean of a likelihood with one output, in one program."""

  @jax.jit
  def ask(output, x):
    made = likelihood.make(output[None])
    return made.log_prob(x), made.mean()

  return ask(output, x)


def test_the_likelihoods_are_scipys():
  counts = np.float32([0, 1, 4, 2, 7])
  poisson, rate = own_parts.poisson(), 1e-3 + np.logaddexp(0, OUTPUT)
  log_p, mean = asked(poisson, OUTPUT, counts)
  expected = scipy.stats.poisson.logpmf(counts, rate).sum()
  assert log_p == pytest.approx(expected, rel=1e-5)
  np.testing.assert_allclose(mean, rate, rtol=1e-5)
  means = np.float32([0.5, 3.0])
  again = jax.jit(lambda means: poisson.make(poisson.output_of_mean(means)[None]).mean())(means)
  np.testing.assert_allclose(again, means, rtol=1e-4)
  x = np.float32([-9, 0, 1, 2, 30])
  log_p, mean = asked(own_parts.student_t(3.0, 0.5), OUTPUT, x)
  expected = scipy.stats.t.logpdf(x, 3.0, OUTPUT, 0.5).sum()
  assert log_p == pytest.approx(expected, rel=1e-5)
  np.testing.assert_allclose(mean, OUTPUT, rtol=1e-6)


def check_moments(z, law):
  """Mean and variance within 5 standard errors."""
  z = np.float64(z)
  assert abs(z.mean() - law.mean()) < 5 * law.std() / len(z) ** 0.5
  squares = np.square(z - law.mean())
  assert abs(squares.mean() - law.var()) < 5 * squares.std() / len(z) ** 0.5


def test_the_logistic_posterior_is_scipys():
  q = own_parts.Logistic(MASK * np.float32([0.5, -1, 9]), np.float32([0.3, 2, 1]), MASK)
  z, log_q = jax.jit(jax.vmap(q.sample))(NOISE)
  for j in (0, 1):
    law = scipy.stats.logistic(q.loc[j], q.scale[j])
    np.testing.assert_allclose(log_q[:, j], law.logpdf(np.float64(z[:, j])), rtol=1e-3, atol=1e-4)
    check_moments(z[:, j], law)
  np.testing.assert_allclose(jax.jit(jax.vmap(q.log_prob))(z), log_q, rtol=1e-3, atol=1e-4)
  assert not np.any(z[:, 2]) and not np.any(log_q[:, 2])


def test_the_laplace_prior_is_scipys():
  p = own_parts.Laplace(np.float32([0.7, 2, 1]), MASK)
  z = jax.jit(jax.vmap(lambda noise: p.sample(noise, jnp.float32(0.5))))(NOISE)
  log_p = jax.jit(jax.vmap(p.log_prob))(z)
  for j in (0, 1):
    law = scipy.stats.laplace(0, p.scale[j])
    np.testing.assert_allclose(log_p[:, j], law.logpdf(np.float64(z[:, j])), rtol=1e-4, atol=1e-5)
    check_moments(z[:, j], law)
  assert not np.any(z[:, 2]) and not np.any(log_p[:, 2])
