"""The one place where a training loop reports: journal first, then the copy in W&B."""

import logging
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vae_jax.tracking import journal, wandb_runs

_MODES = ('online', 'offline', 'disabled')

_log = logging.getLogger(__name__)


class Tracker:
  """What `open_tracker` returns: open handles, and which steps W&B has already."""

  def __init__(
    self,
    record: journal.Journal,
    runs: wandb_runs.WandbRuns | None,
    field_names: Sequence[str],
    lanes: int,
    logged_step: int,
  ):
    self._journal = record
    self._runs = runs
    self._field_names = field_names
    self._lanes = lanes
    self._done = set()
    self._logged_step = logged_step
    self._wandb_works = runs is not None

  @property
  def last_step(self) -> int:
    """The last step in metrics.jsonl, -1 before the first write."""
    return self._journal.last_step

  def write(self, step: int, metrics: Mapping[str, jax.Array]) -> None:
    """Records one log point: moves all metrics [G] to the host at once, then writes them.

    Raises:
      ValueError: a metric is not [G], or the step stands in metrics.jsonl already.
      StorageError: metrics.jsonl cannot be written. W&B never raises.
    """
    rows = journal.rows_of(step, jax.device_get(dict(metrics)), self._lanes)
    self._journal.append(step, rows)
    if step > self._logged_step:
      self._try_wandb(lambda: self._runs.log(step, rows))

  def write_images(self, step: int, images: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Logs, for every name, one uint8 picture [H, W] or [H, W, 3] per lane; W&B only.

    Raises:
      ValueError: not one uint8 picture per lane.
    """
    pictures = {name: [np.asarray(p) for p in image] for name, image in images.items()}
    for name, image in pictures.items():
      if len(image) != self._lanes or any(picture.dtype != np.uint8 for picture in image):
        raise ValueError(f'images {name!r}: expected {self._lanes} pictures of uint8')
    # Not at a later step only: a run that was stopped after its last step still owes its pictures.
    if step >= self._logged_step:
      self._try_wandb(lambda: self._runs.log_images(step, pictures))

  def summarise(
    self,
    rows: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, os.PathLike | str] | None = None,
  ) -> None:
    """Gives W&B the final rows of results.csv, and picture files (name -> path) of the study.

    A lane whose row says `done` will be closed as finished, whatever the program's exit code.
    """
    self._done = {row['lane'] for row in rows if row['status'] == 'done'}
    self._try_wandb(lambda: self._runs.summarise(rows, self._field_names, pictures or {}))

  def close(self, exit_code: int) -> None:
    """Flushes and ends everything; W&B gets a minute for its uploads. May be called again."""
    self._journal.close()
    codes = [0 if lane in self._done else exit_code for lane in range(self._lanes)]
    if self._runs is not None:
      self._attempt(lambda: self._runs.finish(codes))  # also after a failure: data lies on the disk

  def _try_wandb(self, act: Callable[[], None]) -> None:
    if self._wandb_works:
      self._attempt(act)

  def _attempt(self, act: Callable[[], None]) -> None:
    """Acts on W&B; the first exception is a warning and the end of tracking there."""
    try:
      act()
    except Exception as error:  # W&B is a copy: nothing of it may end a training run
      if self._wandb_works:
        _warn(error)
      self._wandb_works = False


def open_tracker(
  workdir: os.PathLike | str,
  names: Sequence[str],
  lane_fields: Sequence[Mapping[str, Any]],
  config: Mapping[str, Any],
  settings: wandb_runs.Settings,
  restored_step: int,
  sweep_hash: str,
) -> Tracker:
  """Opens metrics.jsonl in `workdir`, and one W&B run per lane unless W&B is disabled.

  Args:
    workdir: the directory of the training run; it exists.
    names: names of the lanes (b4-z10-s0), all different; W&B run ids are `<name>-<sweep_hash>`.
    lane_fields: the hyperparameters of each lane; they stand in its W&B config under `lane`.
    config: the whole config, a plain nested dict.
    settings: see `Settings`.
    restored_step: the step of the checkpoint that the run continues from, 0 for a new run.
      Later rows of metrics.jsonl are removed: the run writes them again.
    sweep_hash: tells this run's W&B ids from those of other runs with the same lanes.

  Raises:
    ValueError: an unknown mode.
    DamagedError: metrics.jsonl has a line that cannot be read.
    StorageError: metrics.jsonl cannot be written.
  """
  if settings.mode not in _MODES:
    raise ValueError(f'mode {settings.mode!r} is none of {", ".join(_MODES)}')
  path = pathlib.Path(workdir) / 'metrics.jsonl'
  runs, logged_step = _prepare_wandb(path.parent / 'wandb', settings, sweep_hash, path)
  record = journal.open_journal(path, restored_step)
  tracker = Tracker(record, runs, tuple(lane_fields[0]), len(names), logged_step)
  tracker._try_wandb(lambda: runs.open_lanes(names, lane_fields, config))
  return tracker


def _prepare_wandb(
  directory: pathlib.Path, settings: wandb_runs.Settings, sweep_hash: str, path: pathlib.Path
) -> tuple[wandb_runs.WandbRuns | None, int]:
  """Returns the runs, not opened yet and None if there are none, and the step that W&B has."""
  last_step = journal.last_step(path)
  if settings.mode == 'disabled':
    return None, last_step
  runs = wandb_runs.WandbRuns(directory, settings, sweep_hash)
  try:
    return runs, runs.prepare(last_step)
  except Exception as error:  # W&B is a copy: nothing of it may end a training run
    _warn(error)
    return None, last_step


def _warn(error: Exception) -> None:
  _log.warning(
    'W&B tracking stopped (metrics.jsonl has everything): %s: %s',
    type(error).__name__,
    wandb_runs.first_line(error),
  )
