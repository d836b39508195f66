"""The built-in priors, most of them learned; see `latents`."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import densities
from vae_jax.networks import flows, latents, layers


def standard_normal() -> latents.PriorNetwork:
  """N(0, I): nothing to learn."""
  return latents.PriorNetwork(
    lambda key, mask: (),
    lambda params, mask, posterior_of: densities.StandardNormal(mask),
    densities.StandardNormal,
  )


def mixture(num_components: latents.NumComponents = 50) -> latents.PriorNetwork:
  """K learned Gaussians, starting from N(0, I) draws as their means and from scale 1.

  Args:
    num_components: K.
  """

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

  return latents.PriorNetwork(init, make, densities.Mixture)


# What pseudo-inputs are, as the encoder sees x, by the support of the data: any real numbers,
# numbers above 0, otherwise numbers in (0, 1).
_INPUTS_OF = {'real': lambda raw: raw, 'count': jax.nn.softplus}


def vamp(
  event: Sequence[int], support: str, num_components: latents.NumComponents = 50
) -> latents.PriorNetwork:
  """The posteriors of K learned pseudo-inputs, evenly weighted.

  Args:
    event: shape of x.
    support: of the data, see `vae_jax.data`.
    num_components: K.
  """
  inputs_of = _INPUTS_OF.get(support, jax.nn.sigmoid)

  def init(key: Array, mask: Array) -> Any:
    del mask
    return jax.random.normal(key, (num_components, *event))

  def make(params: Any, mask: Array, posterior_of: Callable) -> densities.Mixture:
    del mask
    components = jax.vmap(posterior_of)(inputs_of(params))
    return densities.Mixture(components, jnp.zeros(num_components))

  return latents.PriorNetwork(init, make, densities.Mixture, reads_encoder=True)


def flow_prior(
  num_layers: latents.NumLayers = 4, hidden: latents.FlowWidths = (64,)
) -> latents.PriorNetwork:
  """A standard normal sent through a flow of coupling layers.

  Args:
    num_layers, hidden: of the flow, see `flows.CouplingFlow`.
  """
  flow = flows.CouplingFlow(num_layers, tuple(hidden))
  no_features = jnp.zeros(0)

  def make(params: Any, mask: Array, posterior_of: Any) -> densities.FlowPrior:
    del posterior_of
    return densities.FlowPrior((params, no_features), mask, flow.make)

  return latents.PriorNetwork(
    lambda key, mask: flow.init(key, no_features, mask), make, densities.FlowPrior
  )


def two_layer_prior(
  lower_size: int, kernel_init: str, activation: str, hidden: layers.Widths = (64,)
) -> latents.PriorNetwork:
  """N(0, I) for z_2, and p(z_1 | z_2) from dense layers.

  Args:
    lower_size: of z_1, as the posterior has it.
    kernel_init, activation: names of INITS and ACTIVATIONS.
    hidden: widths of the layers between the two.
  """
  conditional = latents.Conditional(hidden, activation, kernel_init)
  lower_mask = jnp.ones(lower_size)

  def lower(params: Any, z_2: Array, upper_mask: Array) -> densities.DiagonalGaussian:
    return conditional.make(params, z_2, upper_mask, lower_mask)

  def make(params: Any, mask: Array, posterior_of: Any) -> densities.TwoLayerPrior:
    del posterior_of
    return densities.TwoLayerPrior(params, mask, lower_size, lower)

  return latents.PriorNetwork(
    lambda key, mask: conditional.init(key, mask[lower_size:], lower_mask),
    make,
    densities.TwoLayerPrior,
    max(lower_size, 1),  # it has two layers; beside a posterior of one it is refused
  )
