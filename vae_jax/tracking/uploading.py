"""Brings to the W&B server what it has not got of a run: from metrics.jsonl, and what came of it.

What lies in offline fragments goes first, by `wandb sync`, as it has pictures that metrics.jsonl
has not. Then only what the server says it holds counts.
"""

import contextlib
import itertools
import operator
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae_jax.tracking import fragments, wandb_runs, worker
from vae_jax.tracking.results import Results
from vae_jax.tracking.settings import Settings

_SYNC_SECONDS = 600.0


class Ended(NamedTuple):
  """What a run that is finished has come to; see `Tracker.summarise`."""

  step: int
  rows: Sequence[Mapping[str, Any]]
  images: Mapping[str, Mapping[int, np.ndarray]]
  results: Results


def upload(
  workdir: os.PathLike | str,
  names: Sequence[str],
  lane_fields: Sequence[Mapping[str, Any]],
  config: Mapping[str, Any],
  provenance: Mapping[str, Any],
  settings: Settings,
  metrics: Iterable[Mapping[str, Any]],
  ended: Ended | None,
) -> str:
  """Uploads every row of every lane that the server lacks, and the summaries of a finished run.

  Args:
    workdir, names, lane_fields, config, provenance, settings: see `open_tracker`; online.
    metrics: the rows of metrics.jsonl.
    ended: what the run has come to, None where it is not finished.

  Returns:
    The address of the run of the study.

  Raises:
    ConnectionError: the server cannot be reached, refuses, or did not take everything. What it has
      got it keeps, and nothing of it comes there twice.
  """
  directory = pathlib.Path(workdir) / 'wandb'
  runs = wandb_runs.WandbRuns(directory, settings, patient=True)
  try:
    if directory.exists():
      fragments.look(directory, provenance.get('study_id'))  # mends what a kill has torn
      _sync(directory)
    runs.open(names, lane_fields, config, provenance)
    for step, rows in itertools.groupby(metrics, operator.itemgetter('step')):
      runs.log(step, list(rows))
    if ended is not None:
      runs.summarise(*ended)
    address = runs.address
    statuses = {} if ended is None else {row['lane']: row['status'] for row in ended.rows}
    done = [statuses.get(lane) in ('done', 'stopped') for lane in range(len(names))]
    runs.finish([0 if each else 1 for each in done])
    return address
  except (Exception, SystemExit) as error:  # wandb may exit, too
    with contextlib.suppress(Exception, SystemExit):  # what it says is no news
      runs.abandon()
    raise ConnectionError(f'{type(error).__name__}: {worker.first_line(error)}') from error


def _sync(directory: pathlib.Path) -> None:
  """Uploads the offline fragments that W&B has not marked as uploaded.

  Raises:
    RuntimeError: W&B could not.
  """
  paths = sorted(directory.glob('offline-run-*/run-*.wandb'))
  waiting = [str(p.parent) for p in paths if not p.with_name(f'{p.name}.synced').exists()]
  if not waiting:
    return
  command = [sys.executable, '-m', 'wandb', 'sync', *waiting]
  done = subprocess.run(
    command, capture_output=True, stdin=subprocess.DEVNULL, text=True, timeout=_SYNC_SECONDS
  )
  if done.returncode:
    said = (done.stderr or done.stdout).strip().splitlines()
    raise RuntimeError(f'wandb sync failed: {said[-1] if said else done.returncode}')
