"""Trains and evaluates a study: build, restore, loop, log."""

import contextlib
import logging
import os
import pathlib
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from typing import Any

import jax
import orbax.checkpoint as ocp

from vae_jax import config as settings
from vae_jax import (
  data,
  forecast,
  paths,
  placement,
  programs,
  stopping,
  study,
  tracking,
  validation,
)
from vae_jax.runs import checkpoint, loop, model_file, outcome, resuming, states, workdir
from vae_jax.runs.outcome import Outcome


def run(
  config: Mapping[str, Any],
  directory: os.PathLike | str,
  asked_to_stop: Callable[[], int] = lambda: 0,
  from_scratch: bool = False,
) -> Outcome:
  """Trains every lane of a study as one program and evaluates it; continues a run that stopped.

  A run that is killed at any moment and called again with the same config ends with the same bits
  as one that is not. It may be called with another place or manner; see `vae_jax.identity`.

  Args:
    config: nested mappings of plain values; see `vae_jax.config.base`, which completes it.
    directory: the workdir: where its files go; see docs/files.md.
    asked_to_stop: returns 0, or the number of the signal as by which to stop.
    from_scratch: whether a run whose checkpoints are lost may begin again at step 0.

  Raises:
    InputError, DamagedError, InUseError, StorageError: see `vae_jax.errors`.
    Stopped: by SIGTERM, Ctrl-C or `asked_to_stop`, after saving the state.
  """
  started = time.monotonic()
  config, directory = settings.complete(config), paths.expanded(directory, '--workdir')
  workdir.check_parts(directory)
  if (stands := _finished(config, directory)) is not None:
    return stands
  built = study.from_config(config)
  claimed = resuming.claim(built, config, directory)
  with claimed, stopping.deferred(asked_to_stop) as signal_number:
    if (stands := resuming.finished(config, directory)) is not None:
      return stands  # two were started at once, and the other one finished first
    model_file.write(directory, built)
    built = resuming.at_recorded_width(built, directory)
    with contextlib.closing(checkpoint.open_manager(directory / 'checkpoints')) as manager:
      while True:
        try:
          progress = resuming.restored(built, directory, manager, from_scratch)
          result = _attempt(built, config, directory, manager, progress, started, signal_number)
          break
        except (placement.TooWideError, jax.errors.JaxRuntimeError) as error:
          built = _narrower(built, directory, error)
    seconds = max(row['seconds'] for row in result.rows)
    workdir.mark_finished(directory, step=built.train.steps, seconds=seconds)
    return result


def _finished(config: Mapping[str, Any], directory: pathlib.Path) -> Outcome | None:
  """Returns what a finished run has left, before the data are looked for: it does not need them."""
  if validation.problems(config).lines:
    return None  # `study.from_config` says them beside what is wrong with lanes and data
  workdir.check_owner(directory, config)
  if not workdir.is_finished(directory):
    return None
  with workdir.holding(directory):
    return resuming.finished(config, directory)


def _attempt(
  built: study.Study,
  config: Mapping[str, Any],
  directory: pathlib.Path,
  manager: ocp.CheckpointManager,
  progress: outcome.Progress | None,
  started: float,
  signal_number: Callable[[], int],
) -> Outcome:
  """Trains from what was restored to the end, at one width."""
  feed = chunk = start = None
  if progress is None or progress.step < built.train.steps:
    feed = built.feed()
    with futures.ThreadPoolExecutor(1) as pool:  # beside the compiler, which takes longer
      coming = pool.submit(_start, built, config)
      foretelling = pool.submit(study.forecast_of, config, built.dataset)
      chunk = _compile(built, feed)
    start = coming.result()
    _foretell(built, directory, foretelling.result())
    if progress is None:
      for advice in (start.advice, study.cut_short(config, built.names, built.lanes)):
        if advice:
          logging.warning('%s', advice)
  progress = states.begin(built, manager, progress)
  attempt = loop.Attempt(
    study=built,
    workdir=directory,
    checkpoints=manager,
    tracker=_open_tracker(built, config, directory, progress.step),
    feed=feed,
    chunk=chunk,
    lanes=placement.on_devices(built.place, built.lanes),
    start=start,
    evaluate=outcome.make_evaluate(built),
    examine=programs.make_examine(built.training),
    started=started - progress.seconds,
    signal_number=signal_number,
  )
  return loop.train_and_finish(attempt, progress)


def _start(built: study.Study, config: Mapping[str, Any]) -> study.Start:
  """Returns where the decoders start, on the images at which they are evaluated."""
  split = built.chosen_on
  chosen = built.sample(split, built.evaluation.images(split))
  return study.start_of(config, built.dataset, built.dataset.split(split)[chosen])


def _foretell(built: study.Study, directory: pathlib.Path, found: forecast.Forecast | None) -> None:
  """Writes the forecast of collapse and says what it holds for the lanes, once."""
  if found is None or (directory / 'forecast.csv').exists():
    return
  outcome.write_forecast(directory, found)
  if line := study.foretold(found, built.points):
    logging.info('%s', line)


def _compile(built: study.Study, feed: data.Feed) -> jax.stages.Compiled:
  """Compiles the training program.

  Raises:
    TooWideError: it needs more memory than there is.
  """
  place, num_lanes = built.place, len(built.points)
  in_turn = f', {place.width} at a time' if num_lanes > place.width else ''
  lanes = 'lane' if num_lanes == 1 else 'lanes'
  logging.info('compiling one program for %d %s%s', num_lanes, lanes, in_turn)
  chunk = programs.compile_chunk(built.training, built.lanes, feed.shape)
  shapes = programs.state_shapes(built.training.learner, built.lanes)
  placement.check_fits(place, programs.bytes_of(chunk), shapes, built.program.memory_gib)
  return chunk


def _narrower(built: study.Study, directory: pathlib.Path, error: Exception) -> study.Study:
  """Returns the study in programs of half as many lanes, or re-raises any other error."""
  narrower = built.at_width(max(1, built.place.width // 2))
  short = isinstance(error, placement.TooWideError) or placement.is_out_of_memory(error)
  if not short or narrower.place.width == built.place.width:
    raise error
  reason = str(error).splitlines()[0]
  logging.warning('%s; from here on programs of %d lanes', reason, narrower.place.width)
  workdir.record_width(directory, narrower.place.width)
  return narrower


def _open_tracker(
  built: study.Study, config: Mapping, directory: pathlib.Path, step: int
) -> tracking.Tracker:
  return tracking.open_tracker(
    directory,
    built.names,
    built.points,
    config,
    tracking.Settings(group=built.name, **config['wandb']),
    restored_step=step,
  )
