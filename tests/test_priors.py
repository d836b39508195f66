"""Priors against SciPy, NumPy, brute-force changes of variables, quadrature and their samples."""

import functools

import distrax
import jax
import jax.numpy as jnp
import latent_kinds as kinds
import numpy as np
import pytest
import scipy.special
import scipy.stats

from vae_jax import densities, networks

pytestmark = pytest.mark.math

every_kind = pytest.mark.parametrize('name', kinds.PRIORS)
RNG = np.random.default_rng(0)
WEIGHTS = np.array([0.5, 0.15, 0.35])
LOC, SCALE = RNG.normal(size=(3, 2)), np.exp(0.5 * RNG.normal(size=(3, 2)))
TRIANGLE = np.tril(RNG.normal(size=(3, 2, 2)), -1) + SCALE[..., None] * np.eye(2)
Z = 2 * kinds.normal(4, 20, 2)
UNIFORM = np.random.default_rng(2).uniform(size=100_000).astype('f')
ACROSS = RNG.normal(size=(2, 1, 2))  # from z_2 [1] to location and log-scale of z_1 [2]


def mixture(loc=LOC, weights=WEIGHTS, constant=0.0):
  """Of diagonal Gaussians; the log-weights are short of `constant`."""
  loc = np.float32(loc)
  scale = np.float32(SCALE[: len(loc)])
  components = densities.DiagonalGaussian(loc, scale, np.ones_like(loc))
  with np.errstate(divide='ignore'):
    return densities.Mixture(components, np.float32(np.log(weights) - constant))


def full_mixture():
  components = densities.FullGaussian(np.float32(LOC), np.float32(TRIANGLE), np.ones((3, 2), 'f'))
  return densities.Mixture(components, np.float32(np.log(WEIGHTS)))


def mixed(parts):
  """log sum_k w_k exp(parts [n, K])."""
  return scipy.special.logsumexp(parts, axis=1, b=WEIGHTS)


def of_kind(name, active=2, above=0, seed=0):
  """Network, parameters, mask; `above` inert latents stand behind the active ones."""
  lower = kinds.LOWER if name.startswith('two_layer') else 0
  mask = kinds.mask_of(lower + active, lower + active + above)
  network = kinds.PRIORS[name]
  return network, kinds.prior_params(network, mask, seed), mask


def two_latents(name):
  """A prior of this kind with two latents in all."""
  network = kinds.PRIORS[name]
  if name.startswith('two_layer'):
    network = networks.two_layer_prior(1, 'lecun', 'tanh', (4,) if name == 'two_layer' else ())
  mask = kinds.mask_of(2, 2)
  return kinds.prior(network, kinds.prior_params(network, mask, size=0.3), mask)


def test_the_standard_normal_is_scipys():
  p = densities.StandardNormal(np.ones(2, 'f'))
  np.testing.assert_allclose(kinds.log_prob_all(p, Z), scipy.stats.norm.logpdf(Z), rtol=1e-6)
  np.testing.assert_array_equal(kinds.draw_all(p, Z, UNIFORM[:20]), Z)


@pytest.mark.parametrize('constant', [0.0, 100.0, -7.0])
def test_a_mixture_is_scipys_whatever_constant_its_weights_lack(constant):
  parts = scipy.stats.norm.logpdf(Z[:, None], LOC, SCALE).sum(axis=2)
  log_p = kinds.log_prob_all(mixture(constant=constant), Z)
  assert log_p.shape == (len(Z), 1)
  np.testing.assert_allclose(log_p[:, 0], mixed(parts), rtol=1e-4)


def test_a_mixture_of_any_posterior_is_scipys():
  parts = [
    scipy.stats.multivariate_normal(m, t @ t.T).logpdf(np.float64(Z))
    for m, t in zip(LOC, TRIANGLE, strict=True)
  ]
  log_p = kinds.log_prob_all(full_mixture(), Z)[:, 0]
  np.testing.assert_allclose(log_p, mixed(np.transpose(parts)), rtol=1e-4)


def test_a_mixture_draws_each_component_as_often_as_it_weighs():
  """Components far apart: which one a sample comes from can be read off it."""
  centres = np.array([[-100.0, 0], [0, 0], [100, 0]])
  p = mixture(loc=centres, constant=3.0)
  z = np.asarray(kinds.draw_all(p, kinds.MANY, UNIFORM))
  component = np.round(z[:, 0] / 100).astype(int) + 1
  frequency = np.bincount(component) / len(z)
  assert np.all(np.abs(frequency - WEIGHTS) < 5 * np.sqrt(WEIGHTS * (1 - WEIGHTS) / len(z)))
  noise = (z - centres[component]) / SCALE[component]
  np.testing.assert_allclose(noise, kinds.MANY, atol=1e-4)


