"""Optimisers and learning-rate schedules, from optax.

An optimiser is a function of `learning_rate`, count [] -> rate [], that returns an optax
GradientTransformation: any factory of optax that takes a schedule for a rate is one. The rate is
that of the lane, traced: a value that a factory compares or formats must not depend on it.

The loss is a mean over the batch, so `eps` is relative to the gradient of a mean: a published eps
for a sum over N examples is N times ours.

A schedule is a function of its settings that returns step [] -> fraction of the peak rate [].
"""

from collections.abc import Callable
from typing import Annotated

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


def warmed_up(schedule: Schedule, warmup_steps: int) -> Schedule:
  """Returns a schedule that begins after a rise on a line from 0 over `warmup_steps`."""
  if not warmup_steps:
    return schedule
  # The first update has count 0: without the + 1 it would be lost to a rate of 0.
  return optax.join_schedules(
    [lambda count: (count + 1) / warmup_steps, schedule], boundaries=[warmup_steps]
  )
