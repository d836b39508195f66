"""One lane's training as pure functions: init, step, evaluate; the caller vmaps over lanes.

All randomness of a lane comes from its seed, by the named keys of `Keys`: the initialisation, the
noise of training (folded with the step, also for the betas of its examples), of evaluation and of
the NLL (folded with the batch), of the aggregate posterior, and the prior samples of the pictures.
Noise is drawn with the latent axis first, so that a lane sees the same draws whatever the padding.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from vae_jax import bounds, densities, networks, objectives, weighting
from vae_jax.fast import finite
from vae_jax.fast.rows import over_rows
from vae_jax.lane_fields import MAX_STEPS
from vae_jax.lanes import Lane

NOT_DIVERGED = -1


class State(NamedTuple):
  """What the next step needs; with a leading axis [G] for all lanes."""

  params: Any
  opt_state: Any
  diverged_at: Array  # [] int32: the step whose update was not finite, or NOT_DIVERGED
  multiplier: Array | None = None  # [] of the rate; None where no lane has a target


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


class Learner(NamedTuple):
  """The pure functions of one lane.

  Attributes:
    estimator: what training and evaluation estimate.
    num_samples: L, in training and in `evaluate`.
    init: lane -> State.
    draw: (lane, N, count []) -> the noise [N, L, Z] of a step; `count` is the number of steps
      before it.
    step: (state, lane, batch [N, *event], noise [N, L, Z], count []) -> (State, metrics []).
    evaluate: (params, lane, batch [N, *event], batch index [], weights [N]) -> (averages, posterior
      centres [N, Z]), see `batch_averages`; z is sampled as in training.
  """

  estimator: Estimator
  num_samples: int
  init: Callable[[Lane], State]
  draw: Callable[[Lane, int, Array], Array]
  step: Callable[..., tuple[State, Mapping[str, Array]]]
  evaluate: Callable[..., tuple[Mapping[str, Array], Array]]


class Keys(NamedTuple):
  """The keys of a lane, by use."""

  init: Array
  noise: Array
  evaluation: Array
  nll: Array
  prior: Array
  aggregate: Array


def lane_keys(lane: Lane) -> Keys:
  """Returns the lane's keys; they depend on its seed alone."""
  return Keys(*jax.random.split(jax.random.key(lane.seed, impl='threefry2x32'), len(Keys._fields)))


def draw_noise(key: Array, batch_size: int, num_samples: int, latent_size: int) -> Array:
  """Returns standard normal noise [N, L, Z]; a smaller Z gives the first columns of a larger."""
  noise = jax.random.normal(key, (latent_size, batch_size, num_samples))
  return jnp.moveaxis(noise, 0, -1)


