"""Encoders and decoders in Flax linen, of one example; shapes are inferred from the data.

Both take the lane's mask [Z]. The encoder masks its heads, so an inert latent has the posterior
N(0, 1) = prior; the decoder masks z, so inert weights get zero gradient. Kernels that touch the
latent axis are drawn with that axis first, which makes the active weights of a padded lane the
very draws of the unpadded model (a counter-based generator fills arrays in order), and the
decoder's first kernel is scaled by the ACTIVE fan-in: with 1/Z, small lanes would start with a
decoder that is too small, and a sweep over latent size would measure the padding.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import distrax
import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from vae_jax import densities

ACTIVATIONS = {
  'relu': nn.relu,
  'tanh': jnp.tanh,
  'gelu': nn.gelu,
  'elu': nn.elu,
  'silu': nn.silu,
  'leaky_relu': nn.leaky_relu,
  'softplus': nn.softplus,
  'sigmoid': nn.sigmoid,
}


def active_lecun_normal(mask: Array) -> nn.initializers.Initializer:
  """Kernel [Z, H] of variance 1 / sum(mask) on the active rows, 0 on the inert ones.

  LeCun et al. 1998, "Efficient BackProp", section 4.6, with the fan-in that is really there.
  """

  def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    scale = jnp.sqrt(shape[0] / jnp.sum(mask))
    return mask[:, None] * scale * nn.initializers.lecun_normal()(key, shape, dtype)

  return init


def _masked_head_init(mask: Array) -> nn.initializers.Initializer:
  """Kernel [H, Z] of variance 1 / H on the active columns, 0 on the inert ones."""

  def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    latent_first = nn.initializers.lecun_normal(in_axis=-1, out_axis=-2)
    return mask * latent_first(key, shape[::-1], dtype).T

  return init


class MlpEncoder(nn.Module):
  """Maps one example to the parameters of q(z | x).

  Attributes:
    hidden: width of each hidden layer, first layer first; empty for a linear encoder.
    activation: a name of ACTIVATIONS.
  """

  hidden: Sequence[int]
  activation: str

  @nn.compact
  def __call__(self, x: Array, mask: Array) -> tuple[Array, Array]:
    """Returns loc [Z] and log scale [Z] for x [*event]; both are 0 where mask [Z] is 0."""
    h = jnp.ravel(x)
    for i, width in enumerate(self.hidden):
      h = ACTIVATIONS[self.activation](nn.Dense(width, name=f'hidden_{i}')(h))
    init = _masked_head_init(mask)
    loc = nn.Dense(mask.size, kernel_init=init, name='loc')(h)
    log_scale = nn.Dense(mask.size, kernel_init=init, name='log_scale')(h)
    return mask * loc, mask * log_scale


class MlpDecoder(nn.Module):
  """Maps one latent code to the outputs that a likelihood reads.

  Attributes:
    hidden: width of each hidden layer, first layer first; empty for a linear decoder.
    activation: a name of ACTIVATIONS.
    event: shape of x.
    num_heads: number of outputs, each of shape `event`.
    output_bias: initial bias of the first output, one value per pixel; empty for 0.
  """

  hidden: Sequence[int]
  activation: str
  event: Sequence[int]
  num_heads: int
  output_bias: Sequence[float]

  @nn.compact
  def __call__(self, z: Array, mask: Array) -> tuple[Array, ...]:
    """Returns num_heads arrays [*event] for z [Z]."""
    h = mask * z
    kernel_init = active_lecun_normal(mask)
    for i, width in enumerate(self.hidden):
      h = nn.Dense(width, kernel_init=kernel_init, name=f'hidden_{i}')(h)
      h = ACTIVATIONS[self.activation](h)
      kernel_init = nn.initializers.lecun_normal()
    size = self.num_heads * math.prod(self.event)
    bias_init = _first_values(self.output_bias)
    h = nn.Dense(size, kernel_init=kernel_init, bias_init=bias_init, name='output')(h)
    return tuple(jnp.reshape(h, (self.num_heads, *self.event)))


class ConvEncoder(nn.Module):
  """Strided convolutions, then an MlpEncoder on what they leave.

  Attributes:
    channels, kernels, strides: one entry per convolution, square, 'SAME' padding.
    hidden, activation: of the MlpEncoder behind; the activation follows each convolution too.
  """

  channels: Sequence[int]
  kernels: Sequence[int]
  strides: Sequence[int]
  hidden: Sequence[int]
  activation: str

  @nn.compact
  def __call__(self, x: Array, mask: Array) -> tuple[Array, Array]:
    """Returns loc [Z] and log scale [Z] for x [H, W, C]."""
    layers = zip(self.channels, self.kernels, self.strides, strict=True)
    for i, (width, kernel, stride) in enumerate(layers):
      conv = nn.Conv(width, (kernel, kernel), (stride, stride), name=f'conv_{i}')
      x = ACTIVATIONS[self.activation](conv(x))
    return MlpEncoder(self.hidden, self.activation, name='mlp')(x, mask)


class ConvDecoder(nn.Module):
  """Dense layers to a small image, then transposed convolutions up to the event.

  The small image is ceil(H / product of strides) high (and wide likewise), so that the last layer
  reaches at least the event, whatever its size; what is over is cropped, evenly on both sides.

  Attributes:
    hidden, activation: of the dense layers in front; the activation follows every layer but the
      last.
    channels, kernels, strides: channels[i] enter transposed convolution i; the last one leaves
      num_heads * C channels.
    event: [H, W, C].
    num_heads: number of outputs, each of shape `event`.
    output_bias: initial bias of the first output, one value per channel; empty for 0.
  """

  channels: Sequence[int]
  kernels: Sequence[int]
  strides: Sequence[int]
  hidden: Sequence[int]
  activation: str
  event: Sequence[int]
  num_heads: int
  output_bias: Sequence[float]

  @nn.compact
  def __call__(self, z: Array, mask: Array) -> tuple[Array, ...]:
    """Returns num_heads arrays [H, W, C] for z [Z]."""
    activation = ACTIVATIONS[self.activation]
    height, width, num_channels = self.event
    total = math.prod(self.strides)
    small = (math.ceil(height / total), math.ceil(width / total), self.channels[0])
    dense = MlpDecoder(self.hidden, self.activation, small, 1, (), name='mlp')
    (h,) = dense(z, mask)
    widths = (*self.channels[1:], self.num_heads * num_channels)
    for i, (kernel, stride) in enumerate(zip(self.kernels, self.strides, strict=True)):
      last = i == len(widths) - 1
      h = nn.ConvTranspose(
        widths[i],
        (kernel, kernel),
        (stride, stride),
        bias_init=_first_values(self.output_bias if last else ()),
        name='output' if last else f'conv_{i}',
      )(activation(h))
    top, left = (h.shape[0] - height) // 2, (h.shape[1] - width) // 2
    h = h[top : top + height, left : left + width]
    return tuple(jnp.split(h, self.num_heads, axis=-1))


def _first_values(values: Sequence[float]) -> nn.initializers.Initializer:
  """Bias of `values` on the first outputs and 0 on the rest."""

  def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    del key
    return jnp.zeros(shape, dtype).at[: len(values)].set(jnp.asarray(values, dtype))

  return init


class Model(NamedTuple):
  """An encoder, a decoder and a likelihood as pure functions of their parameters."""

  init: Callable[[Array, Array], Any]  # key, mask [Z] -> params
  encode: Callable[[Any, Array, Array], distrax.Normal]  # params, x, mask -> q(z | x)
  decode: Callable[[Any, Array, Array], distrax.Distribution]  # params, z, mask -> p(x | z)


def make_model(
  encoder: nn.Module, decoder: nn.Module, likelihood: densities.Likelihood, event: Sequence[int]
) -> Model:
  """Returns the model of one example; `event` is the shape of x."""

  def init(key: Array, mask: Array) -> Mapping[str, Any]:
    encoder_key, decoder_key = jax.random.split(key)
    return {
      'encoder': encoder.init(encoder_key, jnp.zeros(event), mask),
      'decoder': decoder.init(decoder_key, jnp.zeros(mask.size), mask),
      'likelihood': (jnp.zeros(()),) * likelihood.num_shared,
    }

  def encode(params: Any, x: Array, mask: Array) -> distrax.Normal:
    return densities.diagonal_gaussian(*encoder.apply(params['encoder'], x, mask))

  def decode(params: Any, z: Array, mask: Array) -> distrax.Distribution:
    return likelihood.make((*decoder.apply(params['decoder'], z, mask), *params['likelihood']))

  return Model(init, encode, decode)
