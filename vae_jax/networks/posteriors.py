"""The built-in posteriors, from the features of x; see `latents`."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import checks, densities
from vae_jax.networks import flows, latents, layers


def diagonal(kernel_init: str) -> latents.PosteriorNetwork:
  """A Gaussian of independent latents.

  Args:
    kernel_init: a name of INITS.
  """
  head = layers.GaussianHead(kernel_init)
  return latents.PosteriorNetwork(
    head.init,
    lambda params, features, mask: latents.gaussian(head, params, features, mask),
    densities.DiagonalGaussian,
  )


def full_covariance(kernel_init: str) -> latents.PosteriorNetwork:
  """A Gaussian with a lower-triangular factor: its strict part is a head of its own."""
  head = layers.GaussianHead(kernel_init)

  def init(key: Array, features: Array, mask: Array) -> Any:
    # From zero: training begins at the diagonal Gaussian.
    below = jnp.zeros((features.size, mask.size, mask.size))
    return {'diagonal': head.init(key, features, mask), 'below': below}

  def make(params: Any, features: Array, mask: Array) -> densities.FullGaussian:
    diagonal = latents.gaussian(head, params['diagonal'], features, mask)
    below = jnp.tril(jnp.tensordot(features, params['below'], axes=1), k=-1)
    triangle = jnp.diag(diagonal.scale) + mask[:, None] * mask * below
    return densities.FullGaussian(diagonal.loc, triangle, mask)

  return latents.PosteriorNetwork(init, make, densities.FullGaussian)


def flow_posterior(
  kernel_init: str, num_layers: latents.NumLayers = 4, hidden: latents.FlowWidths = (64,)
) -> latents.PosteriorNetwork:
  """A Gaussian of independent latents, then a flow that sees the features of x.

  Args:
    kernel_init: a name of INITS, of the Gaussian.
    num_layers, hidden: of the flow, see `flows.CouplingFlow`.
  """
  head = layers.GaussianHead(kernel_init)
  flow = flows.CouplingFlow(num_layers, tuple(hidden))

  def init(key: Array, features: Array, mask: Array) -> Any:
    base_key, flow_key = jax.random.split(key)
    return {
      'base': head.init(base_key, features, mask),
      'flow': flow.init(flow_key, features, mask),
    }

  def make(params: Any, features: Array, mask: Array) -> densities.FlowPosterior:
    base = latents.gaussian(head, params['base'], features, mask)
    return densities.FlowPosterior(base, (params['flow'], features), flow.make)

  return latents.PosteriorNetwork(init, make, densities.FlowPosterior)


def two_layer_posterior(
  kernel_init: str,
  activation: str,
  lower_size: Annotated[int, checks.whole(1, 1_000_000)] = 100,
  hidden: layers.Widths = (64,),
) -> latents.PosteriorNetwork:
  """q(z_1 | x) from the features of x, then q(z_2 | z_1) from dense layers.

  Args:
    kernel_init, activation: names of INITS and ACTIVATIONS.
    lower_size: of z_1; the latent size of a lane is that of z_2.
    hidden: widths of the layers between the two.
  """
  head = layers.GaussianHead(kernel_init, unit_scale=True)
  conditional = latents.Conditional(hidden, activation, kernel_init)
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
    lower = latents.gaussian(head, params['lower'], features, lower_mask)
    return densities.TwoLayerPosterior(lower, params['upper'], mask[lower_size:], upper)

  return latents.PosteriorNetwork(init, make, densities.TwoLayerPosterior, lower_size)
