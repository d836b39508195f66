"""Means of p(x | z) for people to look at: reconstructions, prior samples, traversals."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import learner, networks
from vae_jax.lanes import Lane


def reconstruct(model: networks.Model, params: Any, lane: Lane, x: Array) -> Array:
  """Returns the mean of p(x | z) at the centre of q(z | x), [n, *event]."""
  params = model.at_beta(params, lane.beta)

  def one(x):
    return model.decode(params, model.encode(params, x, lane.mask).loc, lane.mask).mean()

  return jax.vmap(one)(x)


def sample_prior(model: networks.Model, params: Any, lane: Lane, num_samples: int) -> Array:
  """Returns the mean of p(x | z) for draws of z from the prior, [n, *event]."""
  params = model.at_beta(params, lane.beta)
  noise_key, uniform_key = jax.random.split(learner.lane_keys(lane).prior)
  noise = learner.draw_noise(noise_key, num_samples, 1, lane.mask.size)[:, 0]  # [n, Z]
  uniform = jax.random.uniform(uniform_key, (num_samples,))
  z = jax.vmap(model.prior(params, lane.mask).sample)(noise, uniform)
  return jax.vmap(lambda z: model.decode(params, z, lane.mask).mean())(z)


def traverse(model: networks.Model, params: Any, lane: Lane, usage: Array, size: int) -> Array:
  """Returns the mean of p(x | z) on a grid of z over [-1, 1]^2, [size, size, *event].

  The grid moves the two latents of the largest `usage` [Z], down and across; the others are 0. A
  lane of one latent moves it across, in rows that are the same. Usage that is not known, NaN, is
  the least.

  With two layers the decoder reads the lower one alone: it is moved in units of the scales of
  p(z_1 | z_2) about its mean at z_2 = 0.
  """
  params = model.at_beta(params, lane.beta)
  values = jnp.linspace(-1.0, 1.0, size)
  num_read = model.lower_size or usage.size
  known = jnp.where(jnp.isnan(usage), 0.0, usage)
  order = jnp.argsort(jnp.where(lane.mask > 0, -known, jnp.inf)[:num_read])
  across = order[0]
  down = order[min(1, num_read - 1)]
  prior = model.prior(params, lane.mask) if model.lower_size else None

  def one(row: Array, column: Array) -> Array:
    z = lane.mask * jnp.zeros_like(lane.mask).at[down].set(row).at[across].set(column)
    if prior is not None:
      z = prior.sample(z, jnp.zeros(()))
    return model.decode(params, z, lane.mask).mean()

  return jax.vmap(lambda row: jax.vmap(lambda column: one(row, column))(values))(values)
