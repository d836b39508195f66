"""What encoders and decoders are made of: activations, initial kernels, a stack of dense layers.

The active weights of a padded lane are the very draws of the unpadded model: a counter-based
generator fills arrays in order, so a latent axis of inputs is the first one of its draw, and where
the outputs are latents, every input has a key of its own. The variance is that of the ACTIVE fan:
with 1/Z, small lanes would start with a decoder that is too small, and a sweep over latent size
would measure the padding.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from vae_jax import checks
from vae_jax.fast import heads

_GATED = 'gated'

ACTIVATIONS = {
  'relu': nn.relu,
  'tanh': jnp.tanh,
  'gelu': nn.gelu,
  'elu': nn.elu,
  'silu': nn.silu,
  'leaky_relu': nn.leaky_relu,
  'softplus': nn.softplus,
  'sigmoid': nn.sigmoid,
  'identity': lambda h: h,  # a linear network of several layers
  # a sigmoid(b), a and b two halves of the layer before: Dauphin et al. 2017, arXiv 1612.08083
  _GATED: nn.glu,
}

# Variance of an initial weight by fan-in and fan-out.
INITS: dict[str, Callable[[Array, Array], Array]] = {
  'lecun': lambda fan_in, fan_out: 1 / fan_in,  # LeCun et al. 1998, "Efficient BackProp", 4.6
  'he': lambda fan_in, fan_out: 2 / fan_in,  # He et al. 2015, arxiv.org/abs/1502.01852
  'glorot': lambda fan_in, fan_out: 2 / (fan_in + fan_out),  # Glorot & Bengio 2010, eq. 16
}

# What the keys of a network may be.
Widths = Annotated[Sequence[int], checks.tuple_of(checks.whole(1))]
Activation = Annotated[str, checks.choice(*ACTIVATIONS)]
Init = Annotated[str, checks.choice(*INITS)]
Padding = Annotated[str, checks.choice('same', 'valid')]
PlainActivation = Annotated[str, checks.choice(*(name for name in ACTIVATIONS if name != _GATED))]
Norm = Annotated[str, checks.choice('none', 'layer')]
Residual = Annotated[bool, checks.flag]

# The deviation of a standard normal that is cut off at +-2.
_TRUNCATED_DEVIATION = 0.87962566103423978


def widened(width: int, activation: str) -> int:
  """Returns how many outputs a layer needs for `width` of them behind its activation."""
  return 2 * width if activation == _GATED else width


def initializer(
  scheme: str, rows: Array | None = None, columns: Array | None = None
) -> nn.initializers.Initializer:
  """Truncated normal kernel [..., in, out] with the variance of INITS[scheme].

  Args:
    scheme: a name of INITS.
    rows: [in] 0 where an input is inert: its weights are 0 and do not count as fan-in.
    columns: [out] the same of the outputs.
  """

  def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    return _kernel(key, rows, columns, scheme, tuple(shape), dtype)

  return init


# Flax asks for the shape of each parameter again wherever a network is applied: of a function that
# is jitted it is known from the first time on.
@functools.partial(jax.jit, static_argnames=('scheme', 'shape', 'dtype'))
def _kernel(
  key: Array,
  rows: Array | None,
  columns: Array | None,
  scheme: str,
  shape: tuple[int, ...],
  dtype: Any,
) -> Array:
  """Draws the kernel of `initializer`."""
  field = math.prod(shape[:-2])
  fan_in = field * (shape[-2] if rows is None else jnp.sum(rows))
  fan_out = field * (shape[-1] if columns is None else jnp.sum(columns))
  deviation = jnp.sqrt(INITS[scheme](fan_in, fan_out)) / _TRUNCATED_DEVIATION
  if columns is None:
    draws = jax.random.truncated_normal(key, -2, 2, shape, dtype)
  else:
    keys = jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(shape[-2]))
    draws = jax.vmap(lambda k: jax.random.truncated_normal(k, -2, 2, shape[-1:], dtype))(keys)
  kernel = deviation * draws
  kernel = kernel if rows is None else rows[:, None] * kernel
  return kernel if columns is None else columns * kernel


def first_values(values: Sequence[float]) -> nn.initializers.Initializer:
  """Bias of `values` on the first outputs and 0 on the rest."""

  def init(key: Array, shape: Sequence[int], dtype: Any = jnp.float32) -> Array:
    del key
    return jnp.zeros(shape, dtype).at[: len(values)].set(jnp.asarray(values, dtype))

  return init


def image_shape(event: Sequence[int]) -> tuple[int, int, int]:
  """Returns the shape [H, W, C] of an event; a signal [T, C] is an image one pixel wide."""
  height, *width, channels = event
  return height, *(width or (1,)), channels


def as_image(x: Array) -> Array:
  """Returns x [*event] as an image [H, W, C]."""
  return x.reshape(image_shape(x.shape))


class Mlp(nn.Module):
  """Dense layers, each followed by the activation.

    h' = a(norm(W h + b)), and h + h' where a layer is residual and as wide as the one before

  Attributes:
    hidden: width of each layer, first layer first; may be empty.
    activation: a name of ACTIVATIONS.
    kernel_init: a name of INITS.
    gate: name -> the gate of a layer, see `gates`; where it sees beta.
    norm: 'none', or 'layer' for that of Ba et al. 2016, arxiv.org/abs/1607.06450.
    residual: whether what a layer reads is added to what it makes, where both are as wide.
  """

  hidden: Sequence[int]
  activation: str
  kernel_init: str
  gate: Callable[[str], nn.Module] | None = None
  norm: str = 'none'
  residual: bool = False

  @nn.compact
  def __call__(self, h: Array, mask: Array | None = None, eta: Array | None = None) -> Array:
    """Returns the last layer for h [I]; mask [I] is 0 where an input is inert.

    With eta [], the standardised log beta, each layer is gated before its activation.
    """
    for i, width in enumerate(self.hidden):
      init = initializer(self.kernel_init, rows=mask if i == 0 else None)
      outputs = widened(width, self.activation)
      before, h = h, nn.Dense(outputs, kernel_init=init, name=f'hidden_{i}')(h)
      h = nn.LayerNorm(name=f'norm_{i}', dtype=h.dtype)(h) if self.norm == 'layer' else h
      h = h if eta is None else self.gate(f'gate_{i}')(h, eta)
      h = ACTIVATIONS[self.activation](h)
      # Not the latents, of which a padded lane has more.
      is_same = self.residual and h.shape == before.shape and (i or mask is None)
      h = before + h if is_same else h
    return h


class _Weights(nn.Module):
  """The parameters of a dense layer: kernel [I, features] and bias [features]."""

  features: int
  kernel_init: nn.initializers.Initializer

  @nn.compact
  def __call__(self, inputs: int) -> tuple[Array, Array]:
    kernel = self.param('kernel', self.kernel_init, (inputs, self.features))
    return kernel, self.param('bias', nn.initializers.zeros, (self.features,))


class GaussianHead(nn.Module):
  """Two dense layers from features to the location and log-scale of Z Gaussians.

  Attributes:
    kernel_init: a name of INITS.
    unit_scale: begin at scale 1, whatever the features. Of two layers in a row the second sees what
      the first has drawn: with random log-scales its own would be exp of an exp.
  """

  kernel_init: str
  unit_scale: bool = False

  @nn.compact
  def __call__(self, features: Array, mask: Array, rows: Array | None = None):
    """Returns loc [Z], log scale [Z], both 0 where mask [Z] is 0.

    Args:
      features: [I].
      mask: [Z] of the outputs.
      rows: [I] 0 where an input is inert.
    """
    init = initializer(self.kernel_init, rows=rows, columns=mask)
    scale_init = nn.initializers.zeros if self.unit_scale else init
    both = [
      _Weights(mask.size, kernel_init, name=name)(features.size)
      for name, kernel_init in (('loc', init), ('log_scale', scale_init))
    ]
    loc, log_scale = heads.both(features, *both)
    return mask * loc, mask * log_scale
