"""The aggregate posterior q(z) = 1/n sum_i q(z | x_i): what the codes of a data set share."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import data, learner, networks
from vae_jax.evaluation.batches import Batches, highest_precision
from vae_jax.lanes import Lane


@highest_precision
def aggregate(
  model: networks.Model,
  params: Any,
  lane: Lane,
  batches: Batches,
  scale: float,
) -> dict[str, Array]:
  """Returns the parts of the rate, in nats per example, with x uniform on the n images.

    mutual_information  I_q(x; z) = E log q(z | x) - log q(z), at most log n
    marginal_kl         KL(q(z) || p(z))
    total_correlation   KL(q(z) || prod_j q(z_j))
    dimension_wise_kl   sum_j KL(q(z_j) || p(z_j))

  The rate is mutual_information + marginal_kl (Hoffman & Johnson 2016, eq. 9), and the latter the
  sum of the two below it (Chen et al. 2018, eq. 2, arxiv.org/abs/1802.04942), which are NaN where
  posterior or prior does not factorise over the latents. q(z) is the whole mixture of the n images,
  without weights that stand for others; one z is drawn for each.
  """
  num_batches, size = batches.weights.shape
  weights = batches.weights.reshape(-1)  # [n]
  x = data.to_values(batches.images, scale).reshape(-1, *batches.images.shape[2:])
  encode = lambda x: model.encode(params, x, lane.mask)  # noqa: E731
  prior = model.prior(params, lane.mask)
  aggregate_key = learner.lane_keys(lane).aggregate
  noise = learner.draw_noise(aggregate_key, len(x), 1, lane.mask.size)[:, 0]  # [n, Z]
  z, log_q = jax.vmap(lambda x, noise: encode(x).sample(noise))(x, noise)  # [n, Z], [n, P]
  log_p = jax.vmap(prior.log_prob)(z)  # [n, P]

  def mixed(z: Array) -> tuple[Array, Array]:
    """Returns log q(z) [] and log q(z_j) [P] of one z."""
    # Encoded here, and not once outside: a posterior holds the weights of its flow, and n of them
    # would hold n copies. XLA moves what does not depend on z out of the loop.
    parts = jax.vmap(lambda x: encode(x).log_prob(z))(x)  # [n, P]
    log_w = jnp.log(weights / weights.sum())
    whole = jax.nn.logsumexp(log_w + parts.sum(axis=1))
    return whole, jax.nn.logsumexp(log_w[:, None] + parts, axis=0)

  # A batch at a time: all pairs at once would hold n^2 Z numbers.
  joint, marginals = jax.lax.map(jax.vmap(mixed), z.reshape(num_batches, size, -1))
  joint, marginals = joint.reshape(-1), marginals.reshape(len(z), -1)  # [n], [n, P]

  def mean(values: Array) -> Array:
    return weights @ values / weights.sum()

  by_latent = marginals.shape == log_p.shape == (len(z), lane.mask.size)
  correlation = mean(joint - marginals.sum(axis=1)) if by_latent else jnp.nan
  dimensions = mean((marginals - log_p).sum(axis=1)) if by_latent else jnp.nan
  return {
    'mutual_information': mean(log_q.sum(axis=1) - joint),
    'marginal_kl': mean(joint - log_p.sum(axis=1)),
    'total_correlation': jnp.asarray(correlation),
    'dimension_wise_kl': jnp.asarray(dimensions),
  }
