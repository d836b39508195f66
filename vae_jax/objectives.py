"""What is trained on: named terms of a batch, and how a lane weighs them.

An `Objective` works in two stages, so that training on a batch and evaluation on a data set share
one formula: `terms` are averages over examples (evaluation averages them on over its batches), and
`combine` weighs the averages, once, at the end.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import bounds, densities, weighting
from vae_jax.lanes import Lane

Means = Mapping[str, Array]


class Objective(NamedTuple):
  """The objective of a batch, in nats per example; higher is better.

  Attributes:
    terms: (terms of N examples, their posteriors, weights [N], mask [Z]) -> named averages beside
      `rates` [P] and `distortion`; weights are 1, or 0 for what only fills a batch up.
    combine: (averages, lane, step) -> objective [].
    smallest_batch: how many examples the terms need, to compare with each other.
    largest_batch: how many they can take; None for any number.
  """

  terms: Callable[[bounds.ElboTerms, densities.Posterior, Array, Array], Means]
  combine: Callable[[Means, Lane, Array], Array]
  smallest_batch: int = 1
  largest_batch: int | None = None


def _no_terms(terms: bounds.ElboTerms, posteriors: Any, weights: Array, mask: Array) -> Means:
  del terms, posteriors, weights, mask
  return {}


def mean(values: Array, weights: Array) -> Array:
  """Returns the weighted mean over the leading axis."""
  return jnp.tensordot(weights, values, axes=1) / weights.sum()


def beta_elbo(per_latent: bool, lower_size: int) -> Objective:
  """-D - beta(step) F, F the rate or what stands for it; see `weighting`.

  Args:
    per_latent: free bits are of single latents; otherwise of layers.
    lower_size: of the lower of two layers of latents, 0 for one layer.
  """

  def combine(means: Means, lane: Lane, step: Array) -> Array:
    rates = means['rates']
    groups = weighting.rate_groups(lane.mask, rates.size, per_latent, lower_size)
    rate = weighting.penalised_rate(rates, groups, lane, step)
    return -means['distortion'] - weighting.beta_at(lane, step) * rate

  return Objective(_no_terms, combine)


def importance_weighted(bound: bounds.Bound) -> Objective:
  """The mean of a bound of one example: IWAE, MIWAE, CIWAE. It has no beta."""

  def terms(terms: bounds.ElboTerms, posteriors: Any, weights: Array, mask: Array) -> Means:
    del posteriors, mask
    return {'bound': mean(jax.vmap(bound)(terms), weights)}

  return Objective(terms, lambda means, lane, step: means['bound'])


def beta_tcvae(num_examples: int) -> Objective:
  """The rate in three parts, of which beta weighs the total correlation.

    -D - I(x; z) - beta(step) TC - DW

    I  = E log q(z | x) - log q(z)             index-code mutual information
    TC = E log q(z) - log prod_j q(z_j)        total correlation
    DW = E sum_j log q(z_j) - log p(z_j)       dimension-wise KL

  Chen et al. 2018, eqs. 2 and 4, arxiv.org/abs/1802.04942; I + TC + DW is the sampled rate. q(z) is
  estimated from the batch by `stratified_weights`: the terms are named `stratified_...`, and are
  not the parts of the rate under the aggregate posterior of a data set, `evaluation.aggregate`.

  Args:
    num_examples: n, how many the training set has; a batch has from 2 to n.
  """

  def terms(terms: bounds.ElboTerms, posteriors: Any, weights: Array, mask: Array) -> Means:
    del mask
    z = terms.z  # [N, L, Z]
    # log q(z_il | x_j) by latent; [i, L, j, Z]
    pairs = jax.vmap(jax.vmap(lambda z: jax.vmap(lambda q: q.log_prob(z))(posteriors)))(z)
    own = jnp.einsum('iliz->ilz', pairs)
    log_w = stratified_weights(weights, num_examples)[:, None, :]  # [i, 1, j]
    joint = jax.nn.logsumexp(log_w + pairs.sum(-1), axis=2)  # [N, L] log q(z)
    # log q(z_j), 0 where inert; [N, L, Z]
    marginals = jax.nn.logsumexp(log_w[..., None] + pairs, axis=2)
    log_p = terms.log_ratio + own
    parts = {
      'stratified_mutual_information': own.sum(-1) - joint,
      'stratified_total_correlation': joint - marginals.sum(-1),
      'stratified_dimension_wise_kl': (marginals - log_p).sum(-1),
    }
    return {name: mean(values.mean(axis=1), weights) for name, values in parts.items()}

  def combine(means: Means, lane: Lane, step: Array) -> Array:
    correlation = weighting.beta_at(lane, step) * means['stratified_total_correlation']
    rest = means['stratified_mutual_information'] + means['stratified_dimension_wise_kl']
    return -means['distortion'] - rest - correlation

  return Objective(terms, combine, smallest_batch=2, largest_batch=num_examples)


def stratified_weights(weights: Array, num_examples: int) -> Array:
  """Returns log W [N, N] of log q(z_i) ~ logsumexp_j (log W_ij + log q(z_i | x_j)).

    W_ii = 1/n    W_i,i+1 = (n - M) / (n M)    W_ij = 1/M otherwise,    M = N - 1

  n is the size of the training set. Row i counts its own example as the one in n that it is, and
  the others as a sample of the rest: the mean over batches of different examples is q(z_i) exactly.
  Chen et al. 2018, appendix C.2, arxiv.org/abs/1802.04942. One example says nothing of the others,
  and more than n are no such sample: the weights of both are NaN.

  Args:
    weights: [N], 1 for the batch and 0 for what fills it up, at its end.
    num_examples: n.
  """
  size = weights.sum()
  index = jnp.arange(weights.size)
  others = jnp.maximum(size - 1, 1)
  w = jnp.full((weights.size, weights.size), 1 / others)
  w = w.at[index, (index + 1) % size.astype(int)].set(
    (num_examples - others) / (num_examples * others)
  )
  w = w.at[index, index].set(1 / num_examples)
  w = jnp.where((size > 1) & (size <= num_examples), w, jnp.nan)
  return jnp.where(weights > 0, jnp.log(w), -jnp.inf)


def dip_vae(kind: str, diagonal_ratio: float) -> Objective:
  """The ELBO, less a penalty on the covariance C [Z, Z] of the aggregate posterior.

    -D - beta(step) R - a sum_{i != j} C_ij^2 - a r sum_i (C_ii - 1)^2

    kind I:  C = Cov_x(loc(x))        kind II:  C = Cov_x(loc(x)) + E_x[Cov(z | x)]

  Kumar et al. 2018, eqs. 5 to 7, arxiv.org/abs/1711.00848; the covariance is that of the batch, and
  NaN of one example.

  Args:
    kind: 'I' or 'II'.
    diagonal_ratio: r. Lane: a is its `covariance_weight`.
  """

  def terms(terms: bounds.ElboTerms, posteriors: Any, weights: Array, mask: Array) -> Means:
    del terms
    loc = posteriors.loc  # [N, Z]
    centred = loc - mean(loc, weights)
    covariance = jnp.einsum('n,ni,nj->ij', weights, centred, centred) / weights.sum()
    covariance = jnp.where(weights.sum() > 1, covariance, jnp.nan)
    if kind == 'II':
      covariance += jnp.diag(mean(jnp.square(posteriors.scale), weights))
    variances = jnp.diagonal(covariance)
    squares = jnp.square(covariance)
    return {
      # An inert latent is 0 for every x: only its variance has to be left out.
      'covariance_off_diagonal': jnp.sum(squares) - jnp.sum(jnp.diagonal(squares)),
      'covariance_diagonal': jnp.sum(mask * jnp.square(variances - 1)),
    }

  def combine(means: Means, lane: Lane, step: Array) -> Array:
    rate = weighting.beta_at(lane, step) * means['rates'].sum()
    penalty = means['covariance_off_diagonal'] + diagonal_ratio * means['covariance_diagonal']
    return -means['distortion'] - rate - lane.covariance_weight * penalty

  return Objective(terms, combine, smallest_batch=2)
