"""The state of a study in its checkpoints: begins, saves, restores."""

import logging
from typing import Any, NamedTuple

import orbax.checkpoint as ocp

from vae_jax import placement, programs, study
from vae_jax.learner import State
from vae_jax.runs import checkpoint, outcome
from vae_jax.runs.checkpoint import saving
from vae_jax.runs.outcome import Progress

# What a checkpoint holds of a study with train.keep='best': a state, and the best parameters.
StateAndBest = NamedTuple('StateAndBest', [*State.__annotations__.items(), ('best', Any)])


def restored(
  built: study.Study, manager: ocp.CheckpointManager, most: int | None = None
) -> Progress | None:
  """Returns the newest whole checkpoint up to step `most`; None without one."""
  like = programs.state_shapes(built.training.learner, built.lanes)
  keeps_best = built.train.keep == 'best'
  like = StateAndBest(*like, best=like.params) if keeps_best else like
  found = checkpoint.restore_newest(manager, like, most)
  if found is None:
    return None
  best = found.state.best if keeps_best else None
  state = State(*found.state[: len(State._fields)])
  return _progress(found.step, state, best, found.record)


def _progress(step: int, state: State, best: Any, record: dict[str, Any]) -> Progress:
  """Returns what a checkpoint holds; it may be older than some fields of the record."""
  num_lanes = len(record['collapsed_at'])
  choice = outcome.recorded(record, num_lanes)
  unknown = {'reasons': [None] * num_lanes, 'logged': None}
  progress = Progress(
    step=step,
    state=state,
    lanes=list(range(num_lanes)),
    best=best,
    **unknown | record | {'choice': choice},
  )
  return progress if len(choice.training) == num_lanes else outcome.regrouped(progress)


def begin(
  built: study.Study, manager: ocp.CheckpointManager, progress: Progress | None
) -> Progress:
  """Continues from what was restored, or writes the initial state as step 0."""
  if progress is None:
    state = programs.init(built.training.learner, built.lanes, built.place)
    progress = outcome.begun(state, len(built.points))
    if built.train.keep == 'best':
      params = placement.joined(programs.params_of(state))
      progress = progress._replace(best=saving.copied(params))
    save(manager, progress)
  else:
    logging.info('continuing from step %d', progress.step)
    checkpoint.forget_after(manager, progress.step)
  return progress


def save(manager: ocp.CheckpointManager, progress: Progress) -> None:
  """Writes a checkpoint of all lanes; returns when it is on the disk."""
  checkpoint.save(manager, progress.step, *_stored(progress))


def save_beside(saved: saving.Saving, progress: Progress) -> None:
  """Writes a checkpoint of all lanes, while the caller goes on."""
  saved.save(progress.step, *_stored(progress))


def _stored(progress: Progress) -> tuple[Any, dict[str, Any]]:
  """Returns the arrays of a checkpoint, a tree [G], and the record beside them."""
  record = progress._asdict()
  for name in ('step', 'state', 'lanes', 'resting', 'best'):
    del record[name]
  record['choice'] = progress.choice._asdict()
  state = placement.joined(outcome.whole(progress))
  if progress.best is not None:
    state = StateAndBest(*state, best=progress.best)
  return state, record
