"""Small encoders and decoders, every kind of posterior and prior, and weights that are not at 0."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax import densities, networks

FEATURES = np.array([0.4, -0.3, 0.8], 'f')  # what an encoder made of some x
LOWER, COMPONENTS, EVENT = 2, 4, (5,)
CONV = dict(channels=(4, 6), kernels=(3, 5), strides=(2, 2), padding='same')
DENSE = dict(hidden=(8,), activation='relu', kernel_init='lecun')
FLOW = dict(num_layers=2, hidden=(5,))
POSTERIORS = {
  'diagonal': networks.diagonal('lecun'),
  'full_covariance': networks.full_covariance('glorot'),
  'flow': networks.flow_posterior('lecun', **FLOW),
  'two_layer': networks.two_layer_posterior('he', 'tanh', LOWER, (4,)),
  'two_layer_linear': networks.two_layer_posterior('lecun', 'tanh', LOWER, ()),
}
PRIORS = {
  'standard_normal': networks.standard_normal(),
  'mixture': networks.mixture(COMPONENTS),
  'vamp': networks.vamp(EVENT, 'unit', COMPONENTS),
  'flow': networks.flow_prior(**FLOW),
  'two_layer': networks.two_layer_prior(LOWER, 'lecun', 'tanh', (4,)),
  'two_layer_linear': networks.two_layer_prior(LOWER, 'glorot', 'tanh', ()),
}


def decoder(event, num_heads=1, conv=False, **settings):
  settings = DENSE | settings
  extra = dict(event=event, num_heads=num_heads)
  if conv:
    return networks.ConvDecoder(**CONV | settings, **extra)
  return networks.MlpDecoder(**settings, **extra)


def encoder(conv=False, **settings):
  settings = DENSE | settings
  return networks.ConvEncoder(**CONV | settings) if conv else networks.MlpEncoder(**settings)


def dense(params, h):
  return h @ params['kernel'] + params['bias']


def normal(seed, *shape):
  return np.random.default_rng(seed).normal(size=shape).astype('f')


MANY = normal(1, 100_000, 2)  # noise of two latents


@functools.partial(jax.jit, static_argnums=0)
def apply(net, params, *args):
  """`net.apply` in one program: one operation after the other compiles each."""
  return net.apply(params, *args)


def mask_of(active, width):
  return (np.arange(width) < active).astype('f')


def randomized(params, seed, size=0.5):
  """The same tree of random numbers: heads that start at zero would hide what they do."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda leaf: (size * rng.normal(size=leaf.shape)).astype('f'), params)


def spread(start, params):
  """Puts `params` into the front of each leaf of `start`, whose axes may be longer."""

  def put(into, leaf):
    result = np.array(into)
    result[tuple(slice(size) for size in leaf.shape)] = leaf
    return result

  return jax.tree.map(put, start, params)


def only(params, name):
  """The leaves of this name, by path."""
  leaves = {
    jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)
  }
  return {path: leaf for path, leaf in leaves.items() if path.endswith(f"['{name}']")}


def replaced(params, leaves):
  """The tree with these leaves in the place of those at their paths."""
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: leaves.get(jax.tree_util.keystr(path), leaf), params
  )


def posterior_params(network, mask, seed=0, size=0.5):
  """Random parameters of a PosteriorNetwork."""
  shapes = jax.eval_shape(network.init, jax.random.key(0), FEATURES, mask)
  return randomized(shapes, seed, size)


def prior_params(network, mask, seed=0, size=0.5):
  """Random parameters of a PriorNetwork."""
  return randomized(jax.eval_shape(network.init, jax.random.key(0), mask), seed, size)


@functools.partial(jax.jit, static_argnums=0)
def posterior(network, params, mask):
  return network.make(params, FEATURES, mask)


def posterior_of(mask):
  """x [5] -> a diagonal posterior, for the VampPrior."""

  def make(x):
    loc = mask * jnp.sin(jnp.arange(1, mask.size + 1) * x[0] + 4 * x[1])
    return densities.DiagonalGaussian(loc, jnp.exp(mask * (x[2] - x[3])), mask)

  return make


@functools.partial(jax.jit, static_argnums=0)
def prior(network, params, mask):
  return network.make(params, mask, posterior_of(mask))


@jax.jit
def centre(density):
  return density.loc


@jax.jit
def kl(density):
  return density.kl_to_standard_normal()


@jax.jit
def sample_all(density, noise):
  """z [n, Z], log q [n, P] for noise [n, Z]."""
  return jax.vmap(density.sample)(noise)


@jax.jit
def draw_all(density, noise, uniform):
  """z [n, Z] of a prior for noise [n, Z] and uniform [n]."""
  return jax.vmap(density.sample)(noise, uniform)


@jax.jit
def log_prob_all(density, z):
  """log p by part, [n, P], for z [n, Z]."""
  return jax.vmap(density.log_prob)(z)


def on_grid(density, reach=16.0, points=321):
  """A density of two latents on a grid: nodes [n, 2], and density x cell [n].

  Equal weights on equal steps: for a smooth function that vanishes at the ends the error is beyond
  all powers of the step.
  """
  line = np.linspace(-reach, reach, points)
  z = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 2)
  log_p = np.float64(log_prob_all(density, jnp.asarray(z, 'f'))).sum(axis=-1)
  return z, np.exp(log_p) * (line[1] - line[0]) ** 2


def check_samples(samples, nodes, mass):
  """First and second moments of samples [n, 2] within 5 standard errors of the quadrature's."""
  for power in ((1, 0), (0, 1), (2, 0), (0, 2), (1, 1)):
    values = np.prod(np.float64(samples) ** power, axis=-1)
    error = values.mean() - mass @ np.prod(nodes**power, axis=-1)
    assert abs(error) < 5 * values.std() / np.sqrt(len(values)), power
