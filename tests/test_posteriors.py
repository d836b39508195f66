"""Posteriors against SciPy, NumPy, brute-force changes of variables and quadrature."""

import functools

import distrax
import jax
import jax.numpy as jnp
import latent_kinds as kinds
import numpy as np
import pytest
import scipy.stats

from vae_jax import densities, networks

pytestmark = pytest.mark.math

every_kind = pytest.mark.parametrize('name', kinds.POSTERIORS)
RNG = np.random.default_rng(0)
LOC, SCALE = RNG.normal(size=3), np.exp(RNG.normal(size=3))
TRIANGLE = np.tril(RNG.normal(size=(3, 3)), -1) + np.diag(SCALE)
NOISE = kinds.normal(3, 20, 3)
ACROSS = RNG.normal(size=(2, 2, 1))  # from z_1 [2] to location and log-scale of z_2 [1]


def diagonal(loc=LOC, scale=SCALE, mask=None):
  mask = np.ones(len(loc)) if mask is None else mask
  return densities.DiagonalGaussian(np.float32(loc), np.float32(scale), np.float32(mask))


def full(loc=LOC, triangle=TRIANGLE):
  return densities.FullGaussian(np.float32(loc), np.float32(triangle), np.ones(len(loc), 'f'))


def conditional(params, z_1, mask):
  loc, log_scale = jnp.einsum('i,kij->kj', z_1, params)
  return densities.DiagonalGaussian(mask * loc, densities.scale_of(mask * log_scale), mask)


def two_layer():
  """q(z_1 | x) q(z_2 | z_1) whose parameters SciPy can follow."""
  lower = diagonal(LOC[:2], SCALE[:2])
  return densities.TwoLayerPosterior(lower, np.float32(ACROSS), np.ones(1, 'f'), conditional)


def doubled(params, mask):
  """z -> params + 2 z of the active latents."""
  return distrax.Block(distrax.ScalarAffine(mask * params, 1 + mask), 1)


def two_latents(name):
  """A posterior of this kind with two latents in all."""
  network = kinds.POSTERIORS[name]
  if name.startswith('two_layer'):
    hidden = (4,) if name == 'two_layer' else ()
    network = networks.two_layer_posterior('lecun', 'tanh', 1, hidden)
  mask = kinds.mask_of(2, 2)
  return kinds.posterior(network, kinds.posterior_params(network, mask, size=0.3), mask)


def of_kind(name, active=2, above=0, seed=0):
  """Network, parameters, mask; `above` inert latents stand behind the active ones."""
  lower = kinds.LOWER if name.startswith('two_layer') else 0
  mask = kinds.mask_of(lower + active, lower + active + above)
  network = kinds.POSTERIORS[name]
  return network, kinds.posterior_params(network, mask, seed), mask


def test_log_normal_is_scipys():
  z = np.array([0.0, -1.5, 3.0, 40.0])
  np.testing.assert_allclose(densities.log_normal(z), scipy.stats.norm.logpdf(z), rtol=1e-6)


