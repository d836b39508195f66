"""Resumes a run: whose directory it is, what is done, and from which step it goes on."""

import logging
import pathlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import jax
import orbax.checkpoint as ocp

from vae_jax import data, errors, identity, parts, placement, records, study
from vae_jax.records import manifest
from vae_jax.runs import checkpoint, loop, outcome, states, workdir
from vae_jax.runs.outcome import Outcome, Progress

# What a program raises for which there is not enough memory, among other things.
TOO_WIDE = (placement.TooWideError, jax.errors.JaxRuntimeError)


def claim(
  built: study.Study, config: Mapping[str, Any], directory: pathlib.Path, study_id: str | None
) -> AbstractContextManager[None]:
  """Holds a directory as that of a study; see `workdir.claim` and `workdir.provenance`."""
  dataset = built.dataset
  provenance = workdir.provenance(
    dataset.name, dataset.version, dataset.sha256, built.event, built.place.width, study_id
  )
  provenance['evaluated_on'] = built.sampling()
  provenance['data_seen'] = data.seen(dataset, config['data']['standardize'])
  if own := parts.origins(config):
    provenance['parts'] = own
  return workdir.claim(directory, config, provenance)


def finished(config: Mapping[str, Any], directory: pathlib.Path) -> Outcome | None:
  """Returns the outcome of a run with nothing left to do; None where there is something.

  The caller holds the directory.

  Raises:
    DamagedError: a file of it is not what was written.
  """
  if not workdir.is_finished(directory):
    return None
  found = identity.changes(workdir.read_config(directory), workdir.plain(config))
  if any(change.key == 'train.steps' for change in found):
    return None
  faults = manifest.faults(directory)
  # Only training writes these: without them the run is not finished.
  lost = [f'{workdir.RECORD} {faults[workdir.RECORD]}'] if workdir.RECORD in faults else []
  newest = records.newest_step(directory)
  # Without any, they were removed, or are in the directories of several processes.
  reached = workdir.read_provenance(directory).get('step', config['train']['steps'])
  if newest is not None and newest < reached:
    lost.append(f'checkpoints/{reached} {manifest.MISSING}')
  if lost:
    logging.warning('%s: %s', directory, ' and '.join(lost))
    workdir.mark_unfinished(directory)
    return None
  for name, what in faults.items():
    message = (
      f'{directory / name} {what}; vae-jax evaluate --workdir={directory} makes it again '
      'from the checkpoint'
    )
    if what == manifest.CHANGED:
      raise errors.DamagedError(message)
    logging.warning('%s', message)
  unused = f'; without effect: {identity.listed(found)}' if found else ''
  logging.info('%s is finished already; nothing to train%s', directory, unused)
  return outcome.read(directory, config['bound']['kl'])


def at_recorded_width(built: study.Study, directory: pathlib.Path) -> study.Study:
  """Returns the study at the width of its run, or as near to it as these devices allow.

  The last bits depend on the width, so a change of it is logged and recorded.
  """
  width = workdir.recorded_width(directory)
  built = built.at_width(width)
  if built.place.width != width:
    logging.warning(
      'the last bits of the lanes will differ from here on: programs have %d lanes on these '
      'devices, and had %d before',
      built.place.width,
      width,
    )
    workdir.record_width(directory, built.place.width)
  return built


