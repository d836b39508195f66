"""Trains and evaluates a study: build, restore, loop, log. The only loop of the codebase."""

import contextlib
import hashlib
import json
import logging
import os
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
import tqdm

from vae_jax import (
  checkpoint,
  data,
  errors,
  evaluation,
  outcome,
  placement,
  programs,
  stopping,
  study,
  tracking,
  workdir,
)
from vae_jax.outcome import Outcome, Progress


class Attempt(NamedTuple):
  """One process's work on a study: what the loop reads and writes to."""

  study: study.Study
  config: Mapping[str, Any]
  workdir: pathlib.Path
  checkpoints: ocp.CheckpointManager
  tracker: tracking.Tracker
  # The training program and what it reads; None where no step is left.
  feed: data.Feed | None
  chunk: jax.stages.Compiled | None
  evaluate: Callable[[programs.States, int], Mapping[str, evaluation.Evaluation]]
  started: float  # on the monotonic clock, less the seconds of earlier attempts
  signal_number: Callable[[], int]  # 0 until somebody asks to stop


def run(config: Mapping[str, Any], directory: os.PathLike | str) -> Outcome:
  """Trains every lane of a study as one program and evaluates it; continues a run that stopped.

  A run that is killed at any moment and called again with the same config ends with the same bits
  as one that is not.

  Args:
    config: nested mappings of plain values, see `validation.CHECKS`.
    directory: the workdir: where its files go (README, "What a run leaves on disk").

  Raises:
    InputError, DamagedError, InUseError, StorageError: see `vae_jax.errors`.
    Stopped: by SIGTERM or Ctrl-C, after saving the state.
  """
  started = time.monotonic()
  directory = pathlib.Path(directory)
  built = study.from_config(config)
  with _claim(built, config, directory), stopping.deferred() as signal_number:
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
  progress, feed, chunk = _restored(built, manager), None, None
  if progress is None or progress.step < config['train']['steps']:
    feed = built.feed()
    chunk = _compile(built, feed, config['program']['memory_gib'])
  progress = _begin(built, manager, progress)
  attempt = Attempt(
    study=built,
    config=config,
    workdir=directory,
    checkpoints=manager,
    tracker=_open_tracker(built, config, directory, progress.step),
    feed=feed,
    chunk=chunk,
    evaluate=outcome.make_evaluate(built, config['evaluation']),
    started=started - progress.seconds,
    signal_number=signal_number,
  )
  return _train_and_finish(attempt, progress)


