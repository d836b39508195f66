"""The keys of a lane, and what is drawn from them.

All randomness of a lane comes from its seed, by the named keys of `Keys`: the initialisation, the
noise of training (folded with the step, also for the betas of its examples), of evaluation and of
the NLL (folded with the batch), of the aggregate posterior, and the prior samples of the pictures.
Noise is drawn with the latent axis first, so that a lane sees the same draws whatever the padding.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax.lane_fields import MAX_STEPS
from vae_jax.lanes import Lane


class Keys(NamedTuple):
  """The keys of a lane, by use."""

  init: Array
  noise: Array
  evaluation: Array
  nll: Array
  prior: Array
  aggregate: Array


def lane_keys(lane: Lane) -> Keys:
  """Returns the lane's keys; they depend on its seed alone."""
  return Keys(*jax.random.split(jax.random.key(lane.seed, impl='threefry2x32'), len(Keys._fields)))


def draw_noise(key: Array, batch_size: int, num_samples: int, latent_size: int) -> Array:
  """Returns standard normal noise [N, L, Z]; a smaller Z gives the first columns of a larger."""
  noise = jax.random.normal(key, (latent_size, batch_size, num_samples))
  return jnp.moveaxis(noise, 0, -1)


def draw_antithetic(key: Array, batch_size: int, num_samples: int, latent_size: int) -> Array:
  """Returns standard normal noise [N, L, Z] in pairs e and -e; L is even.

  Each sample is standard normal, so that averages over samples keep their mean; what is odd in e,
  as most of the noise of a decoder's gradient is, cancels: Wu et al. 2019,
  arxiv.org/abs/1810.02555.
  """
  half = draw_noise(key, batch_size, num_samples // 2, latent_size)
  return jnp.concatenate([half, -half], axis=1)


def drawn_betas(beta_range: Sequence[float], lane: Lane, size: int, count: Array) -> Array:
  """Returns the beta [N] of each example of a step: drawn log-uniformly, or the lane's.

  The key is one that the noise of no step has.

  Args:
    beta_range: the lowest and the highest, of the objective; () where the lane has one beta.
    lane: its noise key, and its beta.
    size: N.
    count: [] the number of steps before it.
  """
  if not beta_range:
    return lane_betas(lane, size)
  behind_the_steps = jnp.asarray(count).astype(jnp.uint32) + np.uint32(MAX_STEPS + 1)
  key = jax.random.fold_in(lane_keys(lane).noise, behind_the_steps)
  low, high = map(math.log, beta_range)
  return jnp.exp(jax.random.uniform(key, (size,), minval=low, maxval=high))


def lane_betas(lane: Lane, size: int) -> Array:
  """Returns the lane's beta for every example [N], as in its evaluation."""
  return jnp.broadcast_to(lane.beta, (size,))
