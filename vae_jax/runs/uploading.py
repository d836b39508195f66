"""Uploads a run to W&B by what it has on disk; no data set is needed."""

import contextlib
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from vae_jax import errors, lanes, paths, records, study, tracking, validation
from vae_jax.runs import outcome, workdir


def upload(
  directory: os.PathLike | str, entity: str | None = None, project: str | None = None
) -> str:
  """Brings to W&B what its server lacks of a run, finished or not, and returns the address.

  Every row of metrics.jsonl stands there once, however often this is called, and whether the run
  was tracked online, offline or not at all.

  Args:
    directory: the workdir of the run.
    entity, project: where it goes; None for those of its config.

  Raises:
    InputError: it is no run, or has no rows yet, or entity or project cannot be one.
    DamagedError: a file is not what was written.
    InUseError: it goes on.
    StorageError: W&B did not take everything.
  """
  directory = paths.expanded(directory, '--workdir')
  config = config_with(directory, entity, project)
  with workdir.holding(directory):
    return _upload(directory, config)


def config_with(directory: pathlib.Path, entity: str | None, project: str | None) -> dict[str, Any]:
  """Returns the config of a run that goes to W&B, with entity and project where they are given.

  Raises:
    InputError: it is no run, or entity or project cannot be one.
  """
  config = workdir.read_config(directory)
  given = {'entity': entity, 'project': project}
  asked = {name: value for name, value in given.items() if value is not None}
  config['wandb'] |= {'mode': 'online'} | asked
  checks = validation.keys.of(config)
  for name, value in asked.items():
    checks[f'wandb.{name}'](f'wandb.{name}', value)
  return config


def update(directory: pathlib.Path) -> None:
  """Brings what was evaluated anew to W&B, where the run is tracked; the directory is held."""
  config = workdir.read_config(directory)
  mode = config['wandb']['mode']
  if mode == 'offline':
    logging.info('W&B has the figures of before; vae-jax upload --workdir=%s updates it', directory)
  elif mode == 'online':
    try:
      _upload(directory, config)
    except errors.StorageError as error:
      logging.warning('%s', error)


def _upload(directory: pathlib.Path, config: dict[str, Any]) -> str:
  """Uploads a run whose directory is held; see `upload`."""
  record = directory / workdir.RECORD
  step = records.last_step(record) if record.exists() else None
  if step is None:
    raise errors.InputError(
      f'--workdir={directory} has nothing to upload; the first rows come with the first log point '
      'of vae-jax train'
    )
  provenance = workdir.read_provenance(directory)
  # What has no shape there is older than other units of beta.
  points = study.in_nats(study.grid_of(config), config, provenance.get('event', ()))
  ended = None
  if workdir.is_finished(directory):
    settings = tracking.Settings(**config['wandb'])
    ended = _ended(directory, step, settings)
  with _as_storage_errors(directory):
    return tracking.upload(
      directory,
      lanes.names(points),
      points,
      config,
      provenance,
      tracking.Settings(**config['wandb']),
      records.rows_where(lambda lane, step: True, record),
      ended,
    )


@contextlib.contextmanager
def _as_storage_errors(directory: pathlib.Path) -> Iterator[None]:
  try:
    yield
  except ConnectionError as error:
    raise errors.StorageError(
      f'W&B did not take everything: {error}; vae-jax upload --workdir={directory} goes on'
    ) from error


def _ended(directory: pathlib.Path, step: int, settings: tracking.Settings) -> tracking.Ended:
  """Returns what a finished run has come to."""
  rows, results = records.results_of(directory), outcome.results_of(directory)
  lanes = tracking.at_end(settings, rows, results.verdict)
  grids = outcome.grids_of(directory, len(rows), lanes)
  return tracking.Ended(step, rows, grids, results)
