"""Posteriors from the features of x, and learned priors: the networks of the latent side.

Both are pairs of pure functions, chosen where the model is built:

  PosteriorNetwork   init(key, features [H], mask [Z]) -> params
                     make(params, features, mask) -> densities.Posterior
  PriorNetwork       init(key, mask) -> params
                     make(params, mask, posterior_of) -> densities.Prior

`posterior_of`, x [*event] -> posterior, is what the VampPrior is made of; the others ignore it.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import densities
from vae_jax.networks import flows, layers


class PosteriorNetwork(NamedTuple):
  """From features of x to q(z | x)."""

  init: Callable[[Array, Array, Array], Any]
  make: Callable[[Any, Array, Array], densities.Posterior]


class PriorNetwork(NamedTuple):
  """From parameters to p(z)."""

  init: Callable[[Array, Array], Any]
  make: Callable[..., densities.Prior]


def _gaussian(
  head: layers.GaussianHead, params: Any, features: Array, mask: Array, rows: Array | None = None
) -> densities.DiagonalGaussian:
  loc, log_scale = head.apply(params, features, mask, rows)
  return densities.DiagonalGaussian(loc, densities.scale_of(log_scale), mask)


def diagonal(init_scheme: str) -> PosteriorNetwork:
  """A Gaussian of independent latents."""
  head = layers.GaussianHead(init_scheme)
  return PosteriorNetwork(
    head.init, lambda params, features, mask: _gaussian(head, params, features, mask)
  )


def full_covariance(init_scheme: str) -> PosteriorNetwork:
  """A Gaussian with a lower-triangular factor: its strict part is a head of its own."""
  head = layers.GaussianHead(init_scheme)

  def init(key: Array, features: Array, mask: Array) -> Any:
    # From zero: training begins at the diagonal Gaussian.
    below = jnp.zeros((features.size, mask.size, mask.size))
    return {'diagonal': head.init(key, features, mask), 'below': below}

  def make(params: Any, features: Array, mask: Array) -> densities.FullGaussian:
    diagonal = _gaussian(head, params['diagonal'], features, mask)
    below = jnp.tril(jnp.tensordot(features, params['below'], axes=1), k=-1)
    triangle = jnp.diag(diagonal.scale) + mask[:, None] * mask * below
    return densities.FullGaussian(diagonal.loc, triangle, mask)

  return PosteriorNetwork(init, make)


def flow_posterior(init_scheme: str, flow: flows.CouplingFlow) -> PosteriorNetwork:
  """A Gaussian of independent latents, then a flow that sees the features of x."""
  head = layers.GaussianHead(init_scheme)

  def init(key: Array, features: Array, mask: Array) -> Any:
    base_key, flow_key = jax.random.split(key)
    return {
      'base': head.init(base_key, features, mask),
      'flow': flow.init(flow_key, features, mask),
    }

  def make(params: Any, features: Array, mask: Array) -> densities.FlowPosterior:
    base = _gaussian(head, params['base'], features, mask)
    return densities.FlowPosterior(base, (params['flow'], features), flow.make)

  return PosteriorNetwork(init, make)


class _Conditional(NamedTuple):
  """A diagonal Gaussian of one layer of latents given another: an Mlp and a head."""

  hidden: Sequence[int]
  activation: str
  init_scheme: str

  def _parts(self) -> tuple[layers.Mlp, layers.GaussianHead]:
    mlp = layers.Mlp(self.hidden, self.activation, self.init_scheme)
    return mlp, layers.GaussianHead(self.init_scheme, unit_scale=True)

  def init(self, key: Array, given_mask: Array, mask: Array) -> Any:
    mlp, head = self._parts()
    mlp_key, head_key = jax.random.split(key)
    given = jnp.zeros(given_mask.size)
    params = mlp.init(mlp_key, given, given_mask)
    rows = None if self.hidden else given_mask
    features = mlp.apply(params, given, given_mask)
    return {'mlp': params, 'head': head.init(head_key, features, mask, rows)}

  def make(self, params: Any, given: Array, given_mask: Array, mask: Array):
    mlp, head = self._parts()
    features = mlp.apply(params['mlp'], given_mask * given, given_mask)
    return _gaussian(head, params['head'], features, mask)


def two_layer_posterior(
  lower_size: int, hidden: Sequence[int], activation: str, init_scheme: str
) -> PosteriorNetwork:
  """q(z_1 | x) from the features of x, then q(z_2 | z_1) from dense layers."""
  head = layers.GaussianHead(init_scheme, unit_scale=True)
  conditional = _Conditional(hidden, activation, init_scheme)
  lower_mask = jnp.ones(lower_size)

  def init(key: Array, features: Array, mask: Array) -> Any:
    lower_key, upper_key = jax.random.split(key)
    return {
      'lower': head.init(lower_key, features, lower_mask),
      'upper': conditional.init(upper_key, lower_mask, mask[lower_size:]),
    }

  def upper(params: Any, z_1: Array, upper_mask: Array) -> densities.DiagonalGaussian:
    return conditional.make(params, z_1, lower_mask, upper_mask)

  def make(params: Any, features: Array, mask: Array) -> densities.TwoLayerPosterior:
    lower = _gaussian(head, params['lower'], features, lower_mask)
    return densities.TwoLayerPosterior(lower, params['upper'], mask[lower_size:], upper)

  return PosteriorNetwork(init, make)


def standard_normal() -> PriorNetwork:
  """N(0, I): nothing to learn."""
  return PriorNetwork(
    lambda key, mask: (), lambda params, mask, posterior_of: densities.StandardNormal(mask)
  )


def mixture(num_components: int) -> PriorNetwork:
  """K learned Gaussians, starting from N(0, I) draws as their means and from scale 1."""

  def init(key: Array, mask: Array) -> Any:
    loc = jax.random.normal(key, (mask.size, num_components)).T  # latent axis first, see layers
    return {
      'loc': mask * loc,
      'log_scale': jnp.zeros((num_components, mask.size)),
      'log_weights': jnp.zeros(num_components),
    }

  def make(params: Any, mask: Array, posterior_of: Any) -> densities.Mixture:
    del posterior_of
    components = densities.DiagonalGaussian(
      mask * params['loc'],
      densities.scale_of(mask * params['log_scale']),
      jnp.broadcast_to(mask, (num_components, mask.size)),
    )
    return densities.Mixture(components, params['log_weights'])

  return PriorNetwork(init, make)


def vamp(num_components: int, event: Sequence[int], unit: bool) -> PriorNetwork:
  """The posteriors of K learned pseudo-inputs, evenly weighted.

  Args:
    num_components: K.
    event: shape of x.
    unit: pseudo-inputs lie in (0, 1), through a sigmoid; otherwise they are any real numbers.
  """

  def init(key: Array, mask: Array) -> Any:
    del mask
    return jax.random.normal(key, (num_components, *event))

  def make(params: Any, mask: Array, posterior_of: Callable) -> densities.Mixture:
    del mask
    pseudo_inputs = jax.nn.sigmoid(params) if unit else params
    return densities.Mixture(jax.vmap(posterior_of)(pseudo_inputs), jnp.zeros(num_components))

  return PriorNetwork(init, make)


def flow_prior(flow: flows.CouplingFlow) -> PriorNetwork:
  """A standard normal sent through a flow."""
  no_features = jnp.zeros(0)

  def make(params: Any, mask: Array, posterior_of: Any) -> densities.FlowPrior:
    del posterior_of
    return densities.FlowPrior((params, no_features), mask, flow.make)

  return PriorNetwork(lambda key, mask: flow.init(key, no_features, mask), make)


def two_layer_prior(
  lower_size: int, hidden: Sequence[int], activation: str, init_scheme: str
) -> PriorNetwork:
  """N(0, I) for z_2, and p(z_1 | z_2) from dense layers."""
  conditional = _Conditional(hidden, activation, init_scheme)
  lower_mask = jnp.ones(lower_size)

  def lower(params: Any, z_2: Array, upper_mask: Array) -> densities.DiagonalGaussian:
    return conditional.make(params, z_2, upper_mask, lower_mask)

  def make(params: Any, mask: Array, posterior_of: Any) -> densities.TwoLayerPrior:
    del posterior_of
    return densities.TwoLayerPrior(params, mask, lower_size, lower)

  return PriorNetwork(lambda key, mask: conditional.init(key, mask[lower_size:], lower_mask), make)
