"""What takes longer than the training: a ramp that ends early trains another beta, silently."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vae_jax import lanes, optimizers, parts, weighting


def cut_short(config: Mapping[str, Any], names: Sequence[str], stacked: lanes.Lane) -> str:
  """Returns what the training is too short for and where it leads, as a line; '' where nothing is.

  Args:
    config: complete, see `vae_jax.config.complete`.
    names: of the lanes.
    stacked: the lanes [G].
  """
  steps = config['train']['steps']
  found = [*_ramps(steps, names, stacked), *_schedule(config['schedule'], steps)]
  return f'train.steps={steps} cuts short: {"; ".join(found)}' if found else ''


def _ramps(steps: int, names: Sequence[str], stacked: lanes.Lane) -> Iterator[str]:
  """Yields, for beta and the capacity, the lane that comes least far."""
  for key, of_step, end, unit in (
    ('warmup_steps', weighting.beta_at, stacked.beta, 'beta'),
    ('capacity_steps', weighting.capacity_at, stacked.capacity, 'the capacity'),
  ):
    lengths = np.asarray(getattr(stacked, key))
    too_long = lengths > steps
    if too_long.any():
      # The step counts those before it.
      reached = np.asarray(jax.jit(jax.vmap(of_step, (0, None)))(stacked, steps - 1))
      worst = int(np.argmax(np.where(too_long, lengths, 0)))
      others = int(too_long.sum()) - 1
      more = f' and {others} more' if others else ''
      yield (
        f'at the last step {unit} is {reached[worst]:.3g}, not {float(end[worst]):.3g}, in '
        f'{names[worst]}{more} (lanes.{key}={int(lengths[worst])})'
      )


def _schedule(settings: Mapping[str, Any], steps: int) -> Iterator[str]:
  lengths = {key: settings.get(key) for key in ('decay_steps', 'warmup_steps')}
  keys = [key for key, length in lengths.items() if type(length) is int and length > steps]
  if keys:
    schedule = parts.build('schedule', settings)
    rate = float(optimizers.warmed_up(schedule, settings['warmup_steps'])(steps - 1))
    which = ', '.join(f'schedule.{key}={lengths[key]}' for key in keys)
    yield f'the learning rate is {rate:.3g} of its peak at the last step ({which})'