def test_a_mixture_is_drawn_at_the_ends_of_the_unit_interval_too():
  """Weights of 0 are never drawn, and a uniform number above the last rounded sum is no error."""
  p = mixture(weights=[0.0, 1.0, 0.0])
  noise = np.zeros((2, 2), 'f')
  z = kinds.draw_all(p, noise, np.array([0.0, np.nextafter(np.float32(1), 0)], 'f'))
  np.testing.assert_allclose(z, np.stack([LOC[1]] * 2), rtol=1e-6)
  eleven = np.full(11, 1 / 11)
  many = densities.Mixture(
    jax.tree.map(lambda leaf: np.repeat(leaf[:1], 11, axis=0), mixture().components),
    np.float32(np.log(eleven)),
  )
  z = kinds.draw_all(many, noise, np.ones(2, 'f'))
  np.testing.assert_allclose(z, np.stack([LOC[0]] * 2), rtol=1e-6)


def test_a_flow_prior_is_the_density_of_its_samples():
  """log N(noise) - log |det dz / dnoise| by brute force, at z = sample(noise)."""
  network, params, mask = of_kind('flow', active=3, seed=1)
  p = kinds.prior(network, params, mask)
  noise = kinds.normal(3, 20, 3)
  jacobian = jax.jit(jax.vmap(jax.jacfwd(lambda n: p.sample(n, 0.0))))(noise)
  z = kinds.draw_all(p, noise, UNIFORM[:20])
  assert np.abs(z - noise).max() > 0.1
  expected = scipy.stats.norm.logpdf(noise).sum(1) - np.linalg.slogdet(np.float64(jacobian))[1]
  log_p = kinds.log_prob_all(p, z)
  assert log_p.shape == (20, 1)
  np.testing.assert_allclose(log_p[:, 0], expected, rtol=1e-4, atol=1e-4)


def test_a_flow_prior_uses_any_map():
  def doubled(params, mask):
    return distrax.Block(distrax.ScalarAffine(mask * params, 1 + mask), 1)

  p = densities.FlowPrior(np.float32([0.5, -1]), np.ones(2, 'f'), doubled)
  expected = scipy.stats.norm.logpdf(Z, [0.5, -1], 2).sum(1)
  np.testing.assert_allclose(kinds.log_prob_all(p, Z)[:, 0], expected, rtol=1e-5)
  np.testing.assert_allclose(
    kinds.draw_all(p, Z, UNIFORM[:20]), [0.5, -1] + 2 * Z, rtol=1e-5, atol=1e-6
  )


def test_two_layers_are_scipys():
  """p(z_1 | z_2) in front, p(z_2) behind it: z = (z_1, z_2), and z_2 is drawn first."""

  def conditional(params, z_2, mask):
    loc, log_scale = jnp.einsum('i,kij->kj', mask * z_2, params)
    return densities.DiagonalGaussian(loc, densities.scale_of(log_scale), jnp.ones(2))

  p = densities.TwoLayerPrior(np.float32(ACROSS), np.ones(3, 'f'), 2, conditional)
  noise = kinds.normal(3, 20, 3)
  z = kinds.draw_all(p, noise, UNIFORM[:20])
  z_2 = noise[:, 2:]
  loc, log_scale = np.einsum('ni,kij->knj', z_2, ACROSS)
  z_1 = loc + np.exp(log_scale) * noise[:, :2]
  np.testing.assert_allclose(z, np.hstack([z_1, z_2]), rtol=1e-4, atol=1e-5)
  lower = scipy.stats.norm.logpdf(z_1, loc, np.exp(log_scale))
  expected = np.hstack([lower, scipy.stats.norm.logpdf(z_2)])
  np.testing.assert_allclose(kinds.log_prob_all(p, z), expected, rtol=1e-3, atol=1e-4)


@every_kind
def test_the_density_integrates_to_1_and_samples_follow_it(name):
  p = two_latents(name)
  nodes, mass = kinds.on_grid(p)
  assert mass.sum() == pytest.approx(1, abs=1e-5)
  samples = kinds.draw_all(p, kinds.MANY[:25_000], UNIFORM[:25_000])
  kinds.check_samples(samples, nodes, mass)


@functools.partial(jax.jit, static_argnums=0)
def computed(network, params, mask, noise, uniform):
  """Samples of noise [n, Z], and log p of them, then of others that differ in what is inert."""
  p = network.make(params, mask, kinds.posterior_of(mask))
  z = jax.vmap(p.sample)(noise, uniform)
  return z, [jax.vmap(p.log_prob)(other) for other in (z, z + 4 * (1 - mask))]


