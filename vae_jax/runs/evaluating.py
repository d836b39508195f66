"""Evaluates the newest checkpoint of a run again, on its own data or on other data."""

import contextlib
import hashlib
import json
import logging
import os
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vae_jax import (
  data,
  densities,
  errors,
  files,
  identity,
  parts,
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
  outcome,
  reports,
  states,
  uploading,
  workdir,
)
from vae_jax.runs.outcome import Outcome, Progress


class Other(NamedTuple):
  """What an evaluation changes in the config of its run; None where it changes nothing."""

  num_samples: int | None = None  # of the NLL
  num_images: int | None = None  # of the NLL
  data_path: str | None = None  # an .npz file: the run's, which has moved, or another
  data_split: str | None = None  # of another: what is evaluated, in place of the run's splits


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
  other = Other(num_samples, num_images, data_path, data_split)
  extending.go_on(directory)
  config = _config_with(workdir.read_config(directory), other, _columns(directory))
  _check_has_checkpoints(directory)
  workdir.check_parts(directory)
  built = study.from_config(config)
  with workdir.holding(directory), stopping.deferred() as signal_number:
    own = _check_data(built, config, directory, other)
    workdir.warn_of_another_world(directory, config)
    built = built.at_width(workdir.recorded_width(directory))
    progress = _newest(built, directory)
    target = directory if own else _beside(directory, config, built)
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
    result, _ = outcome.review(built, target, progress, evaluations, estimates, final)
    kept.discard()
  return result


def _config_with(
  config: dict[str, Any], other: Other, columns: Sequence[densities.Column]
) -> dict[str, Any]:
  """Returns the config of a run with the changes of this evaluation."""
  asked = {'nll_samples': other.num_samples, 'nll_images': other.num_images}
  settings = config['evaluation'] | {k: v for k, v in asked.items() if v is not None}
  source = config['data']
  if other.data_path is not None:
    source = data.moved_to(source, other.data_path, columns)
  if other.data_split is not None:
    split = other.data_split
    source = source | {'train_split': split, 'validation_split': '', 'test_split': split}
  return config | {'evaluation': settings, 'data': source}


def _columns(directory: pathlib.Path) -> tuple[densities.Column, ...]:
  """Returns the columns of the table that a run was trained on, where model.json has them."""
  with contextlib.suppress(errors.DamagedError):  # it is written anew
    facts = model_file.read(directory)
    return facts.columns if facts else ()
  return ()


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


def _check_data(
  built: study.Study, config: Mapping[str, Any], directory: pathlib.Path, other: Other
) -> bool:
  """Returns whether a study has the data of its run.

  Raises:
    InputError: the data differ from the run's without a request for that, or in their shape.
  """
  stored = workdir.read_provenance(directory)
  if built.dataset.sha256 == stored['data_sha256'] and other.data_split is None:
    return True
  where = identity.source(config['data'])
  if other.data_path is None and other.data_split is None:
    raise errors.InputError(
      f'{where} has other data than --workdir={directory} was trained on (sha256 '
      f'{built.dataset.sha256}, and {stored["data_sha256"]}); give --data_path=FILE'
    )
  # The training split of the run decides these, and no checkpoint holds them.
  standardize = config['data']['standardize']
  if standardize != 'none' or built.model.refit is not None:
    key = (
      f'data.standardize={standardize!r}' if standardize != 'none' else "likelihood.scale='optimal'"
    )
    raise errors.InputError(
      f'{key} is fitted to the training split of --workdir={directory}, which {where} '
      'does not have; evaluate the data of the run'
    )
  event = stored.get('event', list(built.event))
  if list(built.event) != event:
    raise errors.InputError(
      f'{where} has examples of shape {list(built.event)}, and --workdir={directory} '
      f'was trained on {event}; give data of that shape'
    )
  return False


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
    records.read_metrics(record)


def _beside(directory: pathlib.Path, config: Mapping[str, Any], built: study.Study) -> pathlib.Path:
  """Makes and returns the directory of figures of other data than the run's.

  Its name is that of the file, and what tells one content of it from another.
  """
  source, sha256 = config['data'], built.dataset.sha256
  chosen_on = [source['validation_split']] if source['validation_split'] else []
  splits = json.dumps([sha256, source['train_split'], source['test_split'], *chosen_on])
  digest = hashlib.sha256(splits.encode()).hexdigest()[:8]
  path = '' if parts.is_from_outside(source['name']) else source.get('path', '')
  name = pathlib.Path(path).stem or re.sub('[/:]', '-', source['name'])
  target = directory / 'evaluations' / f'{name}-{digest}'
  with files.storage_errors(target):
    files.make_directory(target.parent)
    files.make_directory(target)
  manifest.begin(target, workdir.FILES)
  record = {'data': dict(source), 'data_sha256': sha256, 'evaluation': dict(config['evaluation'])}
  manifest.write_text(target / 'evaluation.json', json.dumps(record, indent=2) + '\n')
  logging.info('these are not the data of the run: the figures go to %s', target)
  return target


def _record(built: study.Study, config: Mapping[str, Any], directory: pathlib.Path) -> None:
  """Records which images were evaluated, and where the data lie now."""
  stored = workdir.read_config(directory)
  workdir.record_place(directory, stored | {'data': config['data']})
  workdir.write_provenance(
    directory, workdir.read_provenance(directory) | {'evaluated_on': built.sampling()}
  )
