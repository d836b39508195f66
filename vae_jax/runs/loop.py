"""One attempt at a study: from the step it starts with to the review. The loop of the codebase."""

import contextlib
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import orbax.checkpoint as ocp

from vae_jax import data, errors, evaluation, placement, programs, records, study, tracking
from vae_jax.runs import outcome, reports, states
from vae_jax.runs.checkpoint.saving import Saving, saving
from vae_jax.runs.outcome import Outcome, Progress
from vae_jax.runs.reports import Reports
from vae_jax.runs.showing import Showing

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
  lanes: Any  # that train, on the devices
  start: study.Start | None
  evaluate: Callable[..., Evaluations]  # see `outcome.make_evaluate`
  examine: Callable[..., programs.Findings]
  started: float  # on the monotonic clock, less the seconds of earlier attempts
  signal_number: Callable[[], int]  # 0 until a stop is requested
  last: int  # the step at which the attempt ends
  next_log_point: Callable[[int], int]  # after a step


def train_and_finish(attempt: Attempt, progress: Progress) -> Outcome:
  """Trains, evaluates, and closes the tracker with the exit code of the program."""
  exit_code = 1
  try:
    with _reports(attempt, progress) as said:
      result = _finish(attempt, *_loop(attempt, progress, said), said)
    exit_code = result.exit_code
    return result
  except errors.Stopped as stopped:
    exit_code = stopped.exit_code
    raise
  finally:
    attempt.tracker.close(exit_code)


def train_to_the_last(attempt: Attempt, progress: Progress) -> Progress:
  """Trains to the step at which the attempt ends, and evaluates nothing more there."""
  try:
    with _reports(attempt, progress) as said:
      return _loop(attempt, progress, said)[0]
  finally:
    attempt.tracker.close(0)


def _reports(attempt: Attempt, progress: Progress) -> contextlib.AbstractContextManager[Reports]:
  built = attempt.study
  return reports.opened(built.names, built.chosen_on, progress.step, attempt.last)


def _loop(
  attempt: Attempt, progress: Progress, said: Reports
) -> tuple[Progress, Evaluations | None]:
  """Trains to the last step, or until all lanes have stopped; every log point is a place to stop.

  Returns:
    The progress there, and the evaluations of what counts; None where they are not known.
  """
  built, evaluations = attempt.study, None
  if not is_training(progress, attempt.last):
    return progress, evaluations
  showing = Showing(built, attempt.tracker)
  with saving(attempt.checkpoints) as saved:
    while is_training(progress, attempt.last):
      attempt, progress = _regrouped(attempt, progress)
      progress, metrics, evaluations = _advance(attempt, progress, said)
      signal_number = attempt.signal_number()  # read once, so that what is raised below is saved
      _log(attempt, saved, progress, metrics, save=signal_number != 0)
      if evaluations is not None:
        showing.show(progress, evaluations)
      # Between two evaluations the last one stands: by it choosing goes.
      figures = progress.evaluated or outcome.of_all(progress, metrics)
      said.trained(progress.step, figures, progress.reasons, evaluated=evaluations is not None)
      if signal_number and is_training(progress, attempt.last):
        saved.wait()
        raise errors.Stopped(
          signal_number, f'stopped and saved at step {progress.step}; the same command continues'
        )
  is_last = progress.step == built.train.steps
  is_of_all = is_last and progress.resting is None and progress.best is None
  return progress, evaluations if is_of_all else None


def is_training(progress: Progress, last: int) -> bool:
  """Tells whether a step is left up to `last`, and a lane that has not stopped."""
  return progress.step < last and bool(progress.choice.training)


def _regrouped(attempt: Attempt, progress: Progress) -> tuple[Attempt, Progress]:
  """Lets the lanes go that have stopped: the others go through the program in fewer turns."""
  if progress.lanes == progress.choice.training:
    return attempt, progress
  progress = outcome.regrouped(progress)
  return attempt._replace(lanes=on_devices(attempt.study, progress.lanes)), progress


def on_devices(built: study.Study, lanes: Sequence[int]) -> Any:
  """Returns some of the lanes of a study where its programs expect them."""
  return placement.on_devices(built.place, outcome.picked(built.lanes, lanes))


