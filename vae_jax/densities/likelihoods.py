"""Likelihoods p(x | z) on distrax; one example, no keys.

Every likelihood is a distrax distribution over one example, so that `log_prob` is in nats.
"""

from collections.abc import Callable
from typing import NamedTuple

import distrax
import jax
import jax.numpy as jnp
from jax import Array


class Likelihood(NamedTuple):
  """p(x | z) as a function of the decoder's outputs.

  Attributes:
    name: as the config names it.
    supports: the supports of data (see `vae_jax.data`) on which it is a density.
    num_heads: how many outputs [*event] it reads from the decoder.
    num_shared: how many learned scalars, the same for every x and z, it reads after these.
    make: outputs (num_heads arrays [*event], then num_shared scalars) -> distribution over x.
    output_of_mean: data mean [*event] -> first output whose distribution has that mean.
  """

  name: str
  supports: tuple[str, ...]
  num_heads: int
  num_shared: int
  make: Callable[[tuple[Array, ...]], distrax.Distribution]
  output_of_mean: Callable[[Array], Array]


def _per_example(distribution: distrax.Distribution) -> distrax.Distribution:
  """Makes all axes one event: log_prob sums over the pixels, [*event] -> []."""
  return distrax.Independent(distribution, len(distribution.batch_shape))


def logit_of_mean(mean: Array) -> Array:
  """Returns log(m / (1 - m)), with m clipped to [0.001, 0.999].

  A pixel that is black in every training image has mean 0 and logit -inf: the clip (Burda et al.
  2016 do the same) lets it still be learned.
  """
  mean = jnp.clip(mean, 1e-3, 1 - 1e-3)
  return jnp.log(mean) - jnp.log1p(-mean)


def bernoulli() -> Likelihood:
  """Bernoulli over binary pixels, in logits.

    log p(x | z) = sum_d x_d l_d - softplus(l_d)

  Kingma & Welling 2014, appendix C.1, arxiv.org/abs/1312.6114. It never forms the probability, so
  that values and gradients are finite at logits of +-1e4. Nats per example; higher is better.
  """

  def make(outputs: tuple[Array, ...]) -> distrax.Distribution:
    (logits,) = outputs
    return _per_example(distrax.Bernoulli(logits=logits))

  return Likelihood('bernoulli', ('binary',), 1, 0, make, logit_of_mean)


def gaussian(scale: str, initial_scale: float, min_scale: float, mean: str) -> Likelihood:
  """Gaussian over real or unit-interval pixels, normaliser included.

    log p(x | z) = sum_d -1/2 ((x_d - m_d) / s_d)^2 - log s_d - 1/2 log(2 pi)

  Kingma & Welling 2014, appendix C.2, arxiv.org/abs/1312.6114. A learned scale is
  s = min_scale + softplus(r + c), c such that s = initial_scale at r = 0: bounded below, so that
  the density cannot run to +inf on a pixel that never varies. Nats per example; higher is better.

  Args:
    scale: 'fixed' (s = initial_scale), 'shared' (one learned s), or 'per_pixel' (a second head of
      the decoder, one s per pixel and z).
    initial_scale: s at the start, in units of x.
    min_scale: the lower bound of a learned s, below initial_scale.
    mean: 'identity' (m = output) or 'sigmoid' (m in (0, 1), for unit-interval data).
  """

  def learned(raw: Array) -> Array:
    start = jnp.float32(initial_scale - min_scale)
    offset = start + jnp.log(-jnp.expm1(-start))  # softplus^-1, without overflow for a large scale
    return min_scale + jax.nn.softplus(raw + offset)

  def make(outputs: tuple[Array, ...]) -> distrax.Distribution:
    loc = jax.nn.sigmoid(outputs[0]) if mean == 'sigmoid' else outputs[0]
    s = initial_scale if scale == 'fixed' else learned(outputs[1])
    return _per_example(distrax.Normal(loc, jnp.broadcast_to(s, loc.shape)))

  num_heads = 2 if scale == 'per_pixel' else 1
  num_shared = 1 if scale == 'shared' else 0
  output_of_mean = logit_of_mean if mean == 'sigmoid' else jnp.asarray
  return Likelihood('gaussian', ('unit', 'real'), num_heads, num_shared, make, output_of_mean)
