"""Why a lane diverged: what was not finite first, and what to try."""

import logging
from collections.abc import Callable, Sequence

import numpy as np

from vae_jax import lanes, learner, placement, programs, weighting
from vae_jax.runs.outcome.progress import Progress
from vae_jax.study import Study

_FAR = 100.0  # values beyond it are no pixels, and not standardised
_LARGE_BETA = 1e6

Examine = Callable[..., programs.Findings]


def diverged_at(state: programs.States) -> list[int]:
  """Returns the step at which each lane diverged, `learner.NOT_DIVERGED` where it did not."""
  steps = placement.joined(placement.map_turns(lambda state: state.diverged_at, state))
  return np.asarray(steps).tolist()


def reasons(
  study: Study, examine: Examine, state: programs.States, known: Sequence[str | None]
) -> list[str | None]:
  """Returns why each lane diverged, None where it did not, and warns of the lanes that are new.

  Args:
    study: of the lanes.
    examine: from `programs.make_examine`.
    state: of all lanes.
    known: the reasons that were found before, [G].
  """
  result = list(known)
  for i, step in enumerate(diverged_at(state)):
    if step == learner.NOT_DIVERGED or result[i] is not None:
      continue
    lane_state, lane = placement.lane_of(state, i), placement.lane_of(study.lanes, i)
    lane = weighting.weighed(lane, lane_state.multiplier)
    found = examine(lane_state.params, lane, study.dataset.train, step)
    result[i] = _reason(found, study.points[i], step, _standardize(study))
    logging.warning('%s: diverged at step %d: %s', study.names[i], step, result[i])
  return result


def explained(study: Study, examine: Examine, progress: Progress) -> Progress:
  """Returns the progress with the reasons that an older checkpoint lacks."""
  found = reasons(study, examine, progress.state, progress.reasons)
  return progress._replace(reasons=found)


def _standardize(study: Study) -> str:
  """Returns how the data could be standardised; '' where they are, or are levels or pixels."""
  if study.dataset.support != 'real' or study.dataset.standard is not None:
    return ''
  return 'all' if len(study.event) == 3 else 'per_pixel'  # pictures, or a table


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
