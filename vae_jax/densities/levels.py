"""Likelihoods p(x | z) of 8-bit levels x in {0, ..., 255}; one example, no keys.

All are probabilities, not densities: `log_prob` is in nats and never positive.
"""

from typing import Annotated

import distrax
import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import checks
from vae_jax.densities.events import per_example
from vae_jax.densities.likelihoods import (
  MEAN_MARGIN,
  Likelihood,
  Outputs,
  Scale,
  bisect,
  learned_scale,
)
from vae_jax.fast.softplus import softplus

NUM_LEVELS = 256
_WHITE = NUM_LEVELS - 1.0


# distrax.Quantized subtracts the CDF at one edge of the bin from that at the other, which loses
# digits where the scale is far wider than a level, and it has no mean.
class DiscretizedLogistic(distrax.Distribution):
  """A logistic rounded to the nearest level; `loc` and `scale` in levels, any common shape."""

  def __init__(self, loc: Array, scale: Array):
    super().__init__()
    self._loc = loc
    self._scale = scale

  @property
  def event_shape(self) -> tuple[int, ...]:
    """One level."""
    return ()

  @property
  def batch_shape(self) -> tuple[int, ...]:
    """The shape of loc and scale."""
    return self._loc.shape

  def log_prob(self, value: Array) -> Array:
    """Returns log(sigmoid(b) - sigmoid(a)) for the bin from a to b, in units of the scale.

    By sigmoid(b) - sigmoid(a) = sigmoid(b) sigmoid(-a) (1 - exp(a - b)), which subtracts no two
    near numbers; a is -inf at black and b is +inf at white.
    """
    distance = value - self._loc
    above = -softplus(-(distance + 0.5) / self._scale)  # log sigmoid(b) = -softplus(-b)
    below = -softplus((distance - 0.5) / self._scale)
    width = jnp.log(-jnp.expm1(-1 / self._scale))
    black, white = value == 0, value == _WHITE
    return (
      jnp.where(white, 0.0, above)
      + jnp.where(black, 0.0, below)
      + jnp.where(black | white, 0.0, width)
    )

  def mean(self) -> Array:
    """Returns sum_k P(x > k) over k = 0 .. 254."""
    edges = jnp.arange(_WHITE) + 0.5
    distance = self._loc[..., None] - edges
    return jnp.sum(jax.nn.sigmoid(distance / self._scale[..., None]), axis=-1)

  def _sample_n(self, key: Array, n: int) -> Array:
    noise = jax.random.logistic(key, (n, *self.batch_shape))
    return jnp.clip(jnp.round(self._loc + self._scale * noise), 0, _WHITE)


def _heads_last(outputs: Outputs) -> Array:
  """Returns [*event, num_heads]; a stacked input is not taken apart."""
  return jnp.moveaxis(jnp.asarray(outputs), 0, -1)


class _CategoricalLevels(distrax.Categorical):
  """distrax's categorical of logits [..., 256] with a mean, for levels stored as floats."""

  def log_prob(self, value: Array) -> Array:
    """Returns the logarithm of the probability of each level."""
    return super().log_prob(jnp.asarray(value).astype(jnp.int32))

  def mean(self) -> Array:
    """Returns sum_k k P(x = k)."""
    return self.probs @ jnp.arange(NUM_LEVELS, dtype=self.probs.dtype)


def discretized_logistic(
  num_components: Annotated[int, checks.whole(1, 100)] = 1,
  initial_scale: Scale = 1.0,
  min_scale: Scale = 0.001,
) -> Likelihood:
  """Mixture of logistics over 8-bit levels, each rounded; the edge bins take the tails.

    p(x | z) = prod_d sum_k w_dk [sigmoid((x_d + 1/2 - m_dk) / s_dk)
                                  - sigmoid((x_d - 1/2 - m_dk) / s_dk)]

  Salimans et al. 2017, eq. 2, arxiv.org/abs/1701.05517, with x + 1/2 = inf at x = 255 and
  x - 1/2 = -inf at x = 0, so that it sums to 1 over the 256 levels. Pixels and colours are
  independent given z: the paper's regression of one colour on another is not part of it. Values and
  gradients are finite at outputs of +-1e4. Nats per example; higher is better.

  The heads are K locations u, K raw scales r and, for K > 1, K logits of the weights. Their unit is
  the range from black to white, centred on middle grey, so that scales mean what they do for a
  `gaussian` on [0, 1]:

    m_1 = 127.5 + 255 u_1     m_k = m_1 + 255 u_k     s_k = 255 (min_scale + softplus(r_k + c))

  The other locations are relative to the first: it alone sets the mean of x at the start.

  Args:
    num_components: K.
    initial_scale: s / 255 at the start, where r = 0.
    min_scale: the lower bound of s / 255, below initial_scale.
  """

  def loc_of(u: Array) -> Array:
    return _WHITE * (0.5 + u)

  def make(outputs: Outputs) -> distrax.Distribution:
    if num_components == 1:
      outputs = (*outputs, jnp.zeros_like(outputs[0]))
    u, raw, logits = jnp.split(_heads_last(outputs), 3, axis=-1)  # [*event, K] each
    loc = loc_of(u.at[..., 1:].add(u[..., :1]))
    scale = _WHITE * learned_scale(raw, initial_scale, min_scale)
    components = DiscretizedLogistic(loc, scale)
    return per_example(distrax.MixtureSameFamily(distrax.Categorical(logits=logits), components))

  def output_of_mean(mean: Array) -> Array:
    def mean_of(u: Array) -> Array:
      return DiscretizedLogistic(loc_of(u), jnp.full_like(u, _WHITE * initial_scale)).mean()

    mean = _WHITE * jnp.clip(jnp.asarray(mean) / _WHITE, MEAN_MARGIN, 1 - MEAN_MARGIN)
    # Ten scales beyond black and white, the mean is nearer to them than the clip lets it be.
    reach = 0.5 + 10 * initial_scale
    return bisect(mean_of, mean, -reach, reach)

  return Likelihood(
    supports=('uint8',),
    num_heads=2 if num_components == 1 else 3 * num_components,
    make=make,
    output_of_mean=output_of_mean,
    at_scale=lambda s: discretized_logistic(num_components, s, min_scale),
    min_scale=min_scale,
  )


def categorical() -> Likelihood:
  """Categorical over 8-bit levels: one logit per level, no order among them.

    log p(x | z) = sum_d l_d[x_d] - logsumexp_k l_d[k]

  The softmax of van den Oord et al. 2016, "Pixels as Discrete Variables",
  arxiv.org/abs/1601.06759. The 256 heads are the logits of levels 0 to 255; no single one of them
  sets the mean, so `output_of_mean` is None. Finite at logits of +-1e4. Nats per example; higher is
  better.
  """

  def make(outputs: Outputs) -> distrax.Distribution:
    logits = _heads_last(outputs)  # [*event, 256]
    return per_example(_CategoricalLevels(logits=logits, dtype=jnp.float32))

  return Likelihood(supports=('uint8',), num_heads=NUM_LEVELS, make=make)
