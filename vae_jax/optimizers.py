"""Optimisers and learning-rate schedules by name, from optax."""

from collections.abc import Callable

import optax
from jax import Array

OPTIMIZERS = {
  'adam': optax.adam,
  'adabelief': optax.adabelief,
  'adamax': optax.adamax,
  'nadam': optax.nadam,
  'radam': optax.radam,
}

Schedule = Callable[[Array], Array]


def _stage_ends(first: int) -> list[int]:
  """Returns the ends of stages of 1, 3, 9 ... times `first` steps, as far as an int32 counts."""
  ends = (first * (3**i - 1) // 2 for i in range(1, 21))
  return [end for end in ends if end < 2**31]


# name -> (decay_steps, factor) -> fraction of the peak learning rate at a step after the warm-up.
SCHEDULES: dict[str, Callable[[int, float], Schedule]] = {
  'constant': lambda decay_steps, factor: optax.constant_schedule(1.0),
  'linear': lambda decay_steps, factor: optax.linear_schedule(1.0, factor, decay_steps),
  'cosine': lambda decay_steps, factor: optax.cosine_decay_schedule(1.0, decay_steps, factor),
  'exponential': lambda decay_steps, factor: optax.exponential_decay(1.0, decay_steps, factor),
  'tripling': lambda decay_steps, factor: optax.piecewise_constant_schedule(
    1.0, {step: factor for step in _stage_ends(decay_steps)}
  ),
}


def make_schedule(name: str, warmup_steps: int, decay_steps: int, factor: float) -> Schedule:
  """Returns step -> fraction of the lane's learning rate, in [0, 1].

  Linear from 0 over `warmup_steps`, then by name over `decay_steps`: 'constant'; 'linear' and
  'cosine' fall to `factor`; 'exponential' multiplies by `factor` every `decay_steps`; 'tripling'
  multiplies by `factor` after stages of 1, 3, 9, 27 ... times `decay_steps`, the schedule of Burda
  et al. 2016, section 5, arxiv.org/abs/1509.00519.
  """
  decay = SCHEDULES[name](decay_steps, factor)
  if not warmup_steps:
    return decay
  # The first update has count 0: without the + 1 it would be lost to a rate of 0.
  return optax.join_schedules(
    [lambda count: (count + 1) / warmup_steps, decay], boundaries=[warmup_steps]
  )


def make_optimizer(
  name: str, b1: float, b2: float, eps: float, schedule: Schedule
) -> Callable[[Array], optax.GradientTransformation]:
  """Returns peak learning rate [] -> optimiser; the rate may be traced, one per lane.

  The loss is a mean over the batch, so `eps` is relative to the gradient of a mean: a published eps
  for a sum over N examples is N times ours.
  """

  def optimizer(learning_rate: Array) -> optax.GradientTransformation:
    return OPTIMIZERS[name](lambda count: learning_rate * schedule(count), b1=b1, b2=b2, eps=eps)

  return optimizer
