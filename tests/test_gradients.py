"""Gradient estimators: unbiased, without noise at the optimum, and of the known signal to noise."""

import functools

import jax
import jax.numpy as jnp
import linear_gaussian
import numpy as np
import pytest
from scipy import stats

from vae_jax import bounds, densities, learner

pytestmark = pytest.mark.math

NUM_SAMPLES = 6
TRUTH = linear_gaussian.make(event_size=5, latent_size=2)
X = np.random.default_rng(1).normal(size=5).astype('f')


def elbo(terms, beta, rate):
  """mean_l log p(x | z_l) - beta R; Higgins et al. 2017, eq. 4."""
  return jnp.mean(terms.log_likelihood) - beta * jnp.sum(rate(terms))


BOUNDS = {
  'elbo': lambda terms: elbo(terms, 1.0, bounds.sampled_kl),
  'iwae': bounds.iwae_bound,
  'miwae': lambda terms: bounds.miwae_bound(terms, 2),
  'ciwae': lambda terms: bounds.ciwae_bound(terms, 0.3),
}
PATH_WEIGHTS = {
  'iwae': bounds.path_weights(1, 0.0),
  'miwae': bounds.path_weights(2, 0.0),
  'ciwae': bounds.path_weights(1, 0.3),
}
DREG = {name: bounds.doubly_reparameterized(weights) for name, weights in PATH_WEIGHTS.items()}


def optimum():
  """The exact posterior of X, and the model that made it."""
  loc, scale = TRUTH.exact_posterior(np.asarray(X))
  params = {'loc': loc, 'log_scale': np.log(scale), 'weights': TRUTH.weights}
  return {name: np.asarray(value, np.float32) for name, value in params.items()}


def elsewhere():
  """Away from the optimum in every parameter."""
  params = optimum()
  return {
    'loc': params['loc'] + np.float32([0.4, -0.3]),
    'log_scale': params['log_scale'] + np.float32([0.3, -0.2]),
    'weights': params['weights'] * np.float32(0.8),
  }


def diagonal(params):
  scale = jnp.exp(params['log_scale'])
  return densities.DiagonalGaussian(params['loc'], scale, jnp.ones(2))


def full(params):
  triangle = jnp.diag(jnp.exp(params['log_scale'])) + jnp.array([[0.0, 0.0], [0.4, 0.0]])
  return densities.FullGaussian(params['loc'], triangle, jnp.ones(2))


def objective(bound, gradient, posterior, params, noise):
  decode = TRUTH._replace(weights=params['weights']).decode
  prior = densities.StandardNormal(jnp.ones(2))
  return bound(bounds.elbo_terms(posterior(params), prior, decode, X, noise, gradient))


@functools.cache
def program(bound, estimators, posterior):
  """The gradients of these estimators, for any parameters and draws of the noise [N, L, Z]."""
  ones = [jax.grad(functools.partial(objective, bound, e, posterior)) for e in estimators]
  return jax.jit(lambda *args: [jax.vmap(one, in_axes=(None, 0))(*args) for one in ones])


def gradients(
  bound, estimators, params, repeats=6_000, num_samples=NUM_SAMPLES, posterior=diagonal
):
  """Of each estimator, at the same `repeats` draws of the noise: each leaf [repeats, ...]."""
  noise = np.random.default_rng(0).normal(size=(repeats, num_samples, 2))
  return jax.device_get(program(bound, estimators, posterior)(params, noise.astype('f')))


@functools.cache
def values_by_bound():
  """What every estimator makes of every bound, at the same noise."""
  noise = np.random.default_rng(3).normal(size=(NUM_SAMPLES, 2)).astype('f')
  estimators = (bounds.reparameterized, bounds.sticking_the_landing, *DREG.values())

  def all_bounds(terms):
    return {name: bound(terms) for name, bound in BOUNDS.items()}

  @jax.jit
  def values(params, noise):
    return [objective(all_bounds, each, diagonal, params, noise) for each in estimators]

  found = jax.device_get(values(elsewhere(), noise))
  return {name: [each[name] for each in found] for name in BOUNDS}


@pytest.mark.parametrize(
  ('name', 'gradient', 'posterior'),
  [
    ('elbo', bounds.sticking_the_landing, diagonal),
    ('elbo', bounds.sticking_the_landing, full),
    ('iwae', DREG['iwae'], full),
    ('miwae', DREG['miwae'], diagonal),
    ('ciwae', DREG['ciwae'], diagonal),
  ],
  ids=['stl', 'stl, full', 'iwae, full', 'miwae', 'ciwae'],
)
def test_the_mean_gradient_is_that_of_the_plain_estimator(name, gradient, posterior):
  """Of every parameter, within 5 standard errors."""
  estimators = bounds.reparameterized, gradient
  plain, other = gradients(BOUNDS[name], estimators, elsewhere(), posterior=posterior)
  for leaf in plain:
    difference = np.asarray(other[leaf] - plain[leaf], np.float64)  # the same noise in both
    stderr = difference.std(axis=0) / np.sqrt(len(difference))
    assert np.all(np.abs(difference.mean(axis=0)) <= 5 * stderr + 1e-7), leaf
  assert not np.allclose(other['loc'], plain['loc'], atol=1e-3)  # they are not the same estimator


@pytest.mark.parametrize('name', BOUNDS)
def test_a_gradient_estimator_never_changes_a_value(name):
  """What is logged is the bound itself, bit for bit, and no surrogate."""
  assert len(set(map(float, values_by_bound()[name]))) == 1


