"""The beta-TCVAE."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import bounds, weighting
from vae_jax.lanes import Lane
from vae_jax.objectives.objective import WARMED, Means, Objective, mean


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

  return Objective(
    terms,
    combine,
    lane_fields=WARMED,
    smallest_batch=2,
    largest_batch=num_examples,
    has_own_score=True,
    needs_factorised=True,
  )


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
