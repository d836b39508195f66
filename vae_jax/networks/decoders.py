"""Decoders: from one latent code to the outputs that a likelihood reads."""

import math
from collections.abc import Sequence
from typing import ClassVar

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from vae_jax.fast import convolutions
from vae_jax.networks import gates, layers


class MlpDecoder(nn.Module):
  """Dense layers; with eta, the standardised log beta, each hidden one is gated (`gates`).

  Attributes:
    event: shape of x.
    num_heads: number of outputs, each of shape `event`.
    hidden: width of each hidden layer, first layer first; empty for a linear decoder.
    activation: a name of ACTIVATIONS.
    kernel_init: a name of INITS.
    pixel_bias: initial bias of the first output, one value per pixel; empty for 0.
    norm, residual: of the hidden layers, see `layers.Mlp`.
  """

  SEES_BETA: ClassVar[bool] = True

  event: Sequence[int]
  num_heads: int
  hidden: layers.Widths = ()
  activation: layers.Activation = 'relu'
  kernel_init: layers.Init = 'lecun'
  pixel_bias: Sequence[float] = ()
  norm: layers.Norm = 'none'
  residual: layers.Residual = False

  @nn.compact
  def __call__(self, z: Array, mask: Array, eta: Array | None = None) -> Array:
    """Returns [num_heads, *event] for z [Z]; mask [Z] is 0 where a latent is inert."""
    sizes = self.hidden, self.activation, self.kernel_init
    options = gates.closing, self.norm, self.residual
    h = layers.Mlp(*sizes, *options, name='mlp')(mask * z, mask, eta)
    size = self.num_heads * math.prod(self.event)
    h = nn.Dense(
      size,
      kernel_init=layers.initializer(self.kernel_init, rows=None if self.hidden else mask),
      bias_init=layers.first_values(self.pixel_bias),
      name='output',
    )(h)
    return jnp.reshape(h, (self.num_heads, *self.event))


class ConvDecoder(nn.Module):
  """Dense layers to a small image, then convolutions up to the event.

  A layer of stride 1 is a convolution, one of a larger stride a transposed convolution. The small
  image is the smallest from which they reach the event; what is over is cropped, evenly on both
  sides. With eta every channel but those of the last layer is gated.

  Attributes:
    event: [H, W, C], or [T, C] of a signal, whose layers have one axis.
    num_heads: number of outputs, each of shape `event`.
    channels, kernels, strides: channels[i] enter layer i; the last one leaves num_heads * C
      channels.
    padding: 'same' or 'valid'.
    hidden, activation, kernel_init: of the dense layers in front; the activation follows every
      layer but the last.
    channel_bias: initial bias of the first output, one value per channel; empty for 0.
  """

  EVENT_RANKS: ClassVar[tuple[int, ...]] = (2, 3)  # [T, C] and [H, W, C]
  SEES_BETA: ClassVar[bool] = True

  event: Sequence[int]
  num_heads: int
  channels: layers.Widths = ()
  kernels: layers.Widths = ()
  strides: layers.Widths = ()
  padding: layers.Padding = 'same'
  hidden: layers.Widths = ()
  activation: layers.Activation = 'relu'
  kernel_init: layers.Init = 'lecun'
  channel_bias: Sequence[float] = ()

  @nn.compact
  def __call__(self, z: Array, mask: Array, eta: Array | None = None) -> Array:
    """Returns [num_heads, *event] for z [Z]; mask [Z] is 0 where a latent is inert."""
    activation = layers.ACTIVATIONS[self.activation]
    height, width, num_channels = layers.image_shape(self.event)
    first = layers.widened(self.channels[0], self.activation)
    small = (self._small(height), self._small(width) if self._has_width else 1, first)
    dense = MlpDecoder(small, 1, self.hidden, self.activation, self.kernel_init, name='dense')
    (h,) = dense(z, mask, eta)
    widths = [layers.widened(c, self.activation) for c in self.channels[1:]]
    for i, outputs in enumerate((*widths, self.num_heads * num_channels)):
      last = i == len(widths)
      h = h if eta is None else gates.closing(f'gate_{i}')(h, eta)
      h = self._layer(i, outputs, last)(activation(h))
    top, left = (h.shape[0] - height) // 2, (h.shape[1] - width) // 2
    h = h[top : top + height, left : left + width]
    h = jnp.reshape(h, (height, width, self.num_heads, num_channels))
    return jnp.moveaxis(h, 2, 0).reshape(self.num_heads, *self.event)

  @property
  def _has_width(self) -> bool:
    return len(self.event) == 3

  def _layer(self, i: int, outputs: int, last: bool) -> nn.Module:
    kernel, stride = self.kernels[i], self.strides[i]
    return (convolutions.Conv if stride == 1 else convolutions.ConvTranspose)(
      outputs,
      kernel if self._has_width else (kernel, 1),
      stride if self._has_width else (stride, 1),
      self.padding,
      kernel_init=layers.initializer(self.kernel_init),
      bias_init=layers.first_values(self.channel_bias if last else ()),
      name='output' if last else f'conv_{i}',
    )

  def _small(self, size: int) -> int:
    """Returns the smallest size from which the layers reach `size`."""
    start = 1
    while self._reached(start) < size:
      start += 1
    return start

  def _reached(self, size: int) -> int:
    for kernel, stride in zip(self.kernels, self.strides, strict=True):
      if self.padding == 'same':
        size *= stride
      elif stride == 1:
        size -= kernel - 1
      else:
        size = size * stride + max(kernel - stride, 0)
      if size < 1:
        return 0  # a layer after it could make pixels of nothing
    return size
