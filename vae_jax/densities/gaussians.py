"""Gaussian likelihoods p(x | z), of a fixed or a learned scale."""

import math
from collections.abc import Callable
from typing import Annotated

import distrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import checks
from vae_jax.densities.events import per_example
from vae_jax.densities.likelihoods import (
  Likelihood,
  Outputs,
  Scale,
  inverse_softplus,
  learned_scale,
  logit_of_mean,
)


def gaussian(
  scale: Annotated[str, checks.choice('fixed', 'shared', 'optimal', 'per_pixel')] = 'fixed',
  initial_scale: Scale = 1.0,
  min_scale: Scale = 0.001,
  mean: Annotated[str, checks.choice('identity', 'sigmoid')] = 'identity',
) -> Likelihood:
  """Gaussian over real or unit-interval pixels, normaliser included.

    log p(x | z) = sum_d -1/2 ((x_d - m_d) / s_d)^2 - log s_d - 1/2 log(2 pi)

  Kingma & Welling 2014, appendix C.2, arxiv.org/abs/1312.6114. A learned scale is
  s = min_scale + softplus(r + c), c such that s = initial_scale at r = 0: bounded below, so that
  the density cannot run to +inf on a pixel that never varies. Nats per example; higher is better.

  On unit-interval pixels it is a density on the line and not on their support: no more of N(m, s^2)
  lies in [0, 1] than erf(1 / (2 sqrt(2) s)), and what lies outside is lost to every image. With
  s = 1 that is 0.96 nats a pixel at the least, 983 nats of 32 x 32. Its figures compare with those
  of other Gaussians, not with those of a density on [0, 1] such as the continuous Bernoulli.

  Args:
    scale: 'fixed' (s = initial_scale), 'shared' (one s, learned by gradient), 'optimal' (one s,
      refitted in closed form, see `optimal_scale`; no gradient reaches it), or 'per_pixel' (a
      second head of the decoder, one s per pixel and z).
    initial_scale: s at the start, in units of x.
    min_scale: the lower bound of a learned s, below initial_scale.
    mean: 'identity' (m = output) or 'sigmoid' (m in (0, 1), for unit-interval data).
  """

  def make(outputs: Outputs) -> distrax.Distribution:
    loc = jax.nn.sigmoid(outputs[0]) if mean == 'sigmoid' else outputs[0]
    s = initial_scale
    if scale != 'fixed':
      raw = jax.lax.stop_gradient(outputs[1]) if scale == 'optimal' else outputs[1]
      s = learned_scale(raw, initial_scale, min_scale)
    return per_example(distrax.Normal(loc, jnp.broadcast_to(s, loc.shape)))

  def refit(log_likelihood: Array, event_size: int, shared: tuple[Array, ...]) -> tuple[Array, ...]:
    s = learned_scale(shared[0], initial_scale, min_scale)
    excess = optimal_scale(log_likelihood, event_size, s) - min_scale
    # softplus never reaches 0: the bound is met to a ten-thousandth.
    excess = jnp.maximum(excess, 1e-4 * min_scale)
    start = inverse_softplus(jnp.float32(initial_scale - min_scale))
    return (inverse_softplus(excess) - start,)

  is_fixed = scale == 'fixed'
  return Likelihood(
    supports=('unit',) if mean == 'sigmoid' else ('unit', 'real'),
    num_heads=2 if scale == 'per_pixel' else 1,
    make=make,
    num_shared=1 if scale in ('shared', 'optimal') else 0,
    output_of_mean=logit_of_mean if mean == 'sigmoid' else jnp.asarray,
    refit=refit if scale == 'optimal' else None,
    at_scale=None if is_fixed else lambda s: gaussian(scale, s, min_scale, mean),
    min_scale=min_scale,
    variance=None if scale == 'per_pixel' else _variance_of(initial_scale if is_fixed else 1.0),
    # Of a learned scale nothing is known: it may become small.
    lost_on_unit=-math.log(_most_within_unit(initial_scale)) if is_fixed else 0.0,
  )


def _variance_of(scale: float) -> Callable[[np.ndarray], np.ndarray]:
  return lambda mean: np.full_like(mean, scale**2)


def _most_within_unit(scale: float) -> float:
  """Returns the most of N(m, s^2) that lies in [0, 1]: at m = 1/2, erf(1 / (2 sqrt(2) s))."""
  return math.erf(1 / (2 * math.sqrt(2) * scale))


def optimal_scale(log_likelihood: Array, event_size: int, scale: Array) -> Array:
  """Returns the one scale under which Gaussian pixels are likeliest, at least scale / 100.

    s*^2 = MSE = -2 s^2 (l / D + 1/2 log(2 pi s^2))

  The optimal sigma-VAE of Rybkin et al. 2021, eq. 5, arxiv.org/abs/2006.13202: s*^2 is the mean
  square error of a batch, here read back from its log-likelihood under the scale s it was computed
  with. Alternating this with gradient steps at the refitted s is coordinate ascent: at s* the
  gradient for all other parameters is the sigma-VAE's, since that of s is 0 (envelope theorem),
  and every reported figure is under a density with a known scale.

  Args:
    log_likelihood: l [], the mean over the batch and the samples of z, in nats per example.
    event_size: D.
    scale: s [], in units of x.
  """
  log_normaliser = jnp.log(scale) + 0.5 * math.log(2 * math.pi)
  mean_square = -2 * scale**2 * (log_likelihood / event_size + log_normaliser)
  # Below some 1e-5 s^2 the error is lost in the rounding of the normaliser beside it, and may come
  # out negative: one refit divides s by 100 at most, and the next one sees better.
  return jnp.sqrt(jnp.maximum(mean_square, (scale / 100) ** 2))
