"""Gates of beta: what makes one network the networks of every beta (Bae et al. 2023, MR-VAE).

Every hidden layer of encoder and decoder has its pre-activations multiplied, unit by unit, by a
number that depends on beta alone, arxiv.org/abs/2212.03905:

  encoder   sigmoid(w eta + b)
  decoder   (max(0, 1 - exp(w eta + b)))^(1/2)

with eta the standardised logarithm of beta. They are the forms of linear VAEs (see
`closed_form.optimum` of the experiments): a decoder's latent of eigenvalue l is proportional to
sqrt(max(0, l - beta s^2)), and, of a decoder with weight w that stands still, the best encoder to
w / (w^2 + beta s^2).
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

# Below this 1 - exp(a) the square root is a straight line, so that its slope stays finite.
_SMALL = 1e-3


def standardised(beta: Array, beta_range: Sequence[float]) -> Array:
  """Returns eta [], the logarithm of beta with mean 0 and variance 1 where it is uniform.

  Args:
    beta: [], above 0.
    beta_range: the lowest and the highest beta; between them log beta is uniform.
  """
  low, high = map(math.log, beta_range)
  return (jnp.log(beta) - (low + high) / 2) * (math.sqrt(12) / (high - low))


def vanishing(a: Array) -> Array:
  """Returns (max(0, 1 - exp(a)))^(1/2): 1 far below a = 0, and 0 from there on.

  Its derivative is infinite at 0. Where 1 - exp(a) < e = 0.001 the root is replaced by the straight
  line through its end, v / sqrt(e): at most 0.008 below it, and no slope is above 1 / sqrt(e) = 32.
  """
  v = -jnp.expm1(jnp.minimum(a, 0.0))
  return jnp.where(v > _SMALL, jnp.sqrt(jnp.maximum(v, _SMALL)), v / math.sqrt(_SMALL))


class Gate(nn.Module):
  """Multiplies the outputs of a layer by a function of beta.

  Attributes:
    function: of w eta + b, elementwise.
    slope: mean of the initial w.
    spread: standard deviation of the initial w.
    offset: the initial b.
  """

  function: Callable[[Array], Array]
  slope: float
  spread: float
  offset: float

  @nn.compact
  def __call__(self, h: Array, eta: Array) -> Array:
    """Returns [..., C] for h [..., C] and eta []."""

    def slopes(key: Array, shape: Sequence[int]) -> Array:
      return self.slope + self.spread * jax.random.normal(key, shape)

    slope = self.param('slope', slopes, h.shape[-1:])
    offset = self.param('offset', nn.initializers.constant(self.offset), h.shape[-1:])
    return self.function(slope * eta + offset) * h


def opening(name: str) -> Gate:
  """Returns the gate of a layer of an encoder: units of all kinds, most of them for small betas."""
  return Gate(jax.nn.sigmoid, slope=-1.0, spread=1.0, offset=2.0, name=name)


def closing(name: str) -> Gate:
  """Returns the gate of a layer of a decoder: it closes at the largest betas of the range.

  Of the linear VAE w is the standard deviation of log beta, 2.0 for betas from 0.01 to 10.
  """
  return Gate(vanishing, slope=2.0, spread=0.0, offset=-2.0, name=name)
