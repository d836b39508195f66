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

from vae_jax import (
  checkpoint,
  data,
  errors,
  outcome,
  placement,
  programs,
  stopping,
  study,
  tracking,
  workdir,
)
from vae_jax import config as settings
from vae_jax.outcome import Outcome
from vae_jax.train import loop, states

__all__ = ['evaluate', 'run']


def run(
  config: Mapping[str, Any],
  directory: os.PathLike | str,
  asked_to_stop: Callable[[], int] = lambda: 0,
) -> Outcome:
  """Trains every lane of a study as one program and evaluates it; continues a run that stopped.

  A run that is killed at any moment and called again with the same config ends with the same bits
  as one that is not.

  Args:
    config: nested mappings of plain values; see `vae_jax.config.base`, which completes it.
    directory: the workdir: where its files go; see docs/files.md.
    asked_to_stop: returns 0, or the number of the signal as by which to stop.

  Raises:
    InputError, DamagedError, InUseError, StorageError: see `vae_jax.errors`.
    Stopped: by SIGTERM, Ctrl-C or `asked_to_stop`, after saving the state.
  """
  started = time.monotonic()
  config, directory = settings.complete(config), pathlib.Path(directory)
  built = study.from_config(config)
  with _claim(built, config, directory), stopping.deferred(asked_to_stop) as signal_number:
    if workdir.is_finished(directory):
      logging.info('%s is finished already; nothing to train', directory)
      return outcome.read(directory)
    built = _at_recorded_width(built, directory)
    workdir.check_width(directory, built.place.width)
    with contextlib.closing(checkpoint.open_manager(directory / 'checkpoints')) as manager:
      while True:
        try:
          result = _attempt(built, config, directory, manager, started, signal_number)
          break
        except (placement.TooWideError, jax.errors.JaxRuntimeError) as error:
          built = _narrower(built, directory, error)
    workdir.mark_finished(directory)
    return result


def _attempt(
  built: study.Study,
  config: Mapping[str, Any],
  directory: pathlib.Path,
  manager: ocp.CheckpointManager,
  started: float,
  signal_number: Callable[[], int],
) -> Outcome:
  """Trains from the newest checkpoint to the end, at one width."""
  progress, feed, chunk, start = states.restored(built, manager), None, None, None
  if progress is None or progress.step < config['train']['steps']:
    feed = built.feed()
    with futures.ThreadPoolExecutor(1) as pool:  # beside the compiler, which takes longer
      coming = pool.submit(_start, built, config)
      chunk = _compile(built, feed, config['program']['memory_gib'])
    start = coming.result()
    if progress is None and start.advice:
      logging.warning('%s', start.advice)
  progress = states.begin(built, manager, progress)
  attempt = loop.Attempt(
    study=built,
    config=config,
    workdir=directory,
    checkpoints=manager,
    tracker=_open_tracker(built, config, directory, progress.step),
    feed=feed,
    chunk=chunk,
    lanes=placement.laid(built.place, built.lanes),
    start=start,
    evaluate=outcome.make_evaluate(built, config['evaluation']),
    examine=programs.make_examine(built.training),
    started=started - progress.seconds,
    signal_number=signal_number,
  )
  return loop.train_and_finish(attempt, progress)


def _start(built: study.Study, config: Mapping[str, Any]) -> study.Start:
  """Returns where the decoders start, on the images at which they are evaluated."""
  chosen = built.sample('test', config['evaluation']['test_images'])
  return study.start_of(config, built.dataset, built.dataset.test[chosen])


def _compile(built: study.Study, feed: data.Feed, memory_gib: float) -> jax.stages.Compiled:
  """Compiles the training program.

  Raises:
    TooWideError: it needs more memory than there is.
  """
  place, num_lanes = built.place, len(built.points)
  in_turn = f', {place.width} at a time' if num_lanes > place.width else ''
  logging.info('compiling one program for %d lanes%s', num_lanes, in_turn)
  chunk = programs.compile_chunk(built.training, built.lanes, feed.shape)
  shapes = programs.state_shapes(built.training.learner, built.lanes)
  placement.check_fits(place, programs.bytes_of(chunk), shapes, memory_gib)
  return chunk


def _narrower(built: study.Study, directory: pathlib.Path, error: Exception) -> study.Study:
  """Returns the study in programs of half as many lanes, or raises what cannot be helped so."""
  narrower = built.at_width(max(1, built.place.width // 2))
  short = isinstance(error, placement.TooWideError) or placement.is_out_of_memory(error)
  if not short or narrower.place.width == built.place.width:
    raise error
  reason = str(error).splitlines()[0]
  logging.warning('%s; from here on programs of %d lanes', reason, narrower.place.width)
  workdir.record_width(directory, narrower.place.width)
  return narrower


def _at_recorded_width(built: study.Study, directory: pathlib.Path) -> study.Study:
  """Returns the study as its run was started: the last bits depend on the width."""
  return built.at_width(workdir.recorded_width(directory))


def evaluate(
  directory: os.PathLike | str, num_samples: int | None, num_images: int | None
) -> Outcome:
  """Evaluates the newest checkpoint of any run anew and rewrites its results.csv and pictures.

  Args:
    directory: the workdir of a run, finished or not.
    num_samples, num_images: of the NLL; None for the numbers of the run's config.

  Raises:
    InputError, DamagedError, InUseError, StorageError: see `vae_jax.errors`.
    Stopped: by SIGTERM or Ctrl-C, keeping what is done.
  """
  directory = pathlib.Path(directory)
  config = workdir.read_config(directory)
  asked = {'nll_samples': num_samples, 'nll_images': num_images}
  asked = config['evaluation'] | {k: v for k, v in asked.items() if v is not None}
  built = study.from_config(config | {'evaluation': asked})
  with _claim(built, config, directory), stopping.deferred() as signal_number:
    built = _at_recorded_width(built, directory)
    with contextlib.closing(checkpoint.open_manager(directory / 'checkpoints')) as manager:
      progress = states.restored(built, manager)
    if progress is None:
      raise errors.InputError(f'--workdir={directory} has no checkpoint yet; train it first')
    evaluations = outcome.make_evaluate(built, asked)(progress.state, progress.step)
    final = progress.step == config['train']['steps']
    progress = outcome.explained(built, programs.make_examine(built.training), progress)
    kept = outcome.open_kept(built, directory, asked, progress.state, signal_number)
    estimates = outcome.estimate(built, asked, progress.state, kept)
    outcome.write_disentanglement(built, directory, asked, progress.state, kept)
    result, _ = outcome.review(built, directory, progress, evaluations, estimates, final)
    kept.discard()
    return result


def _claim(built: study.Study, config: Mapping, directory: pathlib.Path):
  dataset, width = built.dataset, built.place.width
  provenance = workdir.provenance(dataset.name, dataset.version, dataset.sha256, width)
  provenance['evaluated_on'] = built.sampling(config['evaluation'])
  provenance['data_seen'] = data.seen(dataset, config['data']['standardize'])
  return workdir.claim(directory, config, provenance)


def _open_tracker(
  built: study.Study, config: Mapping, directory: pathlib.Path, step: int
) -> tracking.Tracker:
  return tracking.open_tracker(
    directory,
    built.names,
    [point._asdict() for point in built.points],
    config,
    tracking.Settings(group=built.name, **config['wandb']),
    restored_step=step,
  )
