"""The aggregate posterior q(z) = 1/n sum_i q(z | x_i): what the codes of a data set share."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import data, densities, learner, networks
from vae_jax.data import Beside
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

    mutual_information  I_q(x; z) = E log q(z | x) - log q(z), from 0 to log n
    marginal_kl         KL(q(z) || p(z))
    total_correlation   KL(q(z) || prod_j q(z_j))
    dimension_wise_kl   sum_j KL(q(z_j) || p(z_j))

  The rate is mutual_information + marginal_kl (Hoffman & Johnson 2016, eq. 9), and the latter the
  sum of the two below it (Chen et al. 2018, eq. 2, arxiv.org/abs/1802.04942), which are NaN where
  the marginals q(z_j) are not to be had: where posterior or prior does not factorise. q(z) is the
  whole mixture of the n images, without weights that stand for others; one z is drawn for each,
  and `mutual_information_stderr` is the error of that draw, or above it. Of codes that are all
  different I is log n and marginal_kl the rate less log n, whatever the data: a ceiling. One image
  shares nothing with others: all parts are NaN.
  """
  num_batches, size = batches.weights.shape
  weights = batches.weights.reshape(-1)  # [n]
  x = data.to_values(batches.images, scale).reshape(-1, *batches.images.shape[2:])
  params = model.at_beta(params, lane.beta)
  known = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), batches.beside)

  def encode(x: Array, known: Beside) -> densities.Posterior:
    return model.encode(model.knowing(params, known), x, lane.mask)

  prior = model.prior(params, lane.mask)
  aggregate_key = learner.lane_keys(lane).aggregate
  noise = learner.draw_noise(aggregate_key, len(x), 1, lane.mask.size)[:, 0]  # [n, Z]
  z, _ = jax.vmap(lambda x, known, noise: encode(x, known).sample(noise))(x, known, noise)  # [n, Z]
  log_p = jax.vmap(prior.log_prob)(z)  # [n, P]
  log_w = jnp.log(weights / weights.sum())

  def mixed(index: Array, z: Array) -> tuple[Array, Array, Array]:
    """Returns log q(z | x_index) [], log q(z) [] and log q(z_j) [P] of one z."""
    # Encoded here, and not once outside: a posterior holds the weights of its flow, and n of them
    # would hold n copies. XLA moves what does not depend on z out of the loop.
    parts = jax.vmap(lambda x, known: encode(x, known).log_prob(z))(x, known)  # [n, P]
    wholes = parts.sum(axis=1)
    # The very number that is in the mixture, rounding and all: log q(z | x) - log q(z) <= log n.
    own = wholes[index]
    return own, jax.nn.logsumexp(log_w + wholes), jax.nn.logsumexp(log_w[:, None] + parts, axis=0)

  # A batch at a time: all pairs at once would hold n^2 Z numbers.
  cut = jnp.arange(len(z)).reshape(num_batches, size), z.reshape(num_batches, size, -1)
  own, joint, marginals = jax.lax.map(lambda batch: jax.vmap(mixed)(*batch), cut)
  own, joint, marginals = own.reshape(-1), joint.reshape(-1), marginals.reshape(len(z), -1)
  values = {'mutual_information': own - joint, 'marginal_kl': joint - log_p.sum(axis=1)}
  if _factorise(encode, prior, (x[0], known.take(0)), lane.mask.size):
    values['total_correlation'] = joint - marginals.sum(axis=1)
    values['dimension_wise_kl'] = (marginals - log_p).sum(axis=1)
  # log q(z | x) less its mean, the entropy of q, if q is a Gaussian, and 0 on average if not.
  energy = 0.5 * jnp.sum(lane.mask * (1 - jnp.square(noise)), axis=1)  # [n]
  return _averages(values, energy, weights)


def _factorise(encode: Any, prior: Any, example: Any, latent_size: int) -> bool:
  """Returns whether posterior and prior both are products of densities of single latents."""
  posterior = jax.eval_shape(encode, *example)
  return (posterior.factorises and prior.factorises) or latent_size == 1


def _averages(values: dict[str, Array], energy: Array, weights: Array) -> dict[str, Array]:
  """Returns the means of values [n], less the part of their noise that `energy` [n] explains.

    mean(v) - c mean(e),  c = Cov(v, e) / Var(e)

  e has mean 0 over the noise, so that this has the mean of v and, at the best c, the least noise (a
  control variate). Of a Gaussian, c = 1 puts its entropy in the place of log q(z | x), and c = 0 is
  best where log q(z | x) and log q(z) have their noise in common, as at the ceiling of I: it is
  taken where the correlation of e and I is below three standard errors. Sums stay sums.
  """
  count = weights.sum()
  known = count > 1

  def mean(values: Array) -> Array:
    return weights @ values / count

  def centred(values: Array) -> Array:
    return values - mean(values)

  def factor_of(values: Array) -> Array:
    variance = mean(jnp.square(centred(energy)))
    return mean(centred(values) * centred(energy)) / jnp.where(variance > 0, variance, 1.0)

  information = values['mutual_information']
  explained = factor_of(information) * mean(
    centred(information) * centred(energy)
  )  # of its variance
  is_explained = count * explained > 9 * mean(jnp.square(centred(information)))

  def adjusted(values: Array) -> Array:
    return values - jnp.where(is_explained, factor_of(values), 0.0) * energy

  squares = weights @ jnp.square(centred(adjusted(information)))
  stderr = jnp.sqrt(squares / (count * jnp.maximum(count - 1, 1)))
  parts = {'total_correlation': jnp.nan, 'dimension_wise_kl': jnp.nan}
  parts |= {name: mean(adjusted(each)) for name, each in values.items()}
  # Where it lies; the noise that is left may carry the mean across.
  parts['mutual_information'] = jnp.clip(parts['mutual_information'], 0.0, jnp.log(count))
  parts['mutual_information_stderr'] = stderr
  return {name: jnp.where(known, each, jnp.nan) for name, each in parts.items()}