@pytest.mark.parametrize(
  ('name', 'gradient'),
  [
    ('elbo', bounds.sticking_the_landing),
    ('iwae', bounds.sticking_the_landing),
    ('iwae', DREG['iwae']),
    ('miwae', DREG['miwae']),
    ('ciwae', DREG['ciwae']),
  ],
)
def test_the_encoders_gradient_vanishes_at_the_optimum(name, gradient):
  """There log w is constant: nothing is left, of any draw; the plain estimator is still noise."""
  plain, found = gradients(BOUNDS[name], (bounds.reparameterized, gradient), optimum())
  for leaf in ('loc', 'log_scale'):
    assert np.abs(found[leaf][:200]).max() < 2e-4
  assert np.abs(plain['log_scale'][:200]).max() > 0.1


@pytest.mark.parametrize('name', PATH_WEIGHTS)
def test_the_decoders_gradient_is_left_alone(name):
  """Only what flows through z is weighed once more."""
  estimators = (bounds.reparameterized, DREG[name])
  plain, other = (each['weights'][:50] for each in gradients(BOUNDS[name], estimators, elsewhere()))
  np.testing.assert_allclose(other, plain, rtol=1e-4, atol=1e-4)


def test_doubly_reparameterized_against_its_formula():
  """sum_l v_l^2 d log w_l / dz_l dz_l / dphi by hand; for log_scale dz / dphi = scale * noise."""

  @jax.jit
  def by_hand(params, noise):
    posterior = diagonal(params)
    z = posterior.loc + posterior.scale * noise

    def log_w(z):
      decode = TRUTH._replace(weights=params['weights']).decode
      log_p = decode(z).log_prob(X) + densities.log_normal(z).sum()
      return log_p - posterior.log_prob(z).sum()

    v = jax.nn.softmax(jax.vmap(log_w)(z))
    by_z = (v**2)[:, None] * jax.vmap(jax.grad(log_w))(z)
    return by_z.sum(0), (by_z * posterior.scale * noise).sum(0)

  noise = np.random.default_rng(5).normal(size=(NUM_SAMPLES, 2)).astype('f')
  one = jax.grad(functools.partial(objective, BOUNDS['iwae'], DREG['iwae'], diagonal))
  found, expected = jax.jit(one)(elsewhere(), noise), by_hand(elsewhere(), noise)
  np.testing.assert_allclose(found['loc'], expected[0], rtol=1e-4)
  np.testing.assert_allclose(found['log_scale'], expected[1], rtol=1e-4)


def test_signal_to_noise_of_the_encoders_gradient():
  """It falls as L^-1/2 for the IWAE and rises as L^1/2 for DReG.

  Rainforth et al. 2018, theorem 1, arxiv.org/abs/1802.04537; Tucker et al. 2019, section 5.
  """
  params = optimum()
  # Wider than the true posterior, so that the weights have moments of every order.
  params |= {name: params[name] + np.float32(0.2) for name in ('loc', 'log_scale')}
  sizes, estimators = np.array([8, 64]), (bounds.reparameterized, DREG['iwae'])
  ratios = []  # [sizes, estimators]
  for size in sizes:
    found = gradients(bounds.iwae_bound, estimators, params, 8_000, int(size))
    values = [np.float64(np.concatenate([one['loc'], one['log_scale']], axis=1)) for one in found]
    ratios.append([np.mean(np.abs(each.mean(0)) / each.std(0)) for each in values])
  fitted = np.diff(np.log(ratios), axis=0)[0] / np.diff(np.log(sizes))
  np.testing.assert_allclose(fitted, [-0.5, 0.5], atol=0.15)


def test_the_terms_of_the_doubly_reparameterized_gradient_are_computed_once():
  """They stand in the code twice, on the same z; the compiled program costs as much as one."""
  noise = np.zeros((NUM_SAMPLES, 2), 'f')

  def flops(gradient):
    one = jax.grad(functools.partial(objective, BOUNDS['iwae'], gradient, diagonal))
    return jax.jit(one).lower(elsewhere(), noise).compile().cost_analysis()['flops']

  assert flops(DREG['iwae']) < 1.15 * flops(bounds.sticking_the_landing)


def test_antithetic_noise_is_standard_normal_in_pairs():
  noise = learner.draw_antithetic(jax.random.key(7), 4000, 6, 3)
  assert noise.shape == (4000, 6, 3)
  np.testing.assert_array_equal(noise[:, 3:], -noise[:, :3])
  assert stats.kstest(np.ravel(noise[:, :3]), 'norm').pvalue > 1e-3
  padded = learner.draw_antithetic(jax.random.key(7), 4000, 6, 5)
  np.testing.assert_array_equal(padded[..., :3], noise)


def test_antithetic_samples_keep_the_mean_and_cancel_what_is_odd():
  """By loc, the ELBO of a linear-Gaussian model is linear in the noise: nothing of it is left."""
  repeats = 6_000

  @jax.jit
  def draws(params):
    both = [
      draw(jax.random.key(11), repeats, NUM_SAMPLES, 2)
      for draw in (learner.draw_noise, learner.draw_antithetic)
    ]
    one = functools.partial(objective, BOUNDS['elbo'], bounds.reparameterized, diagonal)
    over_draws = jax.vmap(jax.grad(one), in_axes=(None, 0))
    return jax.lax.map(lambda noise: over_draws(params, noise), jnp.stack(both))

  found = draws(elsewhere())
  plain, paired = ({name: leaf[i] for name, leaf in jax.device_get(found).items()} for i in (0, 1))
  for leaf in plain:
    found = [np.asarray(each[leaf], np.float64) for each in (plain, paired)]
    variance = sum(values.var(axis=0) / repeats for values in found)
    assert np.all(np.abs(found[0].mean(0) - found[1].mean(0)) <= 5 * np.sqrt(variance) + 1e-5), leaf
  assert np.std(plain['loc'], axis=0).min() > 0.1
  assert np.std(paired['loc'], axis=0).max() < 1e-4