def draw_antithetic(key: Array, batch_size: int, num_samples: int, latent_size: int) -> Array:
  """Returns standard normal noise [N, L, Z] in pairs e and -e; L is even.

  Each sample is standard normal, so that averages over samples keep their mean; what is odd in e,
  as most of the noise of a decoder's gradient is, cancels: Wu et al. 2019,
  arxiv.org/abs/1810.02555.
  """
  half = draw_noise(key, batch_size, num_samples // 2, latent_size)
  return jnp.concatenate([half, -half], axis=1)


def drawn_betas(estimator: Estimator, lane: Lane, size: int, count: Array) -> Array:
  """Returns the beta [N] of each example of a step: drawn log-uniformly, or the lane's.

  The key is one that the noise of no step has.

  Args:
    estimator: of the lane's launch; its objective has the range.
    lane: its noise key, and its beta.
    size: N.
    count: [] the number of steps before it.
  """
  if not estimator.objective.beta_range:
    return lane_betas(lane, size)
  behind_the_steps = jnp.asarray(count).astype(jnp.uint32) + np.uint32(MAX_STEPS + 1)
  key = jax.random.fold_in(lane_keys(lane).noise, behind_the_steps)
  low, high = map(math.log, estimator.objective.beta_range)
  return jnp.exp(jax.random.uniform(key, (size,), minval=low, maxval=high))


def lane_betas(lane: Lane, size: int) -> Array:
  """Returns the lane's beta for every example [N], as in its evaluation."""
  return jnp.broadcast_to(lane.beta, (size,))


def batch_terms(
  estimator: Estimator, params: Any, lane: Lane, x: Array, noise: Array, betas: Array
) -> tuple[densities.Posterior, Array, bounds.ElboTerms]:
  """Returns the posteriors of a batch, their centres [N, Z], and the terms of every example.

  Args:
    estimator: of the lane's launch; model and gradient.
    params, lane: of one lane.
    x: [N, *event].
    noise: [N, L, Z].
    betas: [N], that networks see which do; see `drawn_betas`.
  """
  model, mask = estimator.model, lane.mask
  outputs = over_rows(
    lambda shared, row: model.outputs(model.at_beta(shared[0], row[1]), row[0], shared[1])
  )

  def example(x: Array, noise: Array, beta: Array):
    of_beta = model.at_beta(params, beta)
    posterior = model.encode(of_beta, x, mask)
    # Of networks that see no beta it is the same for all examples: a VampPrior encodes its
    # pseudo-inputs once a step.
    prior = model.prior(of_beta, mask)
    decode = lambda z: model.likelihood(params, outputs((params, mask), (z, beta)))  # noqa: E731
    terms = bounds.elbo_terms(posterior, prior, decode, x, noise, estimator.gradient)
    return posterior, posterior.loc, terms

  return jax.vmap(example)(x, noise, betas)


def batch_averages(
  estimator: Estimator,
  params: Any,
  lane: Lane,
  x: Array,
  noise: Array,
  weights: Array,
  betas: Array,
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
  """
  posteriors, centres, terms = batch_terms(estimator, params, lane, x, noise, betas)
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


def make_learner(
  estimator: Estimator,
  num_samples: int,
  optimizer: Callable[[Array], optax.GradientTransformation],
  sampler: Callable[[Array, int, int, int], Array] = draw_noise,
  has_targets: bool = False,
) -> Learner:
  """Builds the functions of one lane.

  Args:
    estimator: of the objective.
    num_samples: L, in training and in `evaluate`.
    optimizer: learning rate [] -> gradient transformation.
    sampler: (key, N, L, Z) -> noise [N, L, Z].
    has_targets: whether a lane of the program has a target rate, so that states have a multiplier.
  """
  model = estimator.model

  def init(lane: Lane) -> State:
    params = model.init(lane_keys(lane).init, lane.mask)
    opt_state = optimizer(lane.learning_rate).init(params)
    multiplier = lane.beta if has_targets else None
    return State(params, opt_state, jnp.asarray(NOT_DIVERGED, jnp.int32), multiplier)

  def draw_for(key: Array, lane: Lane, batch_size: int, index: Array) -> Array:
    return sampler(jax.random.fold_in(key, index), batch_size, num_samples, lane.mask.size)

  def draw(lane: Lane, batch_size: int, count: Array) -> Array:
    return draw_for(lane_keys(lane).noise, lane, batch_size, count)

  def loss(params: Any, state: State, lane: Lane, batch: Array, noise: Array, count: Array):
    weights, betas = jnp.ones(len(batch)), drawn_betas(estimator, lane, len(batch), count)
    averages, _ = batch_averages(estimator, params, lane, batch, noise, weights, betas)
    lane = weighting.held(lane, state.multiplier, averages['rates'].sum())
    metrics = metrics_of(estimator, averages, lane, count)
    return -metrics['objective'], metrics

  def step(state: State, lane: Lane, batch: Array, noise: Array, count: Array):
    grads, metrics = jax.grad(loss, has_aux=True)(state.params, state, lane, batch, noise, count)
    updates, opt_state = optimizer(lane.learning_rate).update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    if model.refit is not None:
      # Of the parameters that the batch was seen with: theirs is the likelihood of the metrics.
      params = params | {'likelihood': model.refit(state.params, -metrics['distortion'])}
    is_finite = jnp.isfinite(metrics['objective']) & finite.are_in_range(grads)
    alive = state.diverged_at == NOT_DIVERGED
    # A select, not a branch: the lanes beside this one must run the very same program. The moments
    # go on unselected, as no step reads them again: selected, XLA computes and copies them twice.
    params = jax.tree.map(
      lambda new, old: jnp.where(alive & is_finite, new, old), params, state.params
    )
    diverged_at = jnp.where(alive & ~is_finite, count, state.diverged_at)
    multiplier = state.multiplier
    if multiplier is not None:  # of which the type decides, for all lanes alike
      metrics = metrics | {'multiplier': multiplier}
      moved = weighting.next_multiplier(multiplier, metrics['rate'], lane)
      multiplier = jnp.where(alive & is_finite, moved, multiplier)
    return State(params, opt_state, diverged_at, multiplier), metrics

  def evaluate(params: Any, lane: Lane, batch: Array, index: Array, weights: Array):
    noise = draw_for(lane_keys(lane).evaluation, lane, len(batch), index)
    betas = lane_betas(lane, len(batch))
    return batch_averages(estimator, params, lane, batch, noise, weights, betas)

  # Traced once, though its metrics' shapes are asked for before it is compiled.
  return Learner(estimator, num_samples, init, draw, jax.jit(step, inline=True), evaluate)
