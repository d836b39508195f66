"""One attempt at a study: from the step it starts with to the review. The loop of the codebase."""

import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp
import tqdm

from vae_jax import data, errors, evaluation, programs, records, study, tracking
from vae_jax.runs import outcome, states
from vae_jax.runs.outcome import Outcome, Progress
from vae_jax.runs.reports import Reports

Evaluations = Mapping[str, evaluation.Evaluation]  # of the splits, by name


class Attempt(NamedTuple):
  """One process's work on a study: what the loop reads and writes to."""

  study: study.Study
  workdir: pathlib.Path
  checkpoints: ocp.CheckpointManager
  tracker: tracking.Tracker
  # The training program, what it reads and where it starts; None where no step is left.
  feed: data.Feed | None
  chunk: jax.stages.Compiled | None
  lanes: Any  # of the study, on the devices
  start: study.Start | None
  evaluate: Callable[..., Evaluations]  # see `outcome.make_evaluate`
  examine: Callable[..., programs.Findings]
  started: float  # on the monotonic clock, less the seconds of earlier attempts
  signal_number: Callable[[], int]  # 0 until a stop is requested


def train_and_finish(attempt: Attempt, progress: Progress) -> Outcome:
  """Trains, evaluates, and closes the tracker with the exit code of the program."""
  exit_code = 1
  try:
    result = _finish(attempt, *_loop(attempt, progress))
    exit_code = result.exit_code
    return result
  except errors.Stopped as stopped:
    exit_code = stopped.exit_code
    raise
  finally:
    attempt.tracker.close(exit_code)


def _loop(attempt: Attempt, progress: Progress) -> tuple[Progress, Evaluations | None]:
  """Trains to the last step; every log point is a place to stop.

  Returns:
    The progress there, and the evaluations of its state; None where no step was left.
  """
  total, evaluations = attempt.study.train.steps, None
  if progress.step == total:
    return progress, evaluations
  reports = Reports(attempt.study.names, progress.step, total)
  with tqdm.tqdm(total=total, initial=progress.step, unit='step', disable=None) as bar:
    while progress.step < total:
      progress, metrics, evaluations = _advance(attempt, progress)
      signal_number = (
        attempt.signal_number()
      )  # read once, so that what is raised below has been saved
      _log(attempt, progress, metrics, save=signal_number != 0)
      best = reports.best(outcome.host(metrics), progress.reasons)
      bar.set_postfix_str(f'{best}, {len(attempt.study.points)} lanes')
      bar.update(progress.step - bar.n)
      if bar.disable:  # no terminal: lines for the log instead
        reports.write(progress.step, best, evaluated=evaluations is not None)
      if signal_number and progress.step < total:
        raise errors.Stopped(
          signal_number, f'stopped and saved at step {progress.step}; the same command continues'
        )
  return progress, evaluations


def _advance(
  attempt: Attempt, progress: Progress
) -> tuple[Progress, dict[str, Any], Evaluations | None]:
  """Trains to the next log point, and evaluates there if it is time."""
  built, settings = attempt.study, attempt.study.train
  stop = _next_log_point(progress.step, settings)
  is_last = stop == settings.steps
  began = time.monotonic()
  state, metrics = programs.take_chunk(
    built.training, attempt.chunk, progress.state, attempt.lanes, attempt.feed, progress.step, stop
  )
  jax.block_until_ready(state)
  training_seconds = progress.training_seconds + time.monotonic() - began
  reasons = outcome.reasons(built, attempt.examine, state, progress.reasons)
  evaluated, collapsed_at, evaluations = progress.evaluated, progress.collapsed_at, None
  if stop % settings.evaluate_every == 0 or is_last:
    evaluations = attempt.evaluate(state, stop, is_last)
    new = outcome.metrics_of(evaluations)
    metrics = metrics | new
    evaluated = outcome.host(new)
    collapsed_at = outcome.collapsed(
      built.names, attempt.start, collapsed_at, stop, evaluated, reasons, is_last, built.chosen_on
    )
  seconds = time.monotonic() - attempt.started
  logged = records.with_step(progress.logged, stop)
  progress = Progress(
    stop, state, evaluated, collapsed_at, reasons, seconds, training_seconds, logged
  )
  return progress, metrics, evaluations


def _next_log_point(step: int, settings: study.TrainSettings) -> int:
  """Returns the next multiple of log_every, power of two where asked for, or the last step."""
  every = settings.log_every
  points = [(step // every + 1) * every, settings.steps]
  if settings.log_powers_of_two:
    points.append(1 << step.bit_length())
  return min(points)


def log_points(settings: study.TrainSettings, last: int) -> list[int]:
  """Returns the log points up to a step of a run whose cadence never changed."""
  points = [0]
  while points[-1] < last:
    points.append(_next_log_point(points[-1], settings))
  return points[1:]


def _log(attempt: Attempt, progress: Progress, metrics: Mapping[str, Any], save: bool) -> None:
  """Writes the metrics, then results.csv and a checkpoint where they are due.

  The checkpoint comes last: the next attempt writes again whatever it does not cover.
  """
  settings, step = attempt.study.train, progress.step
  last = step == settings.steps
  attempt.tracker.write(step, metrics)
  if step % settings.evaluate_every == 0 or last:
    outcome.write_results(attempt.study, attempt.workdir, progress, final=False)
  if step % settings.checkpoint_every == 0 or last or save:
    states.save(attempt.checkpoints, progress)


def _finish(attempt: Attempt, progress: Progress, evaluations: Evaluations | None) -> Outcome:
  """Adds the NLL, the final rows and the pictures.

  Args:
    attempt: whose steps are done.
    progress: at the last step.
    evaluations: of its state, where they are known.
  """
  if signal_number := attempt.signal_number():
    raise errors.Stopped(signal_number, 'stopped after training; the same command evaluates')
  built, directory, state = attempt.study, attempt.workdir, progress.state
  if evaluations is None:
    evaluations = attempt.evaluate(state, progress.step)
  kept = outcome.open_kept(built, directory, state, attempt.signal_number)
  estimates = outcome.estimate(built, state, kept)
  outcome.write_disentanglement(built, directory, state, kept)
  progress = outcome.explained(built, attempt.examine, progress)
  progress = progress._replace(seconds=time.monotonic() - attempt.started)
  result, images = outcome.review(built, directory, progress, evaluations, estimates, final=True)
  kept.discard()
  outcome.warn_of_rising(built, directory)
  if images is not None:
    attempt.tracker.write_images(progress.step, outcome.lane_grids(images))
  attempt.tracker.summarise(result.rows, {path.stem: path for path in result.pictures})
  return result