def _compile(built: study.Study, feed: data.Feed, memory_gib: float) -> jax.stages.Compiled:
  """Compiles the training program.

  Raises:
    TooWideError: it needs more memory than there is.
  """
  place, num_lanes = built.place, len(built.points)
  in_turn = f', {place.width} at a time' if num_lanes > place.width else ''
  logging.info('compiling one program for %d lanes%s', num_lanes, in_turn)
  chunk = programs.compile_chunk(built.training, built.lanes, feed.shape)
  states = programs.state_shapes(built.training.learner, built.lanes)
  placement.check_fits(place, programs.bytes_of(chunk), states, memory_gib)
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
  """
  directory = pathlib.Path(directory)
  config = workdir.read_config(directory)
  asked = {'nll_samples': num_samples, 'nll_images': num_images}
  settings = config['evaluation'] | {k: v for k, v in asked.items() if v is not None}
  built = study.from_config(config | {'evaluation': settings})
  with _claim(built, config, directory):
    built = _at_recorded_width(built, directory)
    with contextlib.closing(checkpoint.open_manager(directory / 'checkpoints')) as manager:
      progress = _restored(built, manager)
    if progress is None:
      raise errors.InputError(f'--workdir={directory} has no checkpoint yet; train it first')
    evaluations = outcome.make_evaluate(built, settings)(progress.state, progress.step)
    final = progress.step == config['train']['steps']
    estimates = outcome.estimate(built, settings, progress.state)
    outcome.write_disentanglement(built, directory, settings, progress.state)
    return outcome.review(built, directory, progress, evaluations, estimates, final)[0]


def _claim(built: study.Study, config: Mapping, directory: pathlib.Path):
  dataset, width = built.dataset, built.place.width
  provenance = workdir.provenance(dataset.name, dataset.version, dataset.sha256, width)
  return workdir.claim(directory, config, provenance)


def _begin(
  built: study.Study, manager: ocp.CheckpointManager, progress: Progress | None
) -> Progress:
  """Continues from what was restored, or writes the initial state as step 0."""
  if progress is None:
    state = programs.init(built.training.learner, built.lanes, built.place)
    progress = Progress(0, state, {}, [None] * len(built.points), 0.0, 0.0)
    _save(manager, progress)
  else:
    logging.info('continuing from step %d', progress.step)
    checkpoint.forget_after(manager, progress.step)
  return progress


def _restored(built: study.Study, manager: ocp.CheckpointManager) -> Progress | None:
  like = programs.state_shapes(built.training.learner, built.lanes)
  found = checkpoint.restore_newest(manager, like)
  return found and Progress(found.step, found.state, **found.record)


def _save(manager: ocp.CheckpointManager, progress: Progress) -> None:
  record = progress._asdict()
  step, state = record.pop('step'), record.pop('state')
  checkpoint.save(manager, step, placement.joined(state), record)


def _open_tracker(
  built: study.Study, config: Mapping, directory: pathlib.Path, step: int
) -> tracking.Tracker:
  identity = json.dumps([config, str(directory.resolve())], sort_keys=True)
  return tracking.open_tracker(
    directory,
    built.names,
    [point._asdict() for point in built.points],
    config,
    tracking.Settings(group=built.name, **config['wandb']),
    restored_step=step,
    sweep_hash=hashlib.sha256(identity.encode()).hexdigest()[:8],
  )


def _train_and_finish(attempt: Attempt, progress: Progress) -> Outcome:
  """Closes the tracker with the exit code that the program will have."""
  exit_code = 1
  try:
    result = _finish(attempt, _loop(attempt, progress))
    exit_code = result.exit_code
    return result
  except errors.Stopped as stopped:
    exit_code = stopped.exit_code
    raise
  finally:
    attempt.tracker.close(exit_code)


def _loop(attempt: Attempt, progress: Progress) -> Progress:
  """Trains to the last step; every log point is a place to stop."""
  total = attempt.config['train']['steps']
  if progress.step == total:
    return progress
  with tqdm.tqdm(total=total, initial=progress.step, unit='step', disable=None) as bar:
    while progress.step < total:
      progress, metrics = _advance(attempt, progress)
      signal_number = attempt.signal_number()  # read once: what is raised below was saved here
      _log(attempt, progress, metrics, save=signal_number != 0)
      elbos = [elbo for elbo in outcome.host(metrics)['batch/elbo'] if elbo is not None]
      best = max(elbos, default=float('nan'))
      bar.set_postfix_str(f'best ELBO {best:.2f} nats, {len(attempt.study.points)} lanes')
      bar.update(progress.step - bar.n)
      if bar.disable and 'test/elbo' in metrics:  # no terminal: a line for the log instead
        logging.info('step %d of %d, best batch ELBO %.2f nats', progress.step, total, best)
      if signal_number and progress.step < total:
        raise errors.Stopped(
          signal_number, f'stopped and saved at step {progress.step}; the same command continues'
        )
  return progress


def _advance(attempt: Attempt, progress: Progress) -> tuple[Progress, dict[str, Any]]:
  """Trains to the next log point, and evaluates there if it is time."""
  settings, total = attempt.config['train'], attempt.config['train']['steps']
  stop = _next_log_point(progress.step, settings)
  began = time.monotonic()
  built = attempt.study
  state, metrics = programs.take_chunk(
    built.training, attempt.chunk, progress.state, built.lanes, attempt.feed, progress.step, stop
  )
  jax.block_until_ready(state)
  training_seconds = progress.training_seconds + time.monotonic() - began
  evaluated, collapsed_at = progress.evaluated, progress.collapsed_at
  if stop % settings['evaluate_every'] == 0 or stop == total:
    new = outcome.metrics_of(attempt.evaluate(state, stop))
    metrics = metrics | new
    evaluated = outcome.host(new)
    collapsed_at = outcome.collapsed(built, progress, stop, evaluated['test/active_units'])
  seconds = time.monotonic() - attempt.started
  return Progress(stop, state, evaluated, collapsed_at, seconds, training_seconds), metrics


def _next_log_point(step: int, settings: Mapping[str, Any]) -> int:
  """Returns the next multiple of log_every, power of two where asked for, or the last step."""
  every = settings['log_every']
  points = [(step // every + 1) * every, settings['steps']]
  if settings['log_powers_of_two']:
    points.append(1 << step.bit_length())
  return min(points)


def _log(attempt: Attempt, progress: Progress, metrics: Mapping[str, Any], save: bool) -> None:
  """Writes the metrics, then results.csv and a checkpoint where they are due.

  The checkpoint comes last: what it does not cover is written again by the next attempt.
  """
  settings, step = attempt.config['train'], progress.step
  last = step == settings['steps']
  attempt.tracker.write(step, metrics)
  if step % settings['evaluate_every'] == 0 or last:
    outcome.write_results(attempt.study, attempt.workdir, progress, final=False)
  if step % settings['checkpoint_every'] == 0 or last or save:
    _save(attempt.checkpoints, progress)


def _finish(attempt: Attempt, progress: Progress) -> Outcome:
  """Adds the NLL, the final rows and the pictures."""
  if signal_number := attempt.signal_number():
    raise errors.Stopped(signal_number, 'stopped after training; the same command evaluates')
  built, directory, settings = attempt.study, attempt.workdir, attempt.config['evaluation']
  evaluations = attempt.evaluate(progress.state, progress.step)
  estimates = outcome.estimate(built, settings, progress.state)
  outcome.write_disentanglement(built, directory, settings, progress.state)
  progress = progress._replace(seconds=time.monotonic() - attempt.started)
  result, images = outcome.review(built, directory, progress, evaluations, estimates, final=True)
  if images is not None:
    attempt.tracker.write_images(progress.step, outcome.lane_grids(images))
  attempt.tracker.summarise(result.rows, {path.stem: path for path in result.pictures})
  return result
