"""One lane's training as pure functions: init, step, evaluate; the caller vmaps over lanes.

All randomness of a lane comes from its seed, by the named keys of `Keys`: the initialisation, the
noise of training (folded with the step), of evaluation and of the NLL (folded with the batch), and
the prior samples of the pictures. Noise is drawn with the latent axis first, so that a lane sees
the same draws whatever the padding.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from vae_jax import bounds, networks
from vae_jax.lanes import Lane

NOT_DIVERGED = -1


class State(NamedTuple):
  """What the next step needs; with a leading axis [G] for all lanes."""

  params: Any
  opt_state: Any
  diverged_at: Array  # [] int32: the step whose update was not finite, or NOT_DIVERGED


class Learner(NamedTuple):
  """The pure functions of one lane.

  Attributes:
    init: lane -> State.
    step: (state, lane, batch [N, *event], count [], active []) -> (State, metrics []). `count` is
      the number of steps before this one; where `active` is False the state passes unchanged.
    evaluate: (params, lane, batch [N, *event], batch index []) -> (metrics [N], posterior mean
      [N, Z]), with the same bound as training and z sampled.
  """

  init: Callable[[Lane], State]
  step: Callable[..., tuple[State, Mapping[str, Array]]]
  evaluate: Callable[..., tuple[Mapping[str, Array], Array]]


class Keys(NamedTuple):
  """The keys of a lane, by use."""

  init: Array
  noise: Array
  evaluation: Array
  nll: Array
  prior: Array


def lane_keys(lane: Lane) -> Keys:
  """Returns the lane's keys; they depend on its seed alone."""
  return Keys(*jax.random.split(jax.random.key(lane.seed, impl='threefry2x32'), len(Keys._fields)))


def draw_noise(key: Array, batch_size: int, num_samples: int, latent_size: int) -> Array:
  """Returns standard normal noise [N, L, Z]; a smaller Z gives the first columns of a larger."""
  noise = jax.random.normal(key, (latent_size, batch_size, num_samples))
  return jnp.moveaxis(noise, 0, -1)


def example_metrics(
  model: networks.Model,
  bound: bounds.Bound,
  rate: bounds.Rate,
  params: Any,
  lane: Lane,
  x: Array,
  noise: Array,
) -> tuple[Mapping[str, Array], Array]:
  """Returns elbo, rate, distortion, objective [] of one example, and its posterior mean [Z].

  Nats per example; training and evaluation both go through here. `noise` is [L, Z].
  """
  posterior = model.encode(params, x, lane.mask)
  terms = bounds.elbo_terms(
    posterior, lambda z: model.decode(params, z, lane.mask), x, noise, lane.mask
  )
  metrics = {
    'elbo': bounds.beta_elbo(terms, 1.0, rate),
    'rate': rate(terms),
    'distortion': bounds.distortion(terms),
    'objective': bound(terms, lane.beta),
  }
  return metrics, posterior.loc


def make_learner(
  model: networks.Model,
  bound: bounds.Bound,
  rate: bounds.Rate,
  num_samples: int,
  optimizer: Callable[[Array], optax.GradientTransformation],
) -> Learner:
  """Builds the functions of one lane.

  Args:
    model: encoder, decoder and likelihood.
    bound: the objective of one example, (terms, beta) -> [].
    rate: the form of the KL that is reported, and trained on where the bound is the beta-ELBO.
    num_samples: L, in training and in `evaluate`.
    optimizer: learning rate [] -> gradient transformation.
  """
  one_example = functools.partial(example_metrics, model, bound, rate)
  batch_metrics = jax.vmap(one_example, in_axes=(None, None, 0, 0))

  def noise_for(key: Array, batch: Array, lane: Lane) -> Array:
    return draw_noise(key, batch.shape[0], num_samples, lane.mask.size)

  def init(lane: Lane) -> State:
    params = model.init(lane_keys(lane).init, lane.mask)
    opt_state = optimizer(lane.learning_rate).init(params)
    return State(params, opt_state, jnp.asarray(NOT_DIVERGED, jnp.int32))

  def loss(params: Any, lane: Lane, batch: Array, noise: Array) -> tuple[Array, Mapping]:
    metrics, _ = batch_metrics(params, lane, batch, noise)
    metrics = jax.tree.map(jnp.mean, metrics)
    return -metrics['objective'], metrics

  def step(state: State, lane: Lane, batch: Array, count: Array, active: Array):
    noise = noise_for(jax.random.fold_in(lane_keys(lane).noise, count), batch, lane)
    grads, metrics = jax.grad(loss, has_aux=True)(state.params, lane, batch, noise)
    updates, opt_state = optimizer(lane.learning_rate).update(grads, state.opt_state, state.params)
    params = optax.apply_updates(state.params, updates)
    # The norm is infinite, too, where Adam's second moment would overflow and stall the lane.
    finite = jnp.isfinite(metrics['objective']) & jnp.isfinite(optax.tree.norm(grads))
    alive = state.diverged_at == NOT_DIVERGED
    # A select, not a branch: the lanes beside this one must run the very same program.
    taken = active & alive & finite
    kept = jax.tree.map(
      lambda new, old: jnp.where(taken, new, old),
      (params, opt_state),
      (state.params, state.opt_state),
    )
    diverged_at = jnp.where(active & alive & ~finite, count, state.diverged_at)
    return State(*kept, diverged_at), metrics

  def evaluate(params: Any, lane: Lane, batch: Array, index: Array):
    noise = noise_for(jax.random.fold_in(lane_keys(lane).evaluation, index), batch, lane)
    return batch_metrics(params, lane, batch, noise)

  return Learner(init, step, evaluate)
