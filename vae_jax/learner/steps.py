"""The pure functions of one lane: init, draw, step, evaluate; the caller vmaps over lanes."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from vae_jax import optimizers, placement, weighting
from vae_jax.data import NOTHING, Beside
from vae_jax.fast import finite
from vae_jax.lanes import Lane
from vae_jax.learner.estimates import Estimator, batch_averages, metrics_of
from vae_jax.learner.randomness import draw_noise, drawn_betas, lane_betas, lane_keys

NOT_DIVERGED = -1
KEPT_FIELDS = ('target_rate', 'ema_decay')  # of which a state keeps something, where a lane has one


class State(NamedTuple):
  """What the next step needs; with a leading axis [G] for all lanes."""

  params: Any
  opt_state: Any
  diverged_at: Array  # [] int32: the step whose update was not finite, or NOT_DIVERGED
  multiplier: Array | None = None  # [] of the rate; None where no lane has a target
  average: Any | None = None  # of the parameters; None where no lane has one

  @property
  def evaluated(self) -> Any:
    """The parameters that all figures are of."""
    return self.params if self.average is None else self.average


class Learner(NamedTuple):
  """The pure functions of one lane.

  Attributes:
    estimator: what training and evaluation estimate.
    num_samples: L, in training and in `evaluate`.
    init: lane -> State.
    draw: (lane, N, count []) -> the noise [N, L, Z] of a step; `count` is the number of steps
      before it.
    step: (state, lane, batch [N, *event], noise [N, L, Z], count [], beside) -> (State, metrics
      []); without the last argument nothing is known beside the examples.
    evaluate: (params, lane, batch [N, *event], batch index [], weights [N], beside) -> (averages,
      posterior centres [N, Z]), see `batch_averages`; z is sampled as in training.
  """

  estimator: Estimator
  num_samples: int
  init: Callable[[Lane], State]
  draw: Callable[[Lane, int, Array], Array]
  step: Callable[..., tuple[State, Mapping[str, Array]]]
  evaluate: Callable[..., tuple[Mapping[str, Array], Array]]


def make_learner(
  estimator: Estimator,
  num_samples: int,
  optimizer: Callable[[Array], optax.GradientTransformation],
  sampler: Callable[[Array, int, int, int], Array] = draw_noise,
  has_targets: bool = False,
  decay_schedule: Callable[[Array], Array] | None = None,
  has_clipping: bool = False,
  has_average: bool = False,
) -> Learner:
  """Builds the functions of one lane.

  Args:
    estimator: of the objective.
    num_samples: L, in training and in `evaluate`.
    optimizer: learning rate [] -> gradient transformation.
    sampler: (key, N, L, Z) -> noise [N, L, Z].
    has_targets: whether a lane of the program has a target rate, so that states have a multiplier.
    decay_schedule: count [] -> the fraction [] of the peak learning rate, of which the decay of
      the weights is a part; None where no lane has any.
    has_clipping, has_average: whether a lane has a clip_norm, or an ema_decay.
  """
  model = estimator.model

  def init(lane: Lane) -> State:
    params = model.init(lane_keys(lane).init, lane.mask)
    opt_state = optimizer(lane.learning_rate).init(params)
    multiplier = lane.beta if has_targets else None
    average = params if has_average else None
    return State(params, opt_state, jnp.asarray(NOT_DIVERGED, jnp.int32), multiplier, average)

  def draw_for(key: Array, lane: Lane, batch_size: int, index: Array) -> Array:
    return sampler(jax.random.fold_in(key, index), batch_size, num_samples, lane.mask.size)

  def draw(lane: Lane, batch_size: int, count: Array) -> Array:
    return draw_for(lane_keys(lane).noise, lane, batch_size, count)

  def loss(
    params: Any, state: State, lane: Lane, batch: Array, noise: Array, count: Array, beside: Beside
  ):
    params, weights = placement.whole(params), jnp.ones(len(batch))
    betas = drawn_betas(estimator.objective.beta_range, lane, len(batch), count)
    averages, _ = batch_averages(estimator, params, lane, batch, noise, weights, betas, beside)
    lane = weighting.held(lane, state.multiplier, averages['rates'].sum())
    metrics = metrics_of(estimator, averages, lane, count)
    return -metrics['objective'], metrics

  def step(
    state: State, lane: Lane, batch: Array, noise: Array, count: Array, beside: Beside = NOTHING
  ):
    inputs = lane, batch, noise, count, beside
    grads, metrics = jax.grad(loss, has_aux=True)(state.params, state, *inputs)
    is_finite = jnp.isfinite(metrics['objective']) & finite.are_in_range(grads)
    if has_clipping:
      grads, is_long = optimizers.clipped(grads, lane.clip_norm)
      metrics = metrics | {'clipped': is_long.astype(jnp.float32)}
    updates, opt_state = optimizer(lane.learning_rate).update(grads, state.opt_state, state.params)
    if decay_schedule is not None:
      share = lane.weight_decay * lane.learning_rate * decay_schedule(count)
      updates = optimizers.decayed(updates, state.params, share)
    params = optax.apply_updates(state.params, updates)
    if model.refit is not None:
      # Of the parameters that the batch was seen with: theirs is the likelihood of the metrics.
      params = params | {'likelihood': model.refit(state.params, -metrics['distortion'])}
    alive = state.diverged_at == NOT_DIVERGED

    # A select, not a branch: the lanes beside this one must run the very same program. The moments
    # go on unselected, as no step reads them again: selected, XLA computes and copies them twice.
    def selected(new: Any, old: Any) -> Any:
      return jax.tree.map(lambda new, old: jnp.where(alive & is_finite, new, old), new, old)

    params = selected(params, state.params)
    average = state.average
    if average is not None:
      average = selected(optimizers.averaged(average, params, lane.ema_decay, count), average)
    diverged_at = jnp.where(alive & ~is_finite, count, state.diverged_at)
    multiplier = state.multiplier
    if multiplier is not None:  # of which the type decides, for all lanes alike
      metrics = metrics | {'multiplier': multiplier}
      moved = weighting.next_multiplier(multiplier, metrics['rate'], lane)
      multiplier = jnp.where(alive & is_finite, moved, multiplier)
    return State(params, opt_state, diverged_at, multiplier, average), metrics

  def evaluate(
    params: Any,
    lane: Lane,
    batch: Array,
    index: Array,
    weights: Array,
    beside: Beside = NOTHING,
  ):
    noise = draw_for(lane_keys(lane).evaluation, lane, len(batch), index)
    betas = lane_betas(lane, len(batch))
    return batch_averages(estimator, params, lane, batch, noise, weights, betas, beside)

  # Traced once, though its metrics' shapes are asked for before it is compiled.
  return Learner(estimator, num_samples, init, draw, jax.jit(step, inline=True), evaluate)
