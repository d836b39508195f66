"""Importance-weighted bounds: IWAE, MIWAE, CIWAE."""

from typing import Annotated, Any

import jax
from jax import Array

from vae_jax import bounds, checks
from vae_jax.objectives.objective import Means, Objective, mean


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
