"""Uploads a run to W&B by what it has on disk; no data set is needed."""

import contextlib
import logging
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from vae_jax import errors, lane_fields, paths, records, tracking, validation
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
    InputError: it is no run, or has no results yet, or entity or project cannot be one.
    DamagedError: a file is not what was written.
    InUseError: it goes on.
    StorageError: W&B did not take everything.
  """
  directory = paths.expanded(directory, '--workdir')
  config = workdir.read_config(directory)
  given = {'entity': entity, 'project': project}
  asked = {name: value for name, value in given.items() if value is not None}
  config['wandb'] |= {'mode': 'online'} | asked
  checks = validation.keys.of(config)
  for name, value in asked.items():
    checks[f'wandb.{name}'](f'wandb.{name}', value)
  with workdir.holding(directory):
    return _upload(directory, config)


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
  rows = records.results_of(directory)
  fields = [
    {name: row[name] for name in lane_fields.NAMES if row.get(name) is not None} for row in rows
  ]
  metrics = records.read_metrics(directory / workdir.RECORD)
  ended = None
  if workdir.is_finished(directory):
    ended = _ended(directory, rows, max(row['step'] for row in metrics))
  with _as_storage_errors(directory):
    return tracking.upload(
      directory,
      [row['name'] for row in rows],
      fields,
      config,
      workdir.read_provenance(directory),
      tracking.Settings(**config['wandb']),
      metrics,
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


def _ended(directory: pathlib.Path, rows: list[dict[str, Any]], step: int) -> tracking.Ended:
  """Returns what a finished run has come to."""
  images = directory / 'images.npz'
  found = records.read_images(images, len(rows)) if images.exists() else {}
  grids = outcome.lane_grids(found) if found else {}
  return tracking.Ended(step, rows, grids, outcome.results_of(directory))
