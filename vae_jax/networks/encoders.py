"""Encoders: from one example to the features that a posterior reads."""

from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from vae_jax import errors
from vae_jax.fast import convolutions
from vae_jax.networks import gates, layers


class MlpEncoder(nn.Module):
  """Dense layers on all pixels; with eta, the standardised log beta, each is gated (`gates`).

  Attributes:
    hidden: width of each layer, first layer first; empty for a linear encoder.
    activation: a name of ACTIVATIONS.
    kernel_init: a name of INITS.
    norm, residual: of the layers, see `layers.Mlp`.
  """

  SEES_BETA: ClassVar[bool] = True

  hidden: layers.Widths = ()
  activation: layers.Activation = 'relu'
  kernel_init: layers.Init = 'lecun'
  norm: layers.Norm = 'none'
  residual: layers.Residual = False

  @nn.compact
  def __call__(self, x: Array, eta: Array | None = None) -> Array:
    """Returns features [H] for x [*event] and, where it sees beta, eta []."""
    sizes = self.hidden, self.activation, self.kernel_init
    options = gates.opening, self.norm, self.residual
    return layers.Mlp(*sizes, *options, name='mlp')(jnp.ravel(x), eta=eta)


class ConvEncoder(nn.Module):
  """Strided convolutions, then dense layers on what they leave; with eta each channel is gated.

  Attributes:
    channels, kernels, strides: one entry per convolution, square; of a signal along its one axis.
    padding: 'same' or 'valid'.
    hidden, activation, kernel_init: of the dense layers; the activation follows each convolution
      too.
  """

  EVENT_RANKS: ClassVar[tuple[int, ...]] = (2, 3)  # [T, C] and [H, W, C]
  SEES_BETA: ClassVar[bool] = True

  channels: layers.Widths = ()
  kernels: layers.Widths = ()
  strides: layers.Widths = ()
  padding: layers.Padding = 'same'
  hidden: layers.Widths = ()
  activation: layers.Activation = 'relu'
  kernel_init: layers.Init = 'lecun'

  @nn.compact
  def __call__(self, x: Array, eta: Array | None = None) -> Array:
    """Returns features [H] for x [*event] and, where it sees beta, eta [].

    Raises:
      InputError: the convolutions leave nothing of so small an image.
    """
    of_signal, x = x.ndim == 2, layers.as_image(x)
    sizes = zip(self.channels, self.kernels, self.strides, strict=True)
    for i, (width, kernel, stride) in enumerate(sizes):
      conv = convolutions.Conv(
        layers.widened(width, self.activation),
        (kernel, 1) if of_signal else kernel,
        (stride, 1) if of_signal else stride,
        self.padding,
        kernel_init=layers.initializer(self.kernel_init),
        bias_init=nn.initializers.zeros,
        name=f'conv_{i}',
      )
      before, h = x.shape, conv(x)
      h = h if eta is None else gates.opening(f'gate_{i}')(h, eta)
      x = layers.ACTIVATIONS[self.activation](h)
      if not x.size:
        raise errors.InputError(
          f'encoder.kernels={tuple(self.kernels)}: the one at {i} does not fit into the '
          f"{before[0]}x{before[1]} pixels that it meets; set encoder.padding='same', or smaller "
          'kernels or strides'
        )
    return MlpEncoder(self.hidden, self.activation, self.kernel_init, name='dense')(x, eta)
