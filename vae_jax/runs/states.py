"""The state of a study on disk: how far a run is, from one checkpoint to the next."""

import logging

import orbax.checkpoint as ocp

from vae_jax import placement, programs, study
from vae_jax.runs import checkpoint
from vae_jax.runs.outcome import Progress


def restored(
  built: study.Study, manager: ocp.CheckpointManager, most: int | None = None
) -> Progress | None:
  """Returns how far the newest whole checkpoint is, of step `most` at the latest; None without."""
  like = programs.state_shapes(built.training.learner, built.lanes)
  found = checkpoint.restore_newest(manager, like, most)
  if found is None:
    return None
  # In a record that is older than they are.
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
