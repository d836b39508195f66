"""Codes for people to look at, and their means of p(x | z): prior samples, walks along z."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import densities, learner, networks
from vae_jax.data import NOTHING, Beside
from vae_jax.lanes import Lane


def centres(
  model: networks.Model, params: Any, lane: Lane, x: Array, beside: Beside = NOTHING
) -> Array:
  """Returns the centre of q(z | x) of examples [n, *event], [n, Z]."""
  params = model.at_beta(params, lane.beta)

  def one(x: Array, beside: Beside) -> Array:
    return model.encode(model.knowing(params, beside), x, lane.mask).loc

  return jax.vmap(one)(x, beside)


def decode(
  model: networks.Model, params: Any, lane: Lane, z: Array, beside: Beside = NOTHING
) -> Array:
  """Returns the mean of p(x | z) of codes [n, Z], [n, *event]."""
  params = model.at_beta(params, lane.beta)

  def one(z: Array, beside: Beside) -> Array:
    return model.decode(model.knowing(params, beside), z, lane.mask).mean()

  return jax.vmap(one)(z, beside)


def draw(
  model: networks.Model, params: Any, lane: Lane, key: Array, z: Array, beside: Beside = NOTHING
) -> Array:
  """Returns a draw from p(x | z) of each code [n, Z], [n, *event], as data are drawn."""
  params = model.at_beta(params, lane.beta)

  def one(key: Array, z: Array, beside: Beside) -> Array:
    return densities.drawn(model.decode(model.knowing(params, beside), z, lane.mask), key)

  return jax.vmap(one)(jax.random.split(key, len(z)), z, beside)


def sample_prior(model: networks.Model, params: Any, lane: Lane, num_samples: int) -> Array:
  """Returns draws of z from the prior, [n, Z]; of the pictures of a run."""
  params = model.at_beta(params, lane.beta)
  noise_key, uniform_key = jax.random.split(learner.lane_keys(lane).prior)
  noise = learner.draw_noise(noise_key, num_samples, 1, lane.mask.size)[:, 0]  # [n, Z]
  uniform = jax.random.uniform(uniform_key, (num_samples,))
  return jax.vmap(model.prior(params, lane.mask).sample)(noise, uniform)


def traverse(model: networks.Model, params: Any, lane: Lane, usage: Array, size: int) -> Array:
  """Returns a grid of z over [-1, 1]^2, [size, size, Z].

  The grid moves the two latents of the largest `usage` [Z], down and across; the others are 0. A
  lane of one latent moves it across, in rows that are the same. Usage that is not known, NaN, is
  the least.

  With two layers the decoder reads the lower one alone: it is moved in units of the scales of
  p(z_1 | z_2) about its mean at z_2 = 0.
  """
  params = model.at_beta(params, lane.beta)
  values = jnp.linspace(-1.0, 1.0, size)
  order = most_used(model, lane, usage)
  across = order[0]
  down = order[min(1, order.size - 1)]
  prior = model.prior(params, lane.mask) if model.lower_size else None

  def one(row: Array, column: Array) -> Array:
    z = lane.mask * jnp.zeros_like(lane.mask).at[down].set(row).at[across].set(column)
    if prior is not None:
      z = prior.sample(z, jnp.zeros(()))
    return z

  return jax.vmap(lambda row: jax.vmap(lambda column: one(row, column))(values))(values)


def most_used(model: networks.Model, lane: Lane, usage: Array) -> Array:
  """Returns the latents that the decoder reads, that of the largest `usage` [Z] first.

  Those that the lane does not have come last; usage that is not known, NaN, is the least.
  """
  known = jnp.where(jnp.isnan(usage), 0.0, usage)
  num_read = model.lower_size or usage.size
  return jnp.argsort(jnp.where(lane.mask > 0, -known, jnp.inf)[:num_read])


def walk(
  model: networks.Model, params: Any, lane: Lane, usage: Array, num_units: int, size: int
) -> Array:
  """Returns codes along single latents, [num_units, size, Z]: from -2 to 2, the others 0.

  Row k moves the latent of the k-th largest `usage` [Z]; with two layers as `traverse` does. A row
  of a latent that there is none of moves nothing.
  """
  values = jnp.linspace(-2.0, 2.0, size)
  order = most_used(model, lane, usage)[:num_units]
  rows = jax.nn.one_hot(order, usage.size)
  rows = jnp.pad(rows, ((0, num_units - len(rows)), (0, 0)))
  z = lane.mask * rows[:, None, :] * values[:, None]
  if not model.lower_size:
    return z
  prior = model.prior(model.at_beta(params, lane.beta), lane.mask)
  return jax.vmap(jax.vmap(lambda z: prior.sample(z, jnp.zeros(()))))(z)


def between(values: Array, size: int) -> Array:
  """Returns what lies on the lines from values[0] to values[1], from [2] to [3] ...

  Args:
    values: [n, ...], codes or what they are known beside.
    size: of each line, with both ends.

  Returns:
    [n / 2, size, ...].
  """
  pairs = values[: len(values) // 2 * 2].reshape(-1, 2, 1, *values.shape[1:])
  share = jnp.linspace(0.0, 1.0, size).reshape(-1, *(1,) * (values.ndim - 1))
  return (1 - share) * pairs[:, 0] + share * pairs[:, 1]
