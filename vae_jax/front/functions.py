"""What a trained lane computes, compiled once for all lanes of a run and any number of rows."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import bounds, data, densities, evaluation, learner, networks
from vae_jax.data import Beside
from vae_jax.lanes import Lane

ROWS = 64  # of one call: a number of images compiles nothing


class Functions(NamedTuple):
  """Jitted, of R rows; `x` is as stored, `params` and `lane` are of one lane, and `beside` [R, ...]
  is what is known of the rows.

  Attributes:
    encode: (params, lane, x [R, *event], beside) -> centres of q(z | x) [R, Z].
    moments: (params, lane, noise [S, Z], x, beside) -> mean and standard deviation of q(z | x),
      each [R, Z]; from the draws where they have no closed form.
    decode: (params, lane, z [R, Z], beside) -> means of p(x | z), [R, *event].
    draw: (params, lane, noise [R, Z], uniform [R]) -> z ~ p(z), [R, Z].
    terms: (params, lane, x, beside, noise [R, L, Z]) -> distortion [R] and rate [R], nats.
    log_weights: (params, lane, x, beside, noise [R, C, L, Z]) -> log w [R, C L], C chunks one after
      the other.
  """

  encode: Callable[..., Array]
  moments: Callable[..., tuple[Array, Array]]
  decode: Callable[..., Array]
  draw: Callable[..., Array]
  terms: Callable[..., tuple[Array, Array]]
  log_weights: Callable[..., Array]


def make(model: networks.Model, rate: bounds.Rate, scale: float) -> Functions:
  """Returns the functions of a model; it sees x / scale."""
  estimator = learner.Estimator(model, None, rate, bounds.reparameterized)

  def encode(params: Any, lane: Lane, x: Array, beside: Beside) -> Array:
    return evaluation.centres(model, params, lane, data.to_values(x, scale), beside)

  def moments(
    params: Any, lane: Lane, noise: Array, x: Array, beside: Beside
  ) -> tuple[Array, Array]:
    params = model.at_beta(params, lane.beta)

    def one(x: Array, beside: Beside) -> tuple[Array, Array]:
      known = model.knowing(params, beside)
      q = model.encode(known, data.to_values(x, scale), lane.mask)
      if hasattr(q, 'scale'):
        return q.loc, lane.mask * q.scale
      z, _ = jax.vmap(q.sample)(noise)
      return jnp.mean(z, axis=0), jnp.std(z, axis=0, ddof=1)

    return jax.vmap(one)(x, beside)

  def decode(params: Any, lane: Lane, z: Array, beside: Beside) -> Array:
    return evaluation.decode(model, params, lane, z, beside)

  def draw(params: Any, lane: Lane, noise: Array, uniform: Array) -> Array:
    prior = model.prior(model.at_beta(params, lane.beta), lane.mask)
    return jax.vmap(prior.sample)(noise, uniform)

  def terms(params: Any, lane: Lane, x: Array, beside: Beside, noise: Array) -> tuple[Array, Array]:
    x = data.to_values(x, scale)
    betas = learner.lane_betas(lane, len(x))
    _, _, found = learner.batch_terms(estimator, params, lane, x, noise, betas, beside)
    return jax.vmap(bounds.distortion)(found), jax.vmap(rate)(found).sum(axis=-1)

  def log_weights(params: Any, lane: Lane, x: Array, beside: Beside, noise: Array) -> Array:
    params = model.at_beta(params, lane.beta)
    weights_of = evaluation.make_weights_of(model, params, lane.mask)
    x = data.to_values(x, scale)

    def encode(x: Array, beside: Beside) -> densities.Posterior:
      return model.encode(model.knowing(params, beside), x, lane.mask)

    posteriors = jax.vmap(encode)(x, beside)
    of_chunk = lambda noise: jax.vmap(weights_of)(posteriors, x, noise, beside)  # noqa: E731
    found = jax.lax.map(of_chunk, jnp.moveaxis(noise, 1, 0))  # [C, R, L]
    return jnp.moveaxis(found, 0, 1).reshape(len(x), -1)

  pure = (encode, moments, decode, draw, terms, log_weights)
  return Functions(*(jax.jit(evaluation.highest_precision(function)) for function in pure))


def in_rows(function: Callable[..., Any], most: int, *arrays: Any) -> Any:
  """Returns function(*arrays) on the host, so many rows at a time as a call is compiled for.

  Args:
    function: arrays [R, ...] -> a tree [R, ...].
    most: rows that a call may have; it has `ROWS`, or the power of two below.
    *arrays: [N, ...], or trees of such, N at least 1.
  """
  rows = min(ROWS, 2 ** int(math.log2(max(1, most))))
  done = []
  count = len(jax.tree.leaves(arrays)[0])

  def filled(array: np.ndarray, first: int, missing: int) -> np.ndarray:
    part = array[first : first + rows]
    return np.concatenate([part, np.repeat(part[:1], missing, axis=0)])

  for first in range(0, count, rows):
    missing = max(0, first + rows - count)
    parts = jax.tree.map(functools.partial(filled, first=first, missing=missing), arrays)
    made = jax.device_get(function(*parts))
    done.append(jax.tree.map(lambda leaf, missing=missing: leaf[: rows - missing], made))
  return jax.tree.map(lambda *leaves: np.concatenate(leaves), *done)


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def evaluation_noise(
  lane: Lane, index: Array, draw: Callable[..., Array], size: int, num_samples: int
) -> Array:
  """Returns the noise [N, L, Z] of a batch in an evaluation of a run; see `learner.Learner`."""
  key = jax.random.fold_in(learner.lane_keys(lane).evaluation, index)
  return draw(key, size, num_samples, lane.mask.size)


@functools.partial(jax.jit, static_argnums=(2, 3, 4))
def nll_noise(lane: Lane, index: Array, num_chunks: int, size: int, chunk: int) -> Array:
  """Returns the noise [N, C, L, Z] of a batch in the NLL of a run; see `evaluation.evidence`."""
  key = jax.random.fold_in(learner.lane_keys(lane).nll, index)

  def one(chunk_index: Array) -> Array:
    noise_key = jax.random.fold_in(key, chunk_index)
    return learner.draw_noise(noise_key, size, chunk, lane.mask.size)

  return jnp.moveaxis(jax.vmap(one)(jnp.arange(num_chunks)), 0, 1)


@functools.partial(jax.jit, static_argnums=1)
def prior_noise(lane: Lane, size: int) -> tuple[Array, Array]:
  """Returns noise [n, Z] and uniform draws [n]; see `evaluation.sample_prior`."""
  noise_key, uniform_key = jax.random.split(learner.lane_keys(lane).prior)
  noise = learner.draw_noise(noise_key, size, 1, lane.mask.size)[:, 0]
  return noise, jax.random.uniform(uniform_key, (size,))


@functools.partial(jax.jit, static_argnums=2)
def of_mixture(lane: Lane, mixture: evaluation.Mixture, size: int) -> Array:
  """Returns draws [n, Z] from a mixture of the codes; see `programs.make_pictures`."""
  key = jax.random.fold_in(learner.lane_keys(lane).prior, 1)
  return mixture.sample(key, size, lane.mask)
