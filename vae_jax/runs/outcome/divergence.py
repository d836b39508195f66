"""Why a lane diverged: what was not finite first, and what to try."""

import logging
from collections.abc import Callable

import numpy as np

from vae_jax import lanes, learner, placement, programs, weighting
from vae_jax.runs.outcome.progress import Progress, of_states, whole
from vae_jax.study import Study

_FAR = 100.0  # values beyond it are no pixels, and not standardised
_LARGE_BETA = 1e6

Examine = Callable[..., programs.Findings]


def diverged_at(progress: Progress) -> list[int]:
  """Returns the step at which each lane diverged, `learner.NOT_DIVERGED` where it did not; [G]."""
  return np.asarray(of_states(progress, lambda state: state.diverged_at)).tolist()


def explained(study: Study, examine: Examine, progress: Progress) -> Progress:
  """Returns the progress with the reasons of the lanes that diverged, and warns of the new ones.

  Args:
    study: of the lanes.
    examine: from `programs.make_examine`.
    progress: with the reasons that were found before.
  """
  result, steps = list(progress.reasons), diverged_at(progress)
  lost = [i for i, step in enumerate(steps) if step != learner.NOT_DIVERGED and result[i] is None]
  state = whole(progress) if lost else None
  for i in lost:
    lane_state, lane = placement.lane_of(state, i), placement.lane_of(study.lanes, i)
    lane = weighting.weighed(lane, lane_state.multiplier)
    images, beside = study.dataset.train, study.dataset.beside_of('train')
    found = examine(lane_state.params, lane, images, steps[i], beside)
    result[i] = _reason(found, study.points[i], steps[i], _standardize(study))
    logging.warning('%s: diverged at step %d: %s', study.names[i], steps[i], result[i])
  return progress._replace(reasons=result)


def _standardize(study: Study) -> str:
  """Returns how the data could be standardised; '' where they are, or are levels or pixels."""
  if study.dataset.support != 'real' or study.dataset.standard is not None:
    return ''
  return 'per_pixel' if len(study.event) == 1 else 'all'  # a table, or pictures and signals


def _reason(found: programs.Findings, point: lanes.Point, step: int, mode: str) -> str:
  first = found.first()
  what = f'{first} was not finite first' if first else 'an overflow that rounding decides'
  return (
    f'{what} (largest |x| of its batch {found.largest_x:.4g}); {_hint(found, point, step, mode)}'
  )


def _hint(found: programs.Findings, point: lanes.Point, step: int, mode: str) -> str:
  """Returns the one thing to try first; `mode` is from `_standardize`."""
  if mode and found.largest_x > _FAR:
    return f'the data are far from unit scale: data.standardize={mode!r}'
  if point['beta'] > _LARGE_BETA:
    return f'lower lanes.beta={point["beta"]:g}'
  if step == 0:
    return 'no update was made yet: it is the start that is not finite, so look at likelihood'
  return f'lower lanes.learning_rate={point["learning_rate"]:g}, or set schedule.warmup_steps'
