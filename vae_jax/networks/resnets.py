"""Residual convolutional networks for images and signals of 28 to 128 pixels along an axis."""

import functools
import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from vae_jax import checks
from vae_jax.fast import convolutions, layouts
from vae_jax.networks import decoders, layers

_KERNEL = 3
_EPSILON = 1e-5
_GROUPS = 8  # of channels that a norm has at the most

Blocks = Annotated[int, checks.whole(1, 100)]
Levels = Annotated[Sequence[int], checks.tuple_of(checks.whole(1)), checks.not_empty]


class Conv(nn.Module):
  """A convolution of stride 1 that keeps the size, 3 along every axis that has more than one pixel.

  Attributes:
    features: C' of the output.
    kernel_init: of the kernel [k, l, C, C'].
    bias_init: of the bias [C'].
  """

  features: int
  kernel_init: nn.initializers.Initializer
  bias_init: nn.initializers.Initializer = nn.initializers.zeros

  @nn.compact
  def __call__(self, x: Array, sizes: Sequence[int]) -> Array:
    """Returns [H, W, C'] for x [H, W, C]; `sizes` of the event decide along which axes it is 3."""
    kernel = tuple(_KERNEL if size > 1 else 1 for size in sizes)
    if layouts.reads_few(x.shape[-1], self.features):
      inits = dict(kernel_init=self.kernel_init, bias_init=self.bias_init)
      return convolutions.Conv(self.features, kernel, 1, 'same', **inits, name='few')(x)
    shape = (*kernel, x.shape[-1], self.features)
    weights = self.param('kernel', self.kernel_init, shape).astype(x.dtype)
    bias = self.param('bias', self.bias_init, (self.features,)).astype(x.dtype)
    return layouts.conv(x, weights) + bias


