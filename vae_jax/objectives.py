"""What is trained on: named terms of a batch, and how a lane weighs them.

An `Objective` works in two stages, so that training on a batch and evaluation on a data set share
one formula: `terms` are averages over examples (evaluation averages them on over its batches), and
`combine` weighs the averages, once, at the end.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import bounds, checks, densities, weighting
from vae_jax.lanes import Lane

Means = Mapping[str, Array]


class Objective(NamedTuple):
  """The objective of a batch, in nats per example; higher is better.

  Attributes:
    terms: (terms of N examples, their posteriors, weights [N], mask [Z]) -> named averages beside
      `rates` [P] and `distortion`; weights are 1, or 0 for what only fills a batch up.
    combine: (averages, lane, step) -> objective [].
    lane_fields: what it has of beta, warmup, warmup_steps, free_bits, capacity, capacity_steps and
      covariance_weight; a lane leaves the others at their off values.
    above_zero: those of them without which it is another objective.
    smallest_batch: how many examples the terms need, to compare with each other.
    largest_batch: how many they can take; None for any number.
    num_groups: into how many groups of equal size the samples of z fall.
    is_weighted: it is made of the importance weights log w [L], so of the sampled ratio.
    path_weights: log w [L] -> factors [L] of `bounds.doubly_reparameterized`, where there are any.
    has_own_score: its terms evaluate log q at z themselves: a gradient that holds q fixed in the
      terms of the bound is none of this objective.
    needs_factorised: its terms are of single latents: posterior and prior factorise.
    free_bits_by_latent: `free_bits` are of single latents: posterior and prior come by latent.
  """

  terms: Callable[[bounds.ElboTerms, densities.Posterior, Array, Array], Means]
  combine: Callable[[Means, Lane, Array], Array]
  lane_fields: tuple[str, ...] = ()
  above_zero: tuple[str, ...] = ()
  smallest_batch: int = 1
  largest_batch: int | None = None
  num_groups: int = 1
  is_weighted: bool = False
  path_weights: Callable[[Array], Array] | None = None
  has_own_score: bool = False
  needs_factorised: bool = False
  free_bits_by_latent: bool = False


_WARMED = ('beta', 'warmup', 'warmup_steps')  # the fields of `weighting.beta_at`


def no_terms(terms: bounds.ElboTerms, posteriors: Any, weights: Array, mask: Array) -> Means:
  del terms, posteriors, weights, mask
  return {}


def mean(values: Array, weights: Array) -> Array:
  """Returns the weighted mean over the leading axis."""
  return jnp.tensordot(weights, values, axes=1) / weights.sum()


def beta_elbo(
  free_bits_per: Annotated[str, checks.choice('latent', 'layer')] = 'latent', lower_size: int = 0
) -> Objective:
  """-D - beta(step) F, F the rate or what stands for it; see `weighting`.

  beta = 1 is the L-sample ELBO (Kingma & Welling 2014, eq. 7 with the closed form of the rate and
  eq. 6 with the sampled one, arxiv.org/abs/1312.6114), any other beta the objective of the beta-VAE
  (Higgins et al. 2017, eq. 4). Its mean over the noise is a lower bound of log p(x) for beta >= 1
  only.

  Args:
    free_bits_per: 'latent' or 'layer'.
    lower_size: of the lower of two layers of latents, 0 for one layer.
  """
  per_latent = free_bits_per == 'latent'

  def combine(means: Means, lane: Lane, step: Array) -> Array:
    rates = means['rates']
    groups = weighting.rate_groups(lane.mask, rates.size, per_latent, lower_size)
    rate = weighting.penalised_rate(rates, groups, lane, step)
    return -means['distortion'] - weighting.beta_at(lane, step) * rate

  return Objective(
    no_terms,
    combine,
    lane_fields=(*_WARMED, 'free_bits', 'capacity', 'capacity_steps'),
    free_bits_by_latent=per_latent,
  )


def iwae() -> Objective:
  """The importance-weighted bound, see `bounds.iwae_bound`. It has no beta."""
  return _importance_weighted(bounds.iwae_bound, 1, 0.0)


def miwae(num_groups: Annotated[int, checks.whole(1)] = 1) -> Objective:
  """The mean of bounds of groups of samples, see `bounds.miwae_bound`. It has no beta.

  Args:
    num_groups: of equally many samples each.
  """
  return _importance_weighted(lambda terms: bounds.miwae_bound(terms, num_groups), num_groups, 0.0)


def ciwae(elbo_weight: Annotated[float, checks.real(0.0, 1.0)] = 0.0) -> Objective:
  """A convex combination of ELBO and IWAE, see `bounds.ciwae_bound`. It has no beta.

  Args:
    elbo_weight: of the ELBO; that of the IWAE is 1 less it.
  """
  return _importance_weighted(lambda terms: bounds.ciwae_bound(terms, elbo_weight), 1, elbo_weight)


def _importance_weighted(bound: bounds.Bound, num_groups: int, elbo_weight: float) -> Objective:
  """The mean of a bound of one example that is made of its importance weights."""

  def terms(terms: bounds.ElboTerms, posteriors: Any, weights: Array, mask: Array) -> Means:
    del posteriors, mask
    return {'bound': mean(jax.vmap(bound)(terms), weights)}

  return Objective(
    terms,
    lambda means, lane, step: means['bound'],
    num_groups=num_groups,
    is_weighted=True,
    path_weights=bounds.path_weights(num_groups, elbo_weight),
  )


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
    lane_fields=_WARMED,
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


Ratio = Annotated[float, checks.real(0.0, 1e6)]


def dip_vae_i(diagonal_ratio: Ratio = 10.0) -> Objective:
  """The ELBO, less a penalty on the covariance of the posteriors' centres (Kumar et al. 2018).

  Args:
    diagonal_ratio: weight of the variances beside that of the covariances, see `_dip_vae`.
  """
  return _dip_vae('I', diagonal_ratio)


def dip_vae_ii(diagonal_ratio: Ratio = 10.0) -> Objective:
  """The ELBO, less a penalty on the covariance of the aggregate posterior (Kumar et al. 2018).

  Args:
    diagonal_ratio: weight of the variances beside that of the covariances, see `_dip_vae`.
  """
  return _dip_vae('II', diagonal_ratio)


def _dip_vae(kind: str, diagonal_ratio: float) -> Objective:
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

  return Objective(
    terms,
    combine,
    lane_fields=(*_WARMED, 'covariance_weight'),
    above_zero=('covariance_weight',),
    smallest_batch=2,
    needs_factorised=True,
  )
