"""The one place where a training loop reports: journal first, then the copy in W&B."""

import functools
import itertools
import logging
import operator
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vae_jax.records import journal
from vae_jax.tracking import choosing, wandb_runs, worker
from vae_jax.tracking.results import Results
from vae_jax.tracking.settings import Settings

_MODES = ('online', 'offline', 'disabled')
_CALL_SECONDS = 60.0  # to open all runs, or to log a row of each
_CLOSE_SECONDS = 15.0  # for what is left, and the uploads
_ABANDON_SECONDS = 2.0

_log = logging.getLogger(__name__)


class Tracker:
  """What `open_tracker` returns: the open journal, and a thread that copies it to W&B."""

  def __init__(
    self,
    record: journal.Journal,
    runs: wandb_runs.WandbRuns | None,
    settings: Settings,
    lanes: int,
    later: str,
  ):
    self._journal = record
    self._runs = runs
    self._settings = settings
    self._lanes = lanes
    self._done = set()
    self._worker = (
      worker.Worker(_CALL_SECONDS, functools.partial(_warn, later)) if runs is not None else None
    )

  @property
  def shown(self) -> list[int]:
    """The lanes that W&B shows while they train; none where there is no W&B."""
    return [] if self._runs is None else choosing.while_training(self._settings, self._lanes)

  def shown_at_end(
    self, rows: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any]
  ) -> list[int]:
    """Returns the lanes that W&B shows at the end, by the rows of results.csv and verdict.json."""
    return [] if self._runs is None else choosing.at_end(self._settings, rows, verdict)

  @property
  def last_step(self) -> int:
    """The last step in metrics.jsonl, -1 before the first write."""
    return self._journal.last_step

  def write(
    self, step: int, metrics: Mapping[str, jax.Array], lanes: Sequence[int] | None = None
  ) -> None:
    """Records one log point: moves all metrics [n] to the host at once, then writes them.

    Args:
      step: of the log point.
      metrics: by name.
      lanes: the n lanes that they are of; None for all.

    Raises:
      ValueError: a metric is not [n], or the step stands in metrics.jsonl already.
      StorageError: metrics.jsonl cannot be written. W&B never raises.
    """
    lanes = range(self._lanes) if lanes is None else lanes
    rows = journal.rows_of(step, jax.device_get(dict(metrics)), lanes)
    self._journal.append(step, rows)
    self._submit(lambda: self._runs.log(step, rows))

  def show(
    self,
    step: int,
    lanes: Sequence[int],
    rates: Sequence[np.ndarray],
    images: Mapping[str, Sequence[np.ndarray]],
  ) -> None:
    """Gives W&B, beside the row of n lanes at a step, what metrics.jsonl does not hold.

    Args:
      step: of the last row.
      lanes: the n lanes.
      rates: of the latents of each lane, in nats; drawn as a histogram.
      images: name -> one uint8 picture [H, W] or [H, W, 3] for each of them.

    Raises:
      ValueError: not one uint8 picture per lane.
    """
    pictures = _checked(images, range(len(lanes)))
    self._submit(lambda: self._runs.show(step, lanes, rates, pictures))

  def summarise(
    self,
    step: int,
    rows: Sequence[Mapping[str, Any]],
    images: Mapping[str, Mapping[int, np.ndarray]],
    results: Results,
  ) -> None:
    """Gives W&B what a run has come to; nothing of it goes to metrics.jsonl.

    A lane whose row says `done` or `stopped` will be closed as finished, whatever the program's
    exit code.

    Args:
      step: the last one.
      rows: of results.csv.
      images: name -> lane -> uint8 picture [H, W] or [H, W, 3], of those of `shown_at_end`.
      results: of the study.

    Raises:
      ValueError: not one uint8 picture for each of them.
    """
    pictures = _checked(images, self.shown_at_end(rows, results.verdict))
    self._done = {row['lane'] for row in rows if row['status'] in ('done', 'stopped')}
    self._submit(lambda: self._runs.summarise(step, rows, pictures, results))

  def close(self, exit_code: int) -> None:
    """Flushes and ends everything, W&B whether it answers or not. May be called again."""
    self._journal.close()
    if self._worker is None:
      return
    codes = [0 if lane in self._done else exit_code for lane in range(self._lanes)]
    if not self._worker.close(lambda: self._runs.finish(codes), _CLOSE_SECONDS):
      nothing_to_say = worker.Worker(_ABANDON_SECONDS, lambda _: None)
      nothing_to_say.close(self._runs.abandon, _ABANDON_SECONDS)
    self._worker = None

  def _open_wandb(
    self,
    names: Sequence[str],
    lane_fields: Sequence[Mapping[str, Any]],
    config: Mapping[str, Any],
    provenance: Mapping[str, Any],
    path: pathlib.Path,
    restored_step: int,
  ) -> None:
    """Opens the runs, and logs from metrics.jsonl what earlier starts have not brought to W&B."""
    self._runs.open(names, lane_fields, config, provenance)
    if self._runs.held_step() >= restored_step:
      return
    rows = journal.rows_where(
      lambda lane, step: step <= restored_step and self._runs.lacks(lane, step), path
    )
    for step, rows_of_step in itertools.groupby(rows, operator.itemgetter('step')):
      self._runs.log(step, list(rows_of_step))
      self._worker.advance()

  def _submit(self, act: worker.Act) -> None:
    if self._worker is not None:
      self._worker.submit(act)