class GroupNorm(nn.Module):
  """Group normalisation of one example: over all pixels and the channels of a group.

    y = (x - mean) / sqrt(variance + 1e-5) scale + bias

  Wu & He 2018, arxiv.org/abs/1803.08494, with 8 groups, or as many as divide the channels. No other
  example is looked at, so that a batch is a `vmap`, and training and evaluation are one function.
  """

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Returns [H, W, C] for x [H, W, C]; the statistics are float32 whatever x is."""
    groups = math.gcd(_GROUPS, x.shape[-1])
    norm = nn.GroupNorm(groups, epsilon=_EPSILON, reduction_axes=(0, 1, 2), dtype=x.dtype)
    return norm(x)


class Block(nn.Module):
  """A residual block, normalised before each convolution.

    y = s(x) + conv(a(norm(conv(a(norm(x))))))

  He et al. 2016, "Identity mappings in deep residual networks", arxiv.org/abs/1603.05027, fig. 4e;
  s is the identity, or a matrix where the number of channels changes. The second convolution begins
  at 0, so that a block begins as s, however many there are (Goyal et al. 2017, section 5.1,
  arxiv.org/abs/1706.02677, do so by the scale of the last norm).

  Attributes:
    width: C' of the output.
    activation, kernel_init: names of ACTIVATIONS and INITS.
  """

  width: int
  activation: str
  kernel_init: str

  @nn.compact
  def __call__(self, x: Array, sizes: Sequence[int]) -> Array:
    """Returns [H, W, C'] for x [H, W, C]."""
    activation, init = layers.ACTIVATIONS[self.activation], layers.initializer(self.kernel_init)
    h = activation(GroupNorm(name='norm_0')(x))
    h = Conv(self.width, init, name='conv_0')(h, sizes)
    h = activation(GroupNorm(name='norm_1')(h))
    h = Conv(self.width, nn.initializers.zeros, name='conv_1')(h, sizes)
    if x.shape[-1] != self.width:
      x = nn.Dense(self.width, use_bias=False, kernel_init=init, dtype=x.dtype, name='skip')(x)
    return x + h


class ResNetEncoder(nn.Module):
  """Levels of residual blocks, each at half the size of the one before; the last is flattened.

  From one level to the next the means of 2 x 2 pixels are taken; of an odd size the last pixel
  counts for itself. An axis of one pixel, such as the second one of a signal, is left alone.

  Attributes:
    widths: channels of each level, the largest images first.
    blocks: residual blocks of each level.
    activation: a name of ACTIVATIONS that keeps the width.
    kernel_init: a name of INITS.
  """

  EVENT_RANKS: ClassVar[tuple[int, ...]] = (2, 3)  # [T, C] and [H, W, C]

  widths: Levels = (32, 64, 128)
  blocks: Blocks = 1
  activation: layers.PlainActivation = 'relu'
  kernel_init: layers.Init = 'lecun'

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Returns features [H] for x [*event]."""
    x = layers.as_image(x)
    sizes = x.shape[:2]
    init = layers.initializer(self.kernel_init)
    h = Conv(self.widths[0], init, name='input')(x, sizes)
    for level, width in enumerate(self.widths):
      h = _halved(h) if level else h
      for block in range(self.blocks):
        h = Block(width, self.activation, self.kernel_init, name=f'block_{level}_{block}')(h, sizes)
    return jnp.ravel(layers.ACTIVATIONS[self.activation](GroupNorm(name='norm')(h)))


class ResNetDecoder(nn.Module):
  """A dense layer to a small image, then levels of residual blocks, each twice as large.

  From one level to the next every pixel is repeated, 2 x 2; what an odd size has too many is cut
  off. The sizes of the levels are those of a `ResNetEncoder` of as many.

  Attributes:
    event: [H, W, C] or [T, C].
    num_heads: number of outputs, each of shape `event`.
    widths: channels of each level, the smallest images first.
    blocks, activation, kernel_init: as of the encoder.
    channel_bias: initial bias of the first output, one value per channel; empty for 0.
  """

  EVENT_RANKS: ClassVar[tuple[int, ...]] = (2, 3)

  event: Sequence[int]
  num_heads: int
  widths: Levels = (128, 64, 32)
  blocks: Blocks = 1
  activation: layers.PlainActivation = 'relu'
  kernel_init: layers.Init = 'lecun'
  channel_bias: Sequence[float] = ()

  @nn.compact
  def __call__(self, z: Array, mask: Array) -> Array:
    """Returns [num_heads, *event] for z [Z]; mask [Z] is 0 where a latent is inert."""
    *event, channels = layers.image_shape(self.event)
    levels = [tuple(event)]
    for _ in self.widths[1:]:
      levels.append(tuple(-(-size // 2) for size in levels[-1]))
    small = (*levels[-1], self.widths[0])
    style = self.activation, self.kernel_init
    (h,) = decoders.MlpDecoder(small, 1, (), *style, name='dense')(z, mask)
    for level, (width, sizes) in enumerate(zip(self.widths, levels[::-1], strict=True)):
      h = _doubled(h, sizes) if level else h
      for block in range(self.blocks):
        h = Block(width, *style, name=f'block_{level}_{block}')(h, event)
    h = layers.ACTIVATIONS[self.activation](GroupNorm(name='norm')(h))
    bias = layers.first_values(self.channel_bias)
    init = layers.initializer(self.kernel_init)
    h = Conv(self.num_heads * channels, init, bias, name='output')(h, event)
    h = jnp.moveaxis(h.reshape(*event, self.num_heads, channels), 2, 0)
    return h.reshape(self.num_heads, *self.event)


def _halved(x: Array) -> Array:
  """Returns means of two pixels along both axes, of the last one alone where a size is odd."""
  return functools.reduce(_halved_along, (0, 1), x)


def _halved_along(x: Array, axis: int) -> Array:
  size = x.shape[axis]
  if size == 1:
    return x
  if size % 2:  # the last pixel is the mean of itself and itself
    x = jnp.concatenate([x, jax.lax.slice_in_dim(x, size - 1, size, axis=axis)], axis=axis)
  pairs = x.reshape(*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
  return pairs.mean(axis=axis + 1)


def _doubled(x: Array, sizes: Sequence[int]) -> Array:
  """Returns every pixel twice along the axes that grow, cut to `sizes`."""
  for axis, size in enumerate(sizes):
    if size > x.shape[axis]:
      pairs = jnp.repeat(jnp.expand_dims(x, axis + 1), 2, axis=axis + 1)
      x = pairs.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
  return x[: sizes[0], : sizes[1]]