def test_a_diagonal_gaussian_is_scipys():
  """With the standard deviation, not the variance or its logarithm; one part a latent."""
  z, log_q = kinds.sample_all(diagonal(), NOISE)
  np.testing.assert_allclose(z, LOC + SCALE * NOISE, rtol=1e-5, atol=1e-6)
  expected = scipy.stats.norm.logpdf(np.float64(z), LOC, SCALE)
  np.testing.assert_allclose(log_q, expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(kinds.log_prob_all(diagonal(), z), expected, rtol=1e-4, atol=1e-5)


def test_a_full_gaussian_is_scipys():
  """Covariance T T', not T' T."""
  z, log_q = kinds.sample_all(full(), NOISE)
  np.testing.assert_allclose(z, LOC + NOISE @ TRIANGLE.T, rtol=1e-4, atol=1e-5)
  expected = scipy.stats.multivariate_normal(LOC, TRIANGLE @ TRIANGLE.T).logpdf(np.float64(z))
  assert log_q.shape == (len(z), 1)
  np.testing.assert_allclose(log_q[:, 0], expected, rtol=1e-4)
  np.testing.assert_allclose(kinds.log_prob_all(full(), z)[:, 0], expected, rtol=1e-4)


def test_two_layers_are_scipys():
  """z = (z_1, z_2): the lower layer first, and the upper one given its sample."""
  q = two_layer()
  z, log_q = kinds.sample_all(q, NOISE)
  z_1 = LOC[:2] + SCALE[:2] * NOISE[:, :2]
  loc, log_scale = np.einsum('ni,kij->knj', z_1, ACROSS)
  z_2 = loc + np.exp(log_scale) * NOISE[:, 2:]
  np.testing.assert_allclose(z, np.hstack([z_1, z_2]), rtol=1e-4, atol=1e-5)
  expected = np.hstack(
    [
      scipy.stats.norm.logpdf(z_1, LOC[:2], SCALE[:2]),
      scipy.stats.norm.logpdf(z_2, loc, np.exp(log_scale)),
    ]
  )
  np.testing.assert_allclose(log_q, expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(kinds.log_prob_all(q, z), expected, rtol=1e-3, atol=1e-4)


@functools.partial(jax.jit, static_argnums=0)
def computed(network, params, mask, noise):
  """z and log q of noise [n, Z]; log q of that z and of other inert latents; centre; KL."""
  q = network.make(params, kinds.FEATURES, mask)
  z, log_q = jax.vmap(q.sample)(noise)
  log_probs = [jax.vmap(q.log_prob)(other) for other in (z, z + 4 * (1 - mask))]
  kl = q.kl_to_standard_normal() if hasattr(q, 'kl_to_standard_normal') else None
  return z, log_q, log_probs, q.loc, kl


@every_kind
def test_log_q_is_the_change_of_variables_of_the_noise(name):
  """log N(noise) - log |det dz / dnoise| by brute force; and `log_prob` of that z agrees."""
  network, params, mask = of_kind(name, seed=1)
  noise = kinds.normal(0, 30, mask.size)
  noise[0] = 0  # its image is the centre
  z_of = lambda noise: network.make(params, kinds.FEATURES, mask).sample(noise)[0]  # noqa: E731
  jacobian = jax.jit(jax.vmap(jax.jacfwd(z_of)))(noise)
  z, log_q, (log_prob, _), centre, _ = jax.device_get(computed(network, params, mask, noise))
  _, log_det = np.linalg.slogdet(np.float64(jacobian))
  expected = scipy.stats.norm.logpdf(noise).sum(axis=1) - log_det
  by_latent = name in ('diagonal', 'two_layer', 'two_layer_linear')
  assert log_q.shape == (30, mask.size if by_latent else 1)
  np.testing.assert_allclose(log_q.sum(axis=1), expected, rtol=1e-4, atol=1e-4)
  np.testing.assert_allclose(log_prob, log_q, rtol=1e-3, atol=1e-3)
  np.testing.assert_allclose(centre, z[0], rtol=1e-5, atol=1e-7)


@every_kind
def test_the_density_integrates_to_1_and_samples_follow_it(name):
  q = two_latents(name)
  nodes, mass = kinds.on_grid(q, points=129)
  assert mass.sum() == pytest.approx(1, abs=1e-5)
  samples, _ = kinds.sample_all(q, kinds.MANY[:25_000])
  kinds.check_samples(samples, nodes, mass)


@pytest.mark.parametrize('make', [diagonal, full])
def test_the_kl_is_the_closed_form_and_the_mean_of_the_log_ratio(make):
  q = make()
  factor = TRIANGLE if make is full else np.diag(SCALE)
  by_part = 0.5 * (np.square(factor).sum(1) + LOC**2 - 1) - np.log(SCALE)
  expected = by_part.sum(keepdims=True) if make is full else by_part
  np.testing.assert_allclose(kinds.kl(q), expected, rtol=1e-5)
  z, log_q = kinds.sample_all(q, kinds.normal(2, 25_000, 3))
  log_ratio = np.float64(log_q).sum(1) - scipy.stats.norm.logpdf(z).sum(1)
  error = log_ratio.mean() - expected.sum()
  assert abs(error) < 5 * log_ratio.std() / np.sqrt(len(z))


def test_scales_are_exponentials_held_where_float32_can_square_them():
  """Values and gradients at +-1e4: the scale is neither 0 nor inf, nor the KL inf or NaN."""
  assert densities.scale_of(0.7) == pytest.approx(np.exp(0.7), rel=1e-6)
  for log_scale in (-1e4, 1e4):
    expected = np.exp(np.sign(log_scale) * 40)
    assert densities.scale_of(log_scale) == pytest.approx(expected, rel=1e-5)

    def kl(value):
      scale = densities.scale_of(value)[None]
      mask = jnp.ones(1)
      whole = densities.FullGaussian(mask, jnp.diag(scale), mask).kl_to_standard_normal()
      return densities.DiagonalGaussian(mask, scale, mask).kl_to_standard_normal()[0] + whole[0]

    value, gradient = jax.jit(jax.value_and_grad(kl))(log_scale)
    assert np.isfinite(value) and np.isfinite(gradient)


NARROW = {
  'diagonal': lambda: diagonal([10.0, -10.0], [1e-7, 1e-7]),
  'full_covariance': lambda: full([10.0, -10.0], 1e-7 * np.array([[1, 0], [3.0, 1]])),
  'flow': lambda: densities.FlowPosterior(
    diagonal([10.0, -10.0], [1e-7, 1e-7]), jnp.ones(2), doubled
  ),
  'two_layer': lambda: densities.TwoLayerPosterior(
    diagonal([10.0], [1e-7]),
    jnp.array([[-1.0], [np.log(1e-7) / 10]])[..., None],
    jnp.ones(1),
    conditional,
  ),
}


@pytest.mark.parametrize('name', NARROW)
def test_log_q_does_not_cancel_where_the_posterior_is_narrow(name):
  """From the noise it is exact; (z - loc) / scale would be rounding errors."""
  noise = np.float32([[0.3, -1.2], [2.0, 0.7]])
  z, log_q = kinds.sample_all(NARROW[name](), noise)
  log_det = 2 * np.log(1e-7) + (2 * np.log(2) if name == 'flow' else 0)
  expected = scipy.stats.norm.logpdf(noise).sum(1) - log_det
  np.testing.assert_allclose(log_q.sum(1), expected, rtol=1e-5)
  assert np.all(np.abs(z) > 9)


@every_kind
def test_stopped_holds_the_parameters_but_not_z(name):
  network, params, mask = of_kind(name)
  z = np.linspace(-1, 1, mask.size, dtype='f')

  def log_q(posterior, z):
    return jnp.sum(posterior.log_prob(z))

  @jax.jit
  def gradients(params, z, features):
    def of(hold):
      return lambda *args: log_q(hold(network.make(args[0], args[2], mask)), args[1])

    both = (densities.stopped, lambda posterior: posterior)
    return [jax.value_and_grad(of(hold), argnums=(0, 1, 2))(params, z, features) for hold in both]

  found = jax.device_get(gradients(params, z, kinds.FEATURES))
  (held, (by_params, by_z, by_x)), (value, (free, free_z, _)) = found
  assert held == value
  assert not any(np.any(leaf) for leaf in jax.tree.leaves((by_params, by_x)))
  assert any(np.any(leaf) for leaf in jax.tree.leaves(free))
  np.testing.assert_allclose(by_z, free_z, rtol=1e-6)
  assert np.all(by_z != 0)


def test_inert_latents_of_a_diagonal_gaussian_are_absent_whatever_their_parameters():
  garbage, mask = np.array([7.0, -3.0]), [1, 1, 1, 0, 0]
  q = diagonal(np.r_[LOC, garbage], np.r_[SCALE, np.abs(garbage)], mask)
  noise = np.hstack([NOISE, NOISE[:, :2]])
  (z, log_q), (few, log_few) = jax.device_get(
    [kinds.sample_all(d, n) for d, n in ((q, noise), (diagonal(), NOISE))]
  )
  zeros = np.zeros((len(noise), 2))
  np.testing.assert_array_equal(z, np.hstack([few, zeros]))
  np.testing.assert_array_equal(log_q, np.hstack([log_few, zeros]))
  for other in (z, z + 5 * (1 - np.array(mask))):
    log_prob = kinds.log_prob_all(q, other)
    np.testing.assert_array_equal(log_prob, kinds.log_prob_all(q, z))
    np.testing.assert_array_equal(log_prob[:, 3:], 0)
  np.testing.assert_array_equal(kinds.kl(q), np.r_[kinds.kl(diagonal()), 0, 0])


@every_kind
def test_a_padded_posterior_is_the_unpadded_one_whatever_its_inert_weights(name):
  """No inert weight, noise or latent has a part in z, log q, the centre and the KL."""
  network, params, few_mask = of_kind(name, seed=2)
  _, garbage, mask = of_kind(name, above=3, seed=3)
  active = few_mask.size
  noise = kinds.normal(5, 30, mask.size)
  padded = computed(network, kinds.spread(garbage, params), mask, noise)
  few = computed(network, params, few_mask, noise[:, :active])
  z, log_q, log_probs, centre, kl = jax.device_get(padded)
  few_z, few_q, _, few_centre, few_kl = jax.device_get(few)
  np.testing.assert_allclose(z[:, :active], few_z, rtol=1e-5, atol=1e-6)
  np.testing.assert_array_equal(z[:, active:], 0)
  np.testing.assert_allclose(log_q[:, : few_q.shape[1]], few_q, rtol=1e-5, atol=1e-5)
  np.testing.assert_array_equal(log_q[:, few_q.shape[1] :], 0)
  np.testing.assert_allclose(centre, np.pad(few_centre, (0, 3)), rtol=1e-5, atol=1e-6)
  for log_prob in log_probs:
    np.testing.assert_allclose(log_prob.sum(1), few_q.sum(1), rtol=1e-3, atol=1e-3)
  if few_kl is not None:
    assert np.sum(kl) == pytest.approx(float(np.sum(few_kl)), rel=1e-5)
