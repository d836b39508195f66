"""From a config to its learner: objective, gradient estimator, optimiser."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import optax
from jax import Array

from vae_jax import bounds, errors, lanes, learner, networks, objectives, optimizers, validation

RATES = {'analytic': bounds.analytic_kl, 'sampled': bounds.sampled_kl}
NOISES = {'independent': learner.draw_noise, 'antithetic': learner.draw_antithetic}


def learner_of(
  built: validation.Built, model: networks.Model, points: Sequence[lanes.Point]
) -> learner.Learner:
  """Returns the learner of a config, for lanes at these points: what none of them has is left out.

  A gradient that is biased for its bound is warned of, not refused: runs have been trained by it.
  """
  settings, objective = built.config['bound'], built.bound
  num_samples = settings['num_samples']
  if settings['gradient'] == 'sticking_the_landing' and _weighs(objective, num_samples):
    logging.warning(
      "bound.gradient='sticking_the_landing' is biased for bound.name=%r with %d samples: the "
      "score that it drops has a mean there; bound.gradient='doubly_reparameterized' is unbiased",
      settings['name'],
      num_samples,
    )
  estimator = learner.Estimator(
    model=model,
    objective=objective,
    rate=RATES[settings['kl']],
    gradient=_gradient(settings['gradient'], objective),
  )
  draw = NOISES[settings['noise']]
  schedule = _schedule_of(built)

  def have(field: str) -> bool:
    return any(point[field] for point in points)

  return learner.make_learner(
    estimator,
    num_samples,
    _optimizer_of(built, schedule),
    draw,
    has_targets=have('target_rate'),
    decay_schedule=schedule if have('weight_decay') else None,
    has_clipping=have('clip_norm'),
    has_average=have('ema_decay'),
  )


def check_batch(built: validation.Built, num_examples: int) -> None:
  """Raises InputError where a batch is no sample of the training set that its bound can read."""
  objective, size = built.bound, built.value('train.batch_size')
  name, low, high = built.name('bound'), objective.smallest_batch, objective.largest_batch
  if high is not None and high < low:
    raise errors.InputError(
      f'bound.name={name!r} compares examples, and data.train_split has {num_examples}; '
      f'it needs {low}'
    )
  nearest = max(low, size if high is None else min(size, high))
  if size != nearest:
    limit = f'at least {low}' if size < low else f'at most the {high} training examples'
    raise errors.InputError(
      f'train.batch_size={size}: bound.name={name!r} compares the examples of a batch, {limit}; '
      f'the nearest valid value is {nearest}'
    )


def _weighs(objective: objectives.Objective, num_samples: int) -> bool:
  """Tells whether an objective weighs samples against each other, and so is not the ELBO."""
  if objective.path_weights is None:
    return objective.is_weighted and num_samples > 1
  return not np.allclose(objective.path_weights(np.zeros(num_samples, np.float32)), 1)


def _gradient(name: str, objective: objectives.Objective) -> bounds.Gradient:
  if name == 'doubly_reparameterized':
    return bounds.doubly_reparameterized(objective.path_weights)
  return getattr(bounds, name)


def _schedule_of(built: validation.Built) -> optimizers.Schedule:
  """Returns step [] -> the fraction of the peak learning rate."""
  return optimizers.warmed_up(built.part('schedule'), built.config['schedule']['warmup_steps'])


def _optimizer_of(built: validation.Built, schedule: optimizers.Schedule) -> Any:
  """Returns peak learning rate [] -> optimiser; the rate may be traced, one per lane."""

  def optimizer(rate: Array) -> optax.GradientTransformation:
    return built.part('optimizer', learning_rate=lambda count: rate * schedule(count))

  return optimizer
