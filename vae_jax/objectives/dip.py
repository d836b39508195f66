"""The DIP-VAE."""

from typing import Annotated, Any

import jax.numpy as jnp
from jax import Array

from vae_jax import bounds, checks, weighting
from vae_jax.lanes import Lane
from vae_jax.objectives.objective import WARMED, Means, Objective, mean

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
    lane_fields=(*WARMED, 'covariance_weight'),
    above_zero=('covariance_weight',),
    smallest_batch=2,
    needs_factorised=True,
  )