def narrower(built: study.Study, directory: pathlib.Path, error: Exception) -> study.Study:
  """Returns the study in programs of half as many lanes, or re-raises any other error.

  Raises:
    InputError: a program of one lane a device does not fit; with what there is.
  """
  narrower = built.at_width(max(1, built.place.width // 2))
  short = isinstance(error, placement.TooWideError) or placement.is_out_of_memory(error)
  if not short:
    raise error
  reason = str(error).splitlines()[0]
  if narrower.place.width == built.place.width:
    free = placement.free_bytes() / 2**30
    raise errors.InputError(
      f'not enough memory for a program of one lane a device ({reason}); {free:.2f} GiB may be '
      f'had: train.batch_size={built.training.schedule.batch_size}, '
      f'evaluation.batch_size={built.evaluation.batch_size}, bound.num_samples='
      f'{built.num_samples} or the networks must be smaller'
    ) from error
  logging.warning('%s; from here on programs of %d lanes', reason, narrower.place.width)
  workdir.record_width(directory, narrower.place.width)
  return narrower


def restored(
  built: study.Study,
  directory: pathlib.Path,
  manager: ocp.CheckpointManager,
  from_scratch: bool,
) -> Progress | None:
  """Returns the newest checkpoint up to which the journal is complete; None for a new run.

  Missing rows are computed again from an older checkpoint, where there is one before them. Where
  there is none they stay missing, with a warning: parameters and tables do not depend on them, and
  refusing to continue would lose more.

  Raises:
    InputError: there was training, and its checkpoints are gone.
    DamagedError: no checkpoint verifies.
  """
  record = directory / workdir.RECORD
  try:
    progress = states.restored(built, manager)
  except errors.DamagedError as error:
    if not from_scratch:
      raise errors.DamagedError(f'{error}; --from_scratch begins again at step 0') from error
    logging.warning('%s; beginning again at step 0', error)
    checkpoint.forget_after(manager, -1)
    progress = None
  if progress is None:
    _check_is_new(record, from_scratch)
    damage = records.damage(record, [], [None] * len(built.points))
  else:
    steps = _log_points(built.train, directory, progress)
    progress = progress._replace(logged=records.ranges_of(steps))
    damage = records.damage(record, steps, progress.choice.stopped_at)
  if damage.lines:
    logging.warning('%s: what fails is moved to %s', record, record.with_suffix('.damaged').name)
    records.take_out(record, damage.lines)
  return _behind_what_is_missing(built, manager, record, progress, damage)


def _behind_what_is_missing(
  built: study.Study,
  manager: ocp.CheckpointManager,
  record: pathlib.Path,
  progress: Progress | None,
  damage: records.Damage,
) -> Progress | None:
  """Returns an older checkpoint before the missing rows, or the same where there is none."""
  if not damage.missing:
    return progress
  step, _ = damage.missing[0]
  older = states.restored(built, manager, most=step - 1)
  if older is None:
    logging.warning('%s: %s; no checkpoint is older, and so it stays so', record, damage)
    return progress
  logging.warning('%s: %s; made again from step %d', record, damage, older.step)
  passed = [step for step in records.steps_in(progress.logged) if step <= older.step]
  return older._replace(logged=records.ranges_of(passed))


def _check_is_new(record: pathlib.Path, from_scratch: bool) -> None:
  """Checks that nothing was trained where there is no checkpoint, unless from_scratch allows it."""
  trained = record.exists() and record.stat().st_size > 0
  if not trained and not record.with_name('results.csv').exists():
    return
  if not from_scratch:
    raise errors.InputError(
      f'--workdir={record.parent} has trained before and its checkpoints are gone; put them back, '
      'or give --from_scratch to begin again at step 0'
    )
  logging.warning('%s has no checkpoint; beginning again at step 0', record.parent)


def _log_points(
  settings: study.TrainSettings, directory: pathlib.Path, progress: Progress
) -> list[int]:
  """Returns the log points up to a checkpoint.

  The checkpoint of an earlier version does not have them: they follow from its cadence or, where
  the cadence has changed, from the rows and the step that are there.
  """
  if progress.logged is not None:
    return records.steps_in(progress.logged)
  changes = workdir.read_provenance(directory).get('changes', [])
  if not any(change['key'].startswith('train.') for change in changes):
    return loop.log_points(settings, progress.step)
  steps = records.steps_of(directory / workdir.RECORD)
  return sorted({*(step for step in steps if step < progress.step), progress.step} - {0})
