"""Invertible maps of the latents, from affine coupling layers on distrax."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from vae_jax.networks import layers

# Bounds the factor of one layer to exp(+-2), so that no layer can blow up within a few steps.
_MAX_LOG_FACTOR = 2.0


class Conditioner(nn.Module):
  """Maps the latents that a layer keeps, and features of x, to how it moves the others.

  Attributes:
    hidden: width of each hidden layer.
  """

  hidden: Sequence[int]

  @nn.compact
  def __call__(self, z: Array, features: Array, mask: Array) -> tuple[Array, Array]:
    """Returns shift [Z] and log factor [Z], both 0 where mask [Z] is 0; features may be empty."""
    init = layers.initializer('lecun', rows=mask)
    h = nn.Dense(self.hidden[0], kernel_init=init, name='latents')(mask * z)
    if features.size:
      init = layers.initializer('lecun')
      # Before the tanh: with one hidden layer x could not change what z does otherwise.
      h = h + nn.Dense(self.hidden[0], use_bias=False, kernel_init=init, name='x')(features)
    h = layers.Mlp(self.hidden[1:], 'tanh', 'lecun', name='mlp')(jnp.tanh(h))
    # From zero, so that training begins at the identity.
    output = nn.Dense(2 * mask.size, kernel_init=nn.initializers.zeros, name='output')(h)
    shift, raw = output.reshape(mask.size, 2).T
    return mask * shift, mask * _MAX_LOG_FACTOR * jnp.tanh(raw / _MAX_LOG_FACTOR)


class CouplingFlow(NamedTuple):
  """Affine coupling layers, each keeping every second latent: Dinh et al. 2017, eqs. 4 to 8.

    y = b z + (1 - b) (z exp(s(b z)) + t(b z)),  b = 1 0 1 0 ... and 0 1 0 1 ... by turns

  arxiv.org/abs/1605.08803. Both directions and the determinant are exact and cost one pass.

  Attributes:
    num_layers: how many.
    hidden: width of each hidden layer of s and t.
  """

  num_layers: int
  hidden: tuple[int, ...]

  def init(self, key: Array, features: Array, mask: Array) -> Any:
    """Returns the parameters, for features [H] of x (empty for none) and mask [Z]."""
    return [
      Conditioner(self.hidden).init(layer_key, jnp.zeros(mask.size), features, mask)
      for layer_key in jax.random.split(key, self.num_layers)
    ]

  def make(self, params: tuple[Any, Array], mask: Array) -> distrax.Bijector:
    """Returns the map for (parameters, features); inert latents stay where they are."""
    variables, features = params

    def layer(i: int, layer_params: Any) -> distrax.Bijector:
      return distrax.MaskedCoupling(
        mask=jnp.arange(mask.size) % 2 == i % 2,
        conditioner=lambda z: Conditioner(self.hidden).apply(layer_params, z, features, mask),
        bijector=lambda moved: distrax.ScalarAffine(shift=moved[0], log_scale=moved[1]),
        event_ndims=1,
      )

    return distrax.Chain([layer(i, p) for i, p in reversed(list(enumerate(variables)))])
