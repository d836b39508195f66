"""The state of a study in its checkpoints: begins, saves, restores."""

import logging

import orbax.checkpoint as ocp

from vae_jax import placement, programs, study
from vae_jax.runs import checkpoint
from vae_jax.runs.outcome import Progress


def restored(
  built: study.Study, manager: ocp.CheckpointManager, most: int | None = None
) -> Progress | None:
  """Returns the newest whole checkpoint up to step `most`; None without one."""
  like = programs.state_shapes(built.training.learner, built.lanes)
  found = checkpoint.restore_newest(manager, like, most)
  if found is None:
    return None
  # Of checkpoints that are older than these fields.
  unknown = {'reasons': [None] * len(built.points), 'logged': None}
  return Progress(step=found.step, state=found.state, **unknown | found.record)


def begin(
  built: study.Study, manager: ocp.CheckpointManager, progress: Progress | None
) -> Progress:
  """Continues from what was restored, or writes the initial state as step 0."""
  if progress is None:
    state = programs.init(built.training.learner, built.lanes, built.place)
    nothing = [None] * len(built.points)
    progress = Progress(0, state, {}, nothing, nothing, seconds=0.0, training_seconds=0.0)
    save(manager, progress)
  else:
    logging.info('continuing from step %d', progress.step)
    checkpoint.forget_after(manager, progress.step)
  return progress


def save(manager: ocp.CheckpointManager, progress: Progress) -> None:
  """Writes a checkpoint of all lanes."""
  record = progress._asdict()
  step, state = record.pop('step'), record.pop('state')
  checkpoint.save(manager, step, placement.joined(state), record)
