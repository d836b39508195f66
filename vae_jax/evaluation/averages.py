"""What a trained lane is worth: bounds over a data set, NLL, active units, pictures.

Everything here is of one lane, pure, and streams over the data in batches; the caller vmaps over
lanes and jits. Matrix products run at the highest precision: a GPU's TF32 moves the NLL.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import bounds, data, learner, networks
from vae_jax.lanes import Lane

ACTIVE_VARIANCE = 0.01  # Burda et al. 2016, section 5.1


class Batches(NamedTuple):
  """A data set cut into equal batches; the last one filled up with images of weight 0."""

  images: np.ndarray | Array  # [B, N, *event] as stored
  weights: np.ndarray | Array  # [B, N] 1 for an image, 0 for the filling


def cut(images: np.ndarray, batch_size: int) -> Batches:
  """Cuts images [n, *event] into batches of `batch_size`, each image with weight 1 exactly once."""
  num_batches = math.ceil(len(images) / batch_size)
  missing = num_batches * batch_size - len(images)
  filled = np.concatenate([images, np.repeat(images[:1], missing, axis=0)])
  weights = np.concatenate([np.ones(len(images), np.float32), np.zeros(missing, np.float32)])
  shape = (num_batches, batch_size)
  return Batches(filled.reshape(*shape, *images.shape[1:]), weights.reshape(shape))


def highest_precision(function: Callable) -> Callable:
  """Traces `function` with float32 matrix products, also where a GPU would use TF32."""

  @functools.wraps(function)
  def wrapped(*args, **kwargs):
    with jax.default_matmul_precision('highest'):
      return function(*args, **kwargs)

  return wrapped


class _Moments(NamedTuple):
  count: Array  # []
  mean: Array  # [Z]
  squares: Array  # [Z] sum of squared deviations from the mean


def _merge(moments: _Moments, values: Array, weights: Array) -> _Moments:
  """Adds a batch [N, Z] to running moments (Chan et al. 1983): no cancellation in float32."""
  count = jnp.sum(weights)
  mean = weights @ values / count
  squares = weights @ jnp.square(values - mean)
  total = moments.count + count
  delta = mean - moments.mean
  return _Moments(
    total,
    moments.mean + delta * count / total,
    moments.squares + squares + jnp.square(delta) * moments.count * count / total,
  )


@highest_precision
def evaluate(
  evaluate_batch: Callable[..., tuple[Mapping[str, Array], Array]],
  params: Any,
  lane: Lane,
  batches: Batches,
  scale: float,
) -> dict[str, Array]:
  """Averages a lane's metrics over a data set, z sampled; nats per example.

  Returns elbo, rate, distortion, objective, and active_units: the number of latents u with
  Var_x(E_q[u | x]) > 0.01 (Burda et al. 2016, section 5.1, arxiv.org/abs/1509.00519).

  Args:
    evaluate_batch: `Learner.evaluate`.
    params, lane: of one lane.
    batches: the data set, as stored.
    scale: the model sees stored / scale.
  """

  def add_batch(carry, batch):
    sums, moments, index = carry
    images, weights = batch
    x = data.to_values(images, scale)
    metrics, posterior_mean = evaluate_batch(params, lane, x, index)
    sums = {name: sums[name] + weights @ metrics[name] for name in sums}
    return (sums, _merge(moments, posterior_mean, weights), index + 1), None

  zeros = jnp.zeros_like(lane.mask)
  sums = {name: jnp.zeros(()) for name in ('elbo', 'rate', 'distortion', 'objective')}
  start = (sums, _Moments(jnp.zeros(()), zeros, zeros), 0)
  (sums, moments, _), _ = jax.lax.scan(add_batch, start, batches)
  active = moments.squares / moments.count > ACTIVE_VARIANCE
  averages = {name: total / moments.count for name, total in sums.items()}
  return averages | {'active_units': jnp.sum(lane.mask * active)}


@highest_precision
def log_evidence(
  model: networks.Model,
  params: Any,
  lane: Lane,
  batches: Batches,
  scale: float,
  num_samples: int,
  chunk: int,
) -> Array:
  """Returns the importance-sampled log p(x) of every image, [B, N], in nats.

    log p(x) ~ log 1/K sum_k p(x | z_k) p(z_k) / q(z_k | x),  z_k ~ q(z | x),  K = num_samples

  Burda et al. 2016, eq. 8: below log p(x) in the mean, and consistent as K grows. The encoder runs
  once per image; the sum streams over chunks, and uses exactly K samples whatever the chunk.
  """
  num_chunks = math.ceil(num_samples / chunk)
  valid = jnp.arange(num_chunks * chunk).reshape(num_chunks, chunk) < num_samples
  nll_key = learner.lane_keys(lane).nll

  def example_log_sum(posterior, x, noise, valid):
    terms = bounds.elbo_terms(
      posterior, lambda z: model.decode(params, z, lane.mask), x, noise, lane.mask
    )
    return jax.nn.logsumexp(jnp.where(valid, bounds.log_weights(terms), -jnp.inf))

  def of_batch(index, images):
    x = data.to_values(images, scale)
    posterior = jax.vmap(lambda x: model.encode(params, x, lane.mask))(x)
    batch_key = jax.random.fold_in(nll_key, index)

    def add_chunk(log_sum, inputs):
      chunk_index, chunk_valid = inputs
      noise_key = jax.random.fold_in(batch_key, chunk_index)
      noise = learner.draw_noise(noise_key, len(x), chunk, lane.mask.size)
      new = jax.vmap(example_log_sum, (0, 0, 0, None))(posterior, x, noise, chunk_valid)
      return jnp.logaddexp(log_sum, new), None

    start = jnp.full(len(x), -jnp.inf)
    log_sum, _ = jax.lax.scan(add_chunk, start, (jnp.arange(num_chunks), valid))
    return index + 1, log_sum - jnp.log(num_samples)

  _, result = jax.lax.scan(of_batch, 0, batches.images)
  return result


class Nll(NamedTuple):
  """Negative log-likelihood of a test set; nats per example, lower is better."""

  mean: np.ndarray  # [G]
  stderr: np.ndarray  # [G] standard error of the mean over the images
  bits_per_dim: np.ndarray  # [G] mean / (D log 2)


def nll_of(log_evidence: np.ndarray, weights: np.ndarray, event_size: int) -> Nll:
  """Averages log p(x) [G, B, N] over the images of weight 1, in float64.

  Bits per dimension are those of the density that the model sees: for binary data those of the
  pixels, for pixels scaled to [0, 1] of the scaled values (add log2(255) for the 8-bit grid).
  """
  values = -np.asarray(log_evidence, np.float64)[:, weights > 0]  # [G, images]
  mean = values.mean(axis=1)
  spread = values.std(axis=1, ddof=1) if values.shape[1] > 1 else np.full(len(values), np.nan)
  stderr = spread / math.sqrt(values.shape[1])
  return Nll(mean, stderr, mean / (event_size * math.log(2)))


def reconstruct(model: networks.Model, params: Any, lane: Lane, x: Array) -> Array:
  """Returns the mean of p(x | z) at the posterior mean, [n, *event], for pictures only."""

  def one(x):
    return model.decode(params, model.encode(params, x, lane.mask).loc, lane.mask).mean()

  return jax.vmap(one)(x)


def sample_prior(model: networks.Model, params: Any, lane: Lane, num_samples: int) -> Array:
  """Returns the mean of p(x | z) for draws of z from the prior, [n, *event], for pictures only."""
  prior_key = learner.lane_keys(lane).prior
  z = learner.draw_noise(prior_key, num_samples, 1, lane.mask.size)[:, 0]  # [n, Z]
  return jax.vmap(lambda z: model.decode(params, z, lane.mask).mean())(z)
