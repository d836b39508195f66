"""Encoders: from one example to the features that a posterior reads."""

from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from vae_jax import errors
from vae_jax.fast import convolutions
from vae_jax.networks import layers


class MlpEncoder(nn.Module):
  """Dense layers on all pixels.

  Attributes:
    hidden: width of each layer, first layer first; empty for a linear encoder.
    activation: a name of ACTIVATIONS.
    kernel_init: a name of INITS.
  """

  hidden: layers.Widths = ()
  activation: layers.Activation = 'relu'
  kernel_init: layers.Init = 'lecun'

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Returns features [H] for x [*event]."""
    return layers.Mlp(self.hidden, self.activation, self.kernel_init, name='mlp')(jnp.ravel(x))


class ConvEncoder(nn.Module):
  """Strided convolutions, then dense layers on what they leave.

  Attributes:
    channels, kernels, strides: one entry per convolution, square.
    padding: 'same' or 'valid'.
    hidden, activation, kernel_init: of the dense layers; the activation follows each convolution
      too.
  """

  EVENT_RANK: ClassVar[int] = 3  # of [H, W, C]

  channels: layers.Widths = ()
  kernels: layers.Widths = ()
  strides: layers.Widths = ()
  padding: layers.Padding = 'same'
  hidden: layers.Widths = ()
  activation: layers.Activation = 'relu'
  kernel_init: layers.Init = 'lecun'

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Returns features [H] for x [H, W, C].

    Raises:
      InputError: the convolutions leave nothing of so small an image.
    """
    sizes = zip(self.channels, self.kernels, self.strides, strict=True)
    for i, (width, kernel, stride) in enumerate(sizes):
      conv = convolutions.Conv(
        layers.widened(width, self.activation),
        kernel,
        stride,
        self.padding,
        kernel_init=layers.initializer(self.kernel_init),
        bias_init=nn.initializers.zeros,
        name=f'conv_{i}',
      )
      before, x = x.shape, layers.ACTIVATIONS[self.activation](conv(x))
      if not x.size:
        raise errors.InputError(
          f'encoder.kernels={tuple(self.kernels)}: the one at {i} does not fit into the '
          f"{before[0]}x{before[1]} pixels that it meets; set encoder.padding='same', or smaller "
          'kernels or strides'
        )
    return MlpEncoder(self.hidden, self.activation, self.kernel_init, name='dense')(x)
