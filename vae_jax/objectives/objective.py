"""What an objective is."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from vae_jax import bounds, densities
from vae_jax.lanes import Lane

Means = Mapping[str, Array]


WARMED = ('beta', 'warmup', 'warmup_steps')  # the fields of `weighting.beta_at`


class Objective(NamedTuple):
  """The objective of a batch, in nats per example; higher is better.

  Attributes:
    terms: (terms of N examples, their posteriors, weights [N], mask [Z]) -> named averages beside
      `rates` [P] and `distortion`; weights are 1, or 0 for what only fills a batch up.
    combine: (averages, lane, step) -> objective [].
    lane_fields: what it has of beta, warmup, warmup_steps, free_bits, capacity, capacity_steps,
      covariance_weight and target_rate; a lane leaves the others at their off values. It has
      target_rate where it is -D - beta R: training then moves the beta of such a lane.
    above_zero: those of them without which it is another objective.
    weighs_rate: beta weighs the whole rate and nothing else, as in -D - beta R.
    smallest_batch: how many examples the terms need, to compare with each other.
    largest_batch: how many they can take; None for any number.
    num_groups: into how many groups of equal size the samples of z fall.
    is_weighted: it is made of the importance weights log w [L], so of the sampled ratio.
    path_weights: log w [L] -> factors [L] of `bounds.doubly_reparameterized`, where there are any.
    has_own_score: its terms evaluate log q at z themselves: a gradient that holds q fixed in the
      terms of the bound is none of this objective.
    needs_factorised: its terms are of single latents: posterior and prior factorise.
    free_bits_by_latent: `free_bits` are of single latents: posterior and prior come by latent.
    beta_range: the lowest and the highest beta, where each example of a training step has one of
      its own, log-uniform between them, which the networks see; the lane's is that of evaluations,
      and `combine` is given `weighed_rate`, the mean of beta R. () where the lane's is all.
  """

  terms: Callable[[bounds.ElboTerms, densities.Posterior, Array, Array], Means]
  combine: Callable[[Means, Lane, Array], Array]
  lane_fields: tuple[str, ...] = ()
  above_zero: tuple[str, ...] = ()
  weighs_rate: bool = False
  smallest_batch: int = 1
  largest_batch: int | None = None
  num_groups: int = 1
  is_weighted: bool = False
  path_weights: Callable[[Array], Array] | None = None
  has_own_score: bool = False
  needs_factorised: bool = False
  free_bits_by_latent: bool = False
  beta_range: tuple[float, ...] = ()


def no_terms(terms: bounds.ElboTerms, posteriors: Any, weights: Array, mask: Array) -> Means:
  """Is the `terms` of an objective of rate and distortion alone."""
  del terms, posteriors, weights, mask
  return {}


def mean(values: Array, weights: Array) -> Array:
  """Returns the weighted mean over the leading axis."""
  return jnp.tensordot(weights, values, axes=1) / weights.sum()
