"""Evaluates the newest checkpoint of a run again, on its own data or on other data."""

import contextlib
import logging
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from vae_jax import (
  errors,
  paths,
  programs,
  records,
  stopping,
  study,
)
from vae_jax.records import manifest
from vae_jax.runs import (
  checkpoint,
  extending,
  model_file,
  others,
  outcome,
  reports,
  states,
  uploading,
  workdir,
)
from vae_jax.runs.outcome import Outcome, Progress


def evaluate(
  directory: os.PathLike | str,
  num_samples: int | None = None,
  num_images: int | None = None,
  data_path: str | None = None,
  data_split: str | None = None,
) -> Outcome:
  """Evaluates the newest checkpoint of any run again and rewrites its results.csv and pictures.

  Figures of other data than the run's go to WORKDIR/evaluations/NAME, beside those of the run.

  Args:
    directory: the workdir of a run, finished or not.
    num_samples, num_images: of the NLL; None for the numbers of the run's config.
    data_path: the .npz file to evaluate on: that of the run, which has moved, or another one.
    data_split: the split of another file to evaluate on, in place of the run's own.

  Raises:
    InputError, DamagedError, InUseError, StorageError: see `vae_jax.errors`. Nothing was written.
    Stopped: by SIGTERM or Ctrl-C, keeping what is done.
  """
  directory = paths.expanded(directory, '--workdir')
  other = others.Other(num_samples, num_images, data_path, data_split)
  extending.go_on(directory)
  facts = others.facts_of(directory)
  config = others.config_with(workdir.read_config(directory), other, facts.columns if facts else ())
  _check_has_checkpoints(directory)
  workdir.check_parts(directory)
  fitted = facts.fitted if facts and other.names_data else None
  built = study.from_config(config, fitted)
  with workdir.holding(directory), stopping.deferred() as signal_number:
    own = others.is_own(built, config, directory, other, fitted)
    workdir.warn_of_another_world(directory, config)
    built = built.at_width(workdir.recorded_width(directory))
    progress = _newest(built, directory)
    if not own:
      built, progress = others.scaled(built, progress)
    target = directory if own else others.directory_of(directory, config, built)
    if own:  # of other data the batch at which a lane diverged is not known
      progress = outcome.explained(built, programs.make_examine(built.training), progress)
      outcome.write_forecast(directory, built.foresight.forecast())
    result = _evaluated(built, target, progress, signal_number)
    if own:
      model_file.write(directory, built)
      _record(built, config, directory)
    manifest.settle(target)
    if own:
      uploading.update(directory)
    return result


def _evaluated(
  built: study.Study,
  target: pathlib.Path,
  progress: Progress,
  signal_number: Callable[[], int],
) -> Outcome:
  """Evaluates a checkpoint and writes tables and pictures."""
  state = outcome.that_counts(progress)
  step = progress.step
  with reports.opened(built.names, built.chosen_on, step, step) as said:
    said.doing('evaluating')
    evaluations = outcome.make_evaluate(built)(state, step)
    kept = outcome.open_kept(built, target, state, signal_number)
    pieces = said.pieces(kept)
    estimates = outcome.estimate(built, state, pieces)
    outcome.write_disentanglement(built, target, state, pieces)
    final = step == built.train.steps or not progress.choice.training
    said.doing('writing tables, pictures and report.html')
    result = outcome.review(built, target, progress, evaluations, estimates, final)
    kept.discard()
  return result


def _check_has_checkpoints(directory: pathlib.Path) -> None:
  """Refuses a run without checkpoints: killed at its start, or gathered from several processes."""
  if records.newest_step(directory) is None and not (directory / 'provenance.json').exists():
    raise errors.InputError(f'--workdir={directory} has no checkpoint yet; train it first')
  count = workdir.read_provenance(directory).get('processes')
  if count:
    shares = ', '.join(f'--workdir={directory}/process-{index}' for index in range(count))
    raise errors.InputError(
      f'--workdir={directory} was gathered from {count} processes, and the checkpoints are in '
      f'theirs; evaluate {shares}'
    )


def _newest(built: study.Study, directory: pathlib.Path) -> Progress:
  """Returns the newest checkpoint, which must not be older than the figures on disk.

  Raises:
    InputError: there is none yet.
    DamagedError: it does not verify, or the journal does not.
  """
  stored = workdir.read_provenance(directory)
  with contextlib.closing(checkpoint.open_manager(directory / 'checkpoints')) as manager:
    progress = states.restored(built, manager)
  if progress is None and not stored.get('finished'):
    raise errors.InputError(f'--workdir={directory} has no checkpoint yet; train it first')
  rows = _rows(directory)
  recorded = stored['step'] if stored.get('finished') and 'step' in stored else 0
  steps = [recorded, records.newest_step(directory) or 0, *(row['step'] for row in rows)]
  reached = max(steps)
  if progress is None or progress.step < reached:
    raise errors.DamagedError(
      f'{directory}/checkpoints/{reached}, of which there are figures, does not verify or is '
      'missing; nothing was evaluated; put it back, or remove it and train to it again with '
      'vae-jax train'
    )
  _check_journal(directory)
  seconds = [stored.get('seconds', 0.0), progress.seconds, *(row['seconds'] for row in rows)]
  return progress._replace(seconds=max(seconds))


def _rows(directory: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the rows of results.csv; none where they cannot be read, as they are written anew."""
  path = directory / 'results.csv'
  try:
    return records.read_results(path) if path.exists() else []
  except errors.DamagedError as error:
    logging.warning('%s; it is made again', error)
    return []


def _check_journal(directory: pathlib.Path) -> None:
  """Checks the journal, from which a picture is drawn, before anything is written."""
  record = directory / workdir.RECORD
  finished = workdir.is_finished(directory)
  what = manifest.faults(directory).get(workdir.RECORD) if finished else None
  if what is not None:
    raise errors.DamagedError(
      f'{record} {what}; nothing was evaluated; vae-jax train with the config of the run mends it'
    )
  if record.exists():
    records.last_step(record)


def _record(built: study.Study, config: Mapping[str, Any], directory: pathlib.Path) -> None:
  """Records which images were evaluated, and where the data lie now."""
  stored = workdir.read_config(directory)
  workdir.record_place(directory, stored | {'data': config['data']})
  workdir.write_provenance(
    directory, workdir.read_provenance(directory) | {'evaluated_on': built.sampling()}
  )