@every_kind
def test_a_padded_prior_is_the_unpadded_one_whatever_its_inert_weights(name):
  """No inert weight, noise or latent has a part in a sample or in log p."""
  network, params, few_mask = of_kind(name, seed=2)
  _, garbage, mask = of_kind(name, above=3, seed=3)
  active = few_mask.size
  noise, uniform = kinds.normal(5, 10, mask.size), UNIFORM[:10]
  padded = computed(network, kinds.spread(garbage, params), mask, noise, uniform)
  few = computed(network, params, few_mask, noise[:, :active], uniform)
  (z, log_probs), (few_z, (few_p, _)) = jax.device_get((padded, few))
  np.testing.assert_allclose(z[:, :active], few_z, rtol=1e-5, atol=1e-6)
  np.testing.assert_array_equal(z[:, active:], 0)
  by_latent = name in ('standard_normal', 'two_layer', 'two_layer_linear')
  assert few_p.shape == (10, active if by_latent else 1)
  for log_p in log_probs:
    np.testing.assert_allclose(log_p[:, : few_p.shape[1]], few_p, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(log_p[:, few_p.shape[1] :], 0)


def test_the_mixture_network_starts_from_normal_centres_and_scale_1():
  network = networks.mixture(2000)
  start = jax.device_get(jax.jit(network.init)(jax.random.key(0), kinds.mask_of(2, 4)))
  np.testing.assert_array_equal(start['loc'][:, 2:], 0)
  loc = np.asarray(start['loc'][:, :2]).ravel()
  assert abs(loc.mean()) < 5 / np.sqrt(loc.size)
  assert loc.var() == pytest.approx(1, abs=5 * np.sqrt(2 / loc.size))
  p = network.make(start, kinds.mask_of(2, 4), None)
  np.testing.assert_array_equal(p.components.scale, 1)
  np.testing.assert_array_equal(p.log_weights, 0)


def test_the_mixture_network_is_scipys():
  mask = kinds.mask_of(2, 3)
  params = kinds.prior_params(kinds.PRIORS['mixture'], mask)
  p = kinds.prior(kinds.PRIORS['mixture'], params, mask)
  for inert, value in ((p.components.loc, 0), (p.components.scale, 1)):
    np.testing.assert_array_equal(inert[:, 2], value)
  params |= {key: params[key][:, :2] for key in ('loc', 'log_scale')}
  parts = scipy.stats.norm.logpdf(Z[:, None], params['loc'], np.exp(params['log_scale'])).sum(2)
  weights = scipy.special.softmax(params['log_weights'])
  log_p = kinds.log_prob_all(p, np.pad(Z, ((0, 0), (0, 1))))[:, 0]
  expected = scipy.special.logsumexp(parts, axis=1, b=weights)
  np.testing.assert_allclose(log_p, expected, rtol=1e-4)


@pytest.mark.parametrize(
  ('support', 'inputs_of'),
  [
    ('unit', scipy.special.expit),
    ('real', lambda raw: raw),
    ('count', lambda raw: np.log1p(np.exp(raw))),
  ],
)
def test_the_vamp_prior_is_the_even_mixture_of_the_posteriors_of_its_pseudo_inputs(
  support, inputs_of
):
  """Tomczak & Welling 2018, eq. 9: 1/K sum_k q(z | u_k), u where the data lie."""
  mask = kinds.mask_of(2, 2)
  network = networks.vamp(kinds.EVENT, support, kinds.COMPONENTS)
  params = jax.jit(network.init)(jax.random.key(0), mask)
  assert params.shape == (kinds.COMPONENTS, *kinds.EVENT)
  inputs = inputs_of(np.asarray(params))
  q = jax.jit(jax.vmap(kinds.posterior_of(mask)))(inputs)
  of_each = zip(*jax.device_get((q.loc, q.scale)), strict=True)
  parts = [scipy.stats.norm.logpdf(Z, loc, scale).sum(1) for loc, scale in of_each]
  expected = scipy.special.logsumexp(parts, axis=0) - np.log(kinds.COMPONENTS)
  log_p = kinds.log_prob_all(kinds.prior(network, params, mask), Z)[:, 0]
  np.testing.assert_allclose(log_p, expected, rtol=1e-4)


def test_the_standard_normal_network_has_nothing_to_learn():
  network, mask = kinds.PRIORS['standard_normal'], kinds.mask_of(1, 2)
  assert not jax.tree.leaves(network.init(jax.random.key(0), mask))
  np.testing.assert_array_equal(network.make((), mask, None).mask, mask)
