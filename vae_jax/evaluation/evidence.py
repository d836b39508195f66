"""The evidence log p(x) by importance sampling: its mean, its error, and how far to trust it."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import bounds, data, densities, learner, networks
from vae_jax.data import Beside
from vae_jax.evaluation.batches import Batches, highest_precision
from vae_jax.lanes import Lane


class Evidence(NamedTuple):
  """What K importance samples say of every image of one lane.

  Attributes:
    curve: [B, N, C] the bound L_k for each k of `curve_samples`, nats; the last is log p(x).
    effective: [B, N] effective sample size (sum_k w_k)^2 / sum_k w_k^2, from 1 to K.
    largest: [B, N] largest normalised weight, from 1/K to 1.
    distortion: [B, N] minus the mean of log p(x | z_k), nats; the rate is -L_1 less it.
  """

  curve: Array
  effective: Array
  largest: Array
  distortion: Array


def curve_samples(num_samples: int) -> tuple[int, ...]:
  """Returns the numbers of samples of the curve: 1, 10, 100, ... below K, and K."""
  powers = [10**i for i in range(math.ceil(math.log10(num_samples)) + 1)]
  return (*(k for k in powers if k < num_samples), num_samples)


def make_weights_of(
  model: networks.Model, params: Any, mask: Array
) -> Callable[[densities.Posterior, Array, Array, Beside], Array]:
  """Returns (q(z | x), x [*event], noise [L, Z], beside) -> log w [L] of a lane.

  log w_l = log p(x | z_l) + log p(z_l) - log q(z_l | x),  z_l ~ q(z | x)
  """
  terms_of = _make_terms_of(model, params, mask)
  return lambda *example: bounds.log_weights(terms_of(*example))


def _make_terms_of(
  model: networks.Model, params: Any, mask: Array
) -> Callable[[densities.Posterior, Array, Array, Beside], bounds.ElboTerms]:
  """Returns (q(z | x), x [*event], noise [L, Z], beside) -> the terms of a lane."""
  prior = model.prior(params, mask)

  def terms_of(
    posterior: densities.Posterior, x: Array, noise: Array, beside: Beside
  ) -> bounds.ElboTerms:
    decode = lambda z: model.decode(model.knowing(params, beside), z, mask)  # noqa: E731
    return bounds.elbo_terms(posterior, prior, decode, x, noise)

  return terms_of


@highest_precision
def evidence(
  model: networks.Model,
  params: Any,
  lane: Lane,
  batches: Batches,
  scale: float,
  num_samples: int,
  chunk: int,
  first: Array | int = 0,
) -> Evidence:
  """Returns the importance-sampled log p(x) of every image, in nats.

    log p(x) ~ log 1/K sum_k w_k,  w_k = p(x | z_k) p(z_k) / q(z_k | x),  z_k ~ q(z | x)

  Burda et al. 2016, eq. 8, arxiv.org/abs/1509.00519: below log p(x) in the mean, and consistent as
  K = num_samples grows. The encoder runs once per image; decodings stream in chunks, and exactly K
  samples count whatever the chunk. L_k is the mean over disjoint groups of k of the K samples.
  The noise of a batch depends on its index, which is `first` for the first one.
  """
  num_chunks = math.ceil(num_samples / chunk)
  nll_key = learner.lane_keys(lane).nll
  params = model.at_beta(params, lane.beta)
  terms_of = _make_terms_of(model, params, lane.mask)

  def encode(x: Array, beside: Beside) -> densities.Posterior:
    return model.encode(model.knowing(params, beside), x, lane.mask)

  def of_batch(index: Array, batch: tuple[Array, Beside]) -> tuple[Array, Evidence]:
    images, beside = batch
    x = data.to_values(images, scale)
    posteriors = jax.vmap(encode)(x, beside)
    batch_key = jax.random.fold_in(nll_key, index)

    def of_chunk(chunk_index: Array) -> tuple[Array, Array]:
      noise_key = jax.random.fold_in(batch_key, chunk_index)
      noise = learner.draw_noise(noise_key, len(x), chunk, lane.mask.size)
      terms = jax.vmap(terms_of)(posteriors, x, noise, beside)
      return jax.vmap(bounds.log_weights)(terms), terms.log_likelihood

    def of_samples(found: Array) -> Array:  # [chunks, N, chunk] -> [N, K]
      return jnp.moveaxis(found, 0, 1).reshape(len(x), -1)[:, :num_samples]

    log_w, log_likelihood = map(of_samples, jax.lax.map(of_chunk, jnp.arange(num_chunks)))
    return index + 1, jax.vmap(_summary)(log_w, log_likelihood)

  rows = batches.images, batches.beside
  return jax.lax.scan(of_batch, jnp.asarray(first, jnp.int32), rows)[1]


def _summary(log_w: Array, log_likelihood: Array) -> Evidence:
  """Returns what the log weights [K] and the log p(x | z_k) [K] of one image say."""

  def bound(k: int) -> Array:
    groups = log_w[: log_w.size // k * k].reshape(-1, k)
    return jnp.mean(jax.nn.logsumexp(groups, axis=1)) - math.log(k)

  normalised = jax.nn.softmax(log_w)
  return Evidence(
    curve=jnp.stack([bound(k) for k in curve_samples(log_w.size)]),
    effective=1 / jnp.sum(jnp.square(normalised)),
    largest=jnp.max(normalised),
    distortion=-jnp.mean(log_likelihood),
  )


class Nll(NamedTuple):
  """Negative log-likelihood of a test set; nats per example, lower is better."""

  mean: np.ndarray  # [G]
  stderr: np.ndarray  # [G] standard error of the mean over the images
  bits_per_dim: np.ndarray  # [G] mean / (D log 2)
  effective: np.ndarray  # [G] mean effective sample size
  largest: np.ndarray  # [G] mean largest normalised weight
  lonely: np.ndarray  # [G] fraction of the images whose effective sample size is below 2, or NaN
  curve: np.ndarray  # [G, C] mean L_k; higher is better
  curve_stderr: np.ndarray  # [G, C]
  nlls: np.ndarray  # [G, n] -L_K of every image, float32 nats; lower is better
  elbos: np.ndarray  # [G, n] L_1 of every image: the ELBO, a mean over all K samples
  distortions: np.ndarray  # [G, n] of every image, a mean over the same; -elbos less it is the rate


def nll_of(found: Evidence, weights: np.ndarray, event_size: int) -> Nll:
  """Averages the evidence [G, B, N] over the images of weight 1, in float64.

  Bits per dimension are those of whatever density or mass the model has of x: for pixels scaled to
  [0, 1] those of the scaled values (add log2(255) for the 8-bit grid).
  """
  values = np.asarray(found.curve, np.float32)[:, weights > 0]  # [G, n, C]
  distortions = np.asarray(found.distortion, np.float32)[:, weights > 0]
  curve, effective, largest = (np.asarray(a, np.float64)[:, weights > 0] for a in found[:3])
  images = curve.shape[1]
  with np.errstate(invalid='ignore'):  # of a lane that diverged
    spread = curve.std(axis=1, ddof=1) if images > 1 else np.full_like(curve[:, 0], np.nan)
  mean, stderr = curve.mean(axis=1), spread / math.sqrt(images)
  return Nll(
    mean=-mean[:, -1],
    stderr=stderr[:, -1],
    bits_per_dim=-mean[:, -1] / (event_size * math.log(2)),
    effective=effective.mean(axis=1),
    largest=largest.mean(axis=1),
    lonely=np.where(np.isnan(effective), np.nan, effective < 2).mean(axis=1),
    curve=mean,
    curve_stderr=stderr,
    nlls=-values[..., -1],
    elbos=values[..., 0],
    distortions=distortions,
  )