def open_tracker(
  workdir: os.PathLike | str,
  names: Sequence[str],
  lane_fields: Sequence[Mapping[str, Any]],
  config: Mapping[str, Any],
  provenance: Mapping[str, Any],
  settings: Settings,
  restored_step: int,
) -> Tracker:
  """Opens metrics.jsonl in `workdir`, and the W&B runs unless W&B is disabled.

  Args:
    workdir: the directory of the training run; it exists.
    names: names of the lanes (b4-z10-s0), all different; W&B run ids begin with them.
    lane_fields: the hyperparameters of each lane; they stand on top of its W&B config.
    config: the whole config, a plain nested dict.
    provenance: what provenance.json holds; runs of W&B are named after its study id.
    settings: see `Settings`.
    restored_step: the step of the checkpoint that the run continues from, 0 for a new run.
      Later rows of metrics.jsonl are removed: the run writes them again.

  Raises:
    ValueError: an unknown mode.
    DamagedError: metrics.jsonl has a line that cannot be read.
    StorageError: metrics.jsonl cannot be written.
  """
  if settings.mode not in _MODES:
    raise ValueError(f'mode {settings.mode!r} is none of {", ".join(_MODES)}')
  path = pathlib.Path(workdir) / 'metrics.jsonl'
  record = journal.open_journal(path, restored_step)
  disabled = settings.mode == 'disabled'
  runs = None if disabled else wandb_runs.WandbRuns(path.parent / 'wandb', settings)
  tracker = Tracker(record, runs, settings, len(names), f'vae-jax upload --workdir={path.parent}')
  tracker._submit(
    lambda: tracker._open_wandb(names, lane_fields, config, provenance, path, restored_step)
  )
  return tracker


def _checked(
  images: Mapping[str, Sequence[np.ndarray] | Mapping[int, np.ndarray]], places: Sequence[int]
) -> dict[str, dict[int, np.ndarray]]:
  """Returns name -> place -> picture; raises ValueError where they are not one of uint8 each."""
  for name, image in images.items():
    if len(image) != len(places) or any(image[i].dtype != np.uint8 for i in places):
      raise ValueError(f'images {name!r}: expected {len(places)} pictures of uint8')
  return {name: {i: image[i] for i in places} for name, image in images.items()}


def _warn(later: str, error: BaseException) -> None:
  _log.warning(
    'W&B tracking stopped (metrics.jsonl has everything; later: %s): %s: %s',
    later,
    type(error).__name__,
    worker.first_line(error),
  )
