"""Optimisers and learning-rate schedules, from optax.

An optimiser is a function of `learning_rate`, count [] -> rate [], that returns an optax
GradientTransformation: any factory of optax that takes a schedule for a rate is one. The rate is
that of the lane, traced: a value that a factory compares or formats must not depend on it.

The loss is a mean over the batch, so `eps` is relative to the gradient of a mean: a published eps
for a sum over N examples is N times ours.

A schedule is a function of its settings that returns step [] -> fraction of the peak rate [].
"""

from collections.abc import Callable
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

from vae_jax import checks

Schedule = Callable[[Array], Array]

# With what the page of settings says of them.
Decay = Annotated[float, checks.real(0.0, 0.999999), 'decay of a running moment of the gradient']
Epsilon = Annotated[float, checks.real(1e-30, 1.0), 'in the denominator; of a mean over the batch']
Steps = Annotated[int, checks.whole(1), 'of the optimiser']
Factor = Annotated[float, checks.real(0.0, 1.0), 'of the peak rate']


def adam(
  learning_rate: Schedule, b1: Decay = 0.9, b2: Decay = 0.999, eps: Epsilon = 1e-8
) -> optax.GradientTransformation:
  """Kingma & Ba 2015, algorithm 1, arxiv.org/abs/1412.6980."""
  return optax.adam(learning_rate, b1=b1, b2=b2, eps=eps)


def adabelief(
  learning_rate: Schedule, b1: Decay = 0.9, b2: Decay = 0.999, eps: Epsilon = 1e-8
) -> optax.GradientTransformation:
  """Zhuang et al. 2020, algorithm 2, arxiv.org/abs/2010.07468."""
  return optax.adabelief(learning_rate, b1=b1, b2=b2, eps=eps)


def adamax(
  learning_rate: Schedule, b1: Decay = 0.9, b2: Decay = 0.999, eps: Epsilon = 1e-8
) -> optax.GradientTransformation:
  """Kingma & Ba 2015, algorithm 2, arxiv.org/abs/1412.6980."""
  return optax.adamax(learning_rate, b1=b1, b2=b2, eps=eps)


def nadam(
  learning_rate: Schedule, b1: Decay = 0.9, b2: Decay = 0.999, eps: Epsilon = 1e-8
) -> optax.GradientTransformation:
  """Adam with Nesterov's momentum: Dozat 2016, openreview.net/forum?id=OM0jvwB8jIp57ZJjtNEZ."""
  return optax.nadam(learning_rate, b1=b1, b2=b2, eps=eps)


def radam(
  learning_rate: Schedule, b1: Decay = 0.9, b2: Decay = 0.999, eps: Epsilon = 1e-8
) -> optax.GradientTransformation:
  """Liu et al. 2020, algorithm 2, arxiv.org/abs/1908.03265."""
  return optax.radam(learning_rate, b1=b1, b2=b2, eps=eps)


def constant() -> Schedule:
  """The peak rate at every step."""
  return optax.constant_schedule(1.0)


def linear(decay_steps: Steps = 1, factor: Factor = 1.0) -> Schedule:
  """Falls on a line to `factor` over `decay_steps`."""
  return optax.linear_schedule(1.0, factor, decay_steps)


def cosine(decay_steps: Steps = 1, factor: Factor = 1.0) -> Schedule:
  """Falls on half a cosine to `factor` over `decay_steps`: Loshchilov & Hutter 2017, eq. 5."""
  return optax.cosine_decay_schedule(1.0, decay_steps, factor)


def exponential(
  decay_steps: Steps = 1, factor: Annotated[float, checks.real(0.0, 1.0), checks.above_zero] = 1.0
) -> Schedule:
  """Multiplies by `factor`, above 0, every `decay_steps`, in between too."""
  return optax.exponential_decay(1.0, decay_steps, factor)


def tripling(decay_steps: Steps = 1, factor: Factor = 1.0) -> Schedule:
  """Multiplies by `factor` after stages of 1, 3, 9, 27 ... times `decay_steps`.

  Burda et al. 2016, section 5, arxiv.org/abs/1509.00519.
  """
  return optax.piecewise_constant_schedule(1.0, {end: factor for end in _stage_ends(decay_steps)})


def _stage_ends(first: int) -> list[int]:
  """Returns the ends of stages of 1, 3, 9 ... times `first` steps, as far as an int32 counts."""
  ends = (first * (3**i - 1) // 2 for i in range(1, 21))
  return [end for end in ends if end < 2**31]


def decayed(updates: Any, params: Any, share: Array) -> Any:
  """Returns the updates of a step that also shrinks every kernel w by a share of itself.

    u <- u - share w,    share = learning rate x weight decay

  Decoupled from the gradient, as AdamW has it, whatever the optimiser: Loshchilov & Hutter 2019,
  eq. 12, arxiv.org/abs/1711.05101. Kernels are the leaves called `kernel`, as Flax calls them;
  biases, the scales of norms, priors and shared numbers of a likelihood stay as they are. Weights
  of inert latents are 0, and so is their share.

  Args:
    updates: of the optimiser, in the shapes of the parameters.
    params: before the step.
    share: [].
  """

  def one(path: Any, update: Array, weight: Array) -> Array:
    is_kernel = getattr(path[-1], 'key', None) == 'kernel'
    return update - share * weight if is_kernel else update

  return jax.tree_util.tree_map_with_path(one, updates, params)


def clipped(grads: Any, most: Array) -> tuple[Any, Array]:
  """Returns gradients whose norm over all leaves is `most` at most, and whether they were longer.

    g <- g min(1, most / |g|)

  Pascanu et al. 2013, algorithm 1, arxiv.org/abs/1211.5063. The gradient of an inert weight is 0:
  the norm is that of the lane's own. Where `most` is 0 the gradients stay.

  Args:
    grads: of one lane.
    most: [], 0 for no limit.
  """
  norm = optax.global_norm(grads)
  is_long = (most > 0) & (norm > most)
  factor = jnp.where(is_long, most / jnp.where(is_long, norm, 1.0), 1.0)
  return jax.tree.map(lambda g: factor * g, grads), is_long


def averaged(average: Any, params: Any, decay: Array, count: Array) -> Any:
  """Returns the running average of the parameters after a step; where `decay` is 0 these.

    a <- d a + (1 - d) w,    d = min(decay, (1 + t) / (10 + t))

  Polyak & Juditsky 1992 in its exponential form. d rises with the number t of steps before, so that
  the average forgets where training began; about (1 - decay)^-1 steps weigh in it.

  Args:
    average, params: trees of one shape, after the step.
    decay: [], below 1.
    count: t, [].
  """
  d = jnp.minimum(decay, (1.0 + count) / (10.0 + count))
  return jax.tree.map(lambda a, w: jnp.where(decay > 0, d * a + (1 - d) * w, w), average, params)


def warmed_up(schedule: Schedule, warmup_steps: int) -> Schedule:
  """Returns a schedule that begins after a rise on a line from 0 over `warmup_steps`."""
  if not warmup_steps:
    return schedule
  # The first update has count 0: without the + 1 it would be lost to a rate of 0.
  return optax.join_schedules(
    [lambda count: (count + 1) / warmup_steps, schedule], boundaries=[warmup_steps]
  )