def _advance(
  attempt: Attempt, progress: Progress, said: Reports
) -> tuple[Progress, dict[str, Any], Evaluations | None]:
  """Trains to the next log point, and evaluates there if it is time."""
  built, settings = attempt.study, attempt.study.train
  stop = attempt.next_log_point(progress.step)
  began = time.monotonic()
  state, metrics = programs.take_chunk(
    built.training, attempt.chunk, progress.state, attempt.lanes, attempt.feed, progress.step, stop
  )
  jax.block_until_ready(state)
  progress = progress._replace(
    step=stop,
    state=state,
    training_seconds=progress.training_seconds + time.monotonic() - began,
    logged=records.with_step(progress.logged, stop),
  )
  progress, evaluations = outcome.explained(built, attempt.examine, progress), None
  if stop % settings.evaluate_every == 0 or stop == settings.steps:
    said.doing(f'evaluating at step {stop}', brief=True)
    evaluations = _evaluate(attempt, progress)
    new = outcome.metrics_of(evaluations)
    metrics = metrics | new
    progress = outcome.evaluated(built, attempt.start, progress, outcome.host(new))
    if stop < attempt.last:
      progress = outcome.with_stops(built, progress)
  progress = progress._replace(seconds=time.monotonic() - attempt.started)
  return progress, metrics, evaluations


def _evaluate(attempt: Attempt, progress: Progress) -> Evaluations:
  """Returns the evaluations of the lanes that train, to the bit as where all lanes train."""
  built, lanes = attempt.study, progress.lanes
  is_last = progress.step == built.train.steps
  if len(lanes) == len(built.points):
    return attempt.evaluate(progress.state, progress.step, is_last)
  slots, places = placement.in_own_slots(lanes, built.place.width)
  light = placement.map_turns(lambda state: state._replace(opt_state=()), progress.state)
  state = outcome.picked(placement.joined(light), [lanes.index(i) for i in slots])
  found = attempt.evaluate(state, progress.step, is_last, outcome.picked(built.lanes, slots))
  return outcome.picked(jax.device_get(found), places)


def next_log_point(settings: study.TrainSettings, step: int) -> int:
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
    points.append(next_log_point(settings, points[-1]))
  return points[1:]


def _log(
  attempt: Attempt, saved: Saving, progress: Progress, metrics: Mapping[str, Any], save: bool
) -> None:
  """Writes the metrics, then results.csv and a checkpoint where they are due.

  The checkpoint comes last: the next attempt writes again whatever it does not cover.
  """
  saved.check()
  settings, step = attempt.study.train, progress.step
  last = not is_training(progress, attempt.last)
  attempt.tracker.write(step, metrics, progress.lanes)
  if step % settings.evaluate_every == 0 or last:
    outcome.write_results(attempt.study, attempt.workdir, progress, final=False)
  if step % settings.checkpoint_every == 0 or last or save:
    states.save_beside(saved, progress)


def _finish(
  attempt: Attempt, progress: Progress, evaluations: Evaluations | None, said: Reports
) -> Outcome:
  """Adds the NLL, the final rows and the pictures.

  Args:
    attempt: whose steps are done.
    progress: at the last step.
    evaluations: of what counts, where they are known.
    said: to whom to say what is being done.
  """
  if signal_number := attempt.signal_number():
    raise errors.Stopped(signal_number, 'stopped after training; the same command evaluates')
  built, directory = attempt.study, attempt.workdir
  progress = outcome.explained(built, attempt.examine, progress)
  state = outcome.that_counts(progress)
  if evaluations is None:
    said.doing('evaluating')
    evaluations = attempt.evaluate(state, progress.step)
  kept = outcome.open_kept(built, directory, state, attempt.signal_number)
  pieces = said.pieces(kept)
  estimates = outcome.estimate(built, state, pieces)
  outcome.write_disentanglement(built, directory, state, pieces)
  progress = progress._replace(seconds=time.monotonic() - attempt.started)
  said.doing('writing tables, pictures and report.html')
  result = outcome.review(built, directory, progress, evaluations, estimates, final=True)
  kept.discard()
  outcome.warn_of_rising(built, directory)
  results = outcome.results_of(directory)
  shown = attempt.tracker.shown_at_end(result.rows, results.verdict)
  grids = outcome.grids_of(directory, len(result.rows), shown)
  attempt.tracker.summarise(progress.step, result.rows, grids, results)
  return result
