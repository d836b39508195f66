"""The workspace and the report of a study at W&B, by what the run has on disk."""

import json
import logging
import os
import pathlib
from typing import Any

from vae_jax import errors, files, paths, records
from vae_jax.runs import outcome, uploading, workdir
from vae_jax.tracking import dashboard, fragments

_RECORD = 'dashboard.json'  # in WORKDIR/wandb: what is replaced the next time


def specification(directory: os.PathLike | str) -> dict[str, Any]:
  """Returns what W&B would be sent of a run; no server is asked.

  Raises:
    InputError: it is no run, or has no results yet; or the extra is missing.
    DamagedError: a file is not what was written.
  """
  dashboard.check_installed()
  directory = paths.expanded(directory, '--workdir')
  return dashboard.specification(*dashboard.make(_about(directory), '', ''))


def save(
  directory: os.PathLike | str, entity: str | None = None, project: str | None = None
) -> list[str]:
  """Saves the workspace and the report of a run, or replaces them, and returns their addresses.

  Args:
    directory: the workdir of the run; it may go on.
    entity, project: where its W&B runs are; None for those of its config.

  Raises:
    InputError: see `specification`; or entity or project cannot be one.
    DamagedError: a file is not what was written.
    StorageError: W&B did not take everything.
  """
  dashboard.check_installed()
  directory = paths.expanded(directory, '--workdir')
  place = uploading.config_with(directory, entity, project)['wandb']
  about = _about(directory)
  try:
    return _saved(about, directory / 'wandb', place['entity'], place['project'])
  except (Exception, SystemExit) as error:  # wandb raises whatever it likes, and may exit
    reason = ' '.join(str(error).split()) or type(error).__name__
    raise errors.StorageError(
      f'W&B did not take everything: {reason}; vae-jax upload --workdir={directory} brings it the '
      'runs that a dashboard is of'
    ) from error


def _saved(about: dashboard.About, directory: pathlib.Path, entity: str, project: str) -> list[str]:
  import wandb

  if not wandb.login(prompt=False, verify=False):
    raise ConnectionError('not logged in (run `wandb login`, or set WANDB_API_KEY)')
  entity = entity or wandb.Api().default_entity
  workspace, report = dashboard.make(about, entity, project)
  before = _recorded(directory / _RECORD)
  if (before.get('entity'), before.get('project')) == (entity, project):
    workspace._internal_name, workspace._internal_id = before['workspace']
    report.id = before['report']
  report.save()  # first, as it asks whether there is such a project
  workspace.save()
  found = {
    'entity': entity,
    'project': project,
    'workspace': [workspace._internal_name, workspace._internal_id],
    'report': report.id,
  }
  files.make_directory(directory)
  files.write_text(directory / _RECORD, json.dumps(found, indent=1) + '\n')
  return [workspace.url, report.url]


def _recorded(path: pathlib.Path) -> dict[str, Any]:
  """Returns what a file of WORKDIR/wandb holds; {} where it cannot be read, or is not there."""
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except FileNotFoundError:
    return {}
  except ValueError:
    logging.warning('%s cannot be read', path)
    return {}


def _about(directory: pathlib.Path) -> dashboard.About:
  config, rows = workdir.read_config(directory), records.results_of(directory)
  known = _recorded(directory / 'wandb' / fragments.RECORD)
  suffix = known['suffix'] if known else workdir.read_provenance(directory).get('study_id')
  if not suffix:
    raise errors.InputError(
      f'--workdir={directory} is older than the names of its W&B runs; vae-jax upload first'
    )
  return dashboard.About(
    config['study'],
    fragments.group_of(config['study'], suffix),
    records.chosen_on(rows),
    rows,
    outcome.read_verdict(directory).get('sentences', []),
  )
