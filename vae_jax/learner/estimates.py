"""What a batch is worth under one lane's parameters: the terms of training and evaluation alike."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import distrax
import jax
from jax import Array

from vae_jax import bounds, densities, networks, objectives
from vae_jax.data import NOTHING, Beside
from vae_jax.fast.rows import over_rows
from vae_jax.lanes import Lane


class Estimator(NamedTuple):
  """The parts of a batch's estimate, chosen where the learner is built.

  Attributes:
    model: encoder, posterior, prior, decoder, likelihood.
    objective: what is trained on.
    rate: the form of the KL that is reported, and trained on where the objective has a rate.
    gradient: how the terms depend on the encoder; see `bounds`.
  """

  model: networks.Model
  objective: objectives.Objective
  rate: bounds.Rate
  gradient: bounds.Gradient


def batch_terms(
  estimator: Estimator,
  params: Any,
  lane: Lane,
  x: Array,
  noise: Array,
  betas: Array,
  beside: Beside = NOTHING,
) -> tuple[densities.Posterior, Array, bounds.ElboTerms]:
  """Returns the posteriors of a batch, their centres [N, Z], and the terms of every example.

  Args:
    estimator: of the lane's launch; model and gradient.
    params, lane: of one lane.
    x: [N, *event].
    noise: [N, L, Z].
    betas: [N], that networks see which do; see `drawn_betas`.
    beside: [N, ...], what is known of the examples.
  """
  model, mask = estimator.model, lane.mask

  def of_row(shared: Any, row: Any) -> Array:
    (params, mask), (z, beta, known) = shared, row
    return model.outputs(model.knowing(model.at_beta(params, beta), known), z, mask)

  outputs = over_rows(of_row)

  def example(x: Array, noise: Array, beta: Array, known: Beside):
    of_beta = model.knowing(model.at_beta(params, beta), known)
    posterior = model.encode(of_beta, x, mask)
    # Of networks that see no beta it is the same for all examples: a VampPrior encodes its
    # pseudo-inputs once a step.
    prior = model.prior(of_beta, mask)

    def decode(z: Array) -> distrax.Distribution:
      return model.likelihood(of_beta, outputs((params, mask), (z, beta, known)))

    terms = bounds.elbo_terms(posterior, prior, decode, x, noise, estimator.gradient)
    return posterior, posterior.loc, terms

  return jax.vmap(example)(x, noise, betas, beside)


def batch_averages(
  estimator: Estimator,
  params: Any,
  lane: Lane,
  x: Array,
  noise: Array,
  weights: Array,
  betas: Array,
  beside: Beside = NOTHING,
) -> tuple[dict[str, Array], Array]:
  """Returns averages over a batch, and the centres [N, Z] of its posteriors.

  The averages are distortion [], rates [P] and the objective's own terms, in nats per example;
  training and evaluation both go through here. Where each example has a beta of its own there is
  their mean of beta R, too: `weighed_rate` [].

  Args:
    estimator: of the lane's launch.
    params, lane: of one lane.
    x: [N, *event].
    noise: [N, L, Z].
    weights: [N], 1 or, for what only fills the batch up, 0.
    betas: [N], see `drawn_betas`.
    beside: [N, ...], what is known of the examples.
  """
  posteriors, centres, terms = batch_terms(estimator, params, lane, x, noise, betas, beside)
  rates = jax.vmap(estimator.rate)(terms)  # [N, P]
  averages = {
    'distortion': objectives.mean(jax.vmap(bounds.distortion)(terms), weights),
    'rates': objectives.mean(rates, weights),
    **estimator.objective.terms(terms, posteriors, weights, lane.mask),
  }
  if estimator.objective.beta_range:
    averages['weighed_rate'] = objectives.mean(betas * rates.sum(axis=1), weights)
  return averages, centres


def metrics_of(
  estimator: Estimator, averages: Mapping[str, Array], lane: Lane, step: Array
) -> dict[str, Array]:
  """Returns elbo, rate, distortion, objective and the objective's own terms, each []."""
  rate = averages['rates'].sum()
  return {
    **{name: value for name, value in averages.items() if name != 'rates'},
    'elbo': -averages['distortion'] - rate,
    'rate': rate,
    'objective': estimator.objective.combine(averages, lane, step),
  }
