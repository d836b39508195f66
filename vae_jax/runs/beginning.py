"""Begins an attempt at a study: compiles its program, and opens what it writes to."""

import functools
import logging
import math
import pathlib
from collections.abc import Callable
from concurrent import futures

import jax
import numpy as np
import orbax.checkpoint as ocp

from vae_jax import data, forecast, placement, programs, study, tracking
from vae_jax.runs import loop, outcome, states, workdir
from vae_jax.runs.loop import Attempt
from vae_jax.runs.outcome import Progress


def begin(
  built: study.Study,
  directory: pathlib.Path,
  manager: ocp.CheckpointManager,
  progress: Progress | None,
  started: float,
  signal_number: Callable[[], int],
) -> tuple[Attempt, Progress]:
  """Returns an attempt that goes on from what was restored, and where it stands.

  Raises:
    TooWideError: the program needs more memory than there is.
  """
  feed = chunk = start = None
  learner, scale = built.training.learner, built.dataset.fixed_scale
  evaluation = programs.make_evaluate(learner, scale, built.place)
  if progress is not None and progress.step < built.train.steps:
    progress = outcome.with_stops(built, progress)
  if progress is None or loop.is_training(progress, built.train.steps):
    feed = built.feed()
    with futures.ThreadPoolExecutor(1) as pool:  # beside the compiler, which takes longer
      coming = pool.submit(_start, built)
      foretelling = pool.submit(built.foresight.forecast)
      chunk = _compile(built, feed, evaluation)
    start = coming.result()
    _foretell(built, directory, foretelling.result())
    if progress is None:
      outcome.announce(built)
      for advice in (start.advice, built.foresight.cut_short(built.names, built.lanes)):
        if advice:
          logging.warning('%s', advice)
  progress = states.begin(built, manager, progress)
  if chunk is not None:  # the first step takes these buffers over
    state = placement.on_devices(built.place, progress.state)
    progress = progress._replace(state=state)
  attempt = Attempt(
    study=built,
    workdir=directory,
    checkpoints=manager,
    tracker=_open_tracker(built, directory, progress.step),
    feed=feed,
    chunk=chunk,
    lanes=loop.on_devices(built, progress.lanes) if progress.lanes else None,
    start=start,
    evaluate=outcome.make_evaluate(built, evaluation),
    examine=programs.make_examine(built.training),
    started=started - progress.seconds,
    signal_number=signal_number,
    last=built.train.steps,
    next_log_point=functools.partial(loop.next_log_point, built.train),
  )
  return attempt, progress


def _start(built: study.Study) -> study.Start:
  """Returns where the decoders start, on the images at which they are evaluated."""
  split = built.chosen_on
  chosen = built.sample(split, built.evaluation.images(split))
  dataset = built.dataset
  return built.foresight.start(dataset.split(split)[chosen], dataset.beside_of(split, chosen))


def _foretell(built: study.Study, directory: pathlib.Path, found: forecast.Forecast | None) -> None:
  """Writes the forecast of collapse and says what it holds for the lanes, once."""
  if found is None or (directory / 'forecast.csv').exists():
    return
  outcome.write_forecast(directory, found)
  if line := study.foretold(found, built.points):
    logging.info('%s', line)


def _compile(
  built: study.Study, feed: data.Feed, evaluation: programs.Lanewise
) -> jax.stages.Compiled:
  """Compiles the training program, and the one that evaluates: JAX keeps it for its first call.

  Raises:
    TooWideError: one of them needs more memory than there is.
  """
  place, num_lanes = built.place, len(built.points)
  in_turn = f', {place.width} at a time' if num_lanes > place.width else ''
  lanes = 'lane' if num_lanes == 1 else 'lanes'
  logging.info('compiling one program for %d %s%s', num_lanes, lanes, in_turn)
  chunk = programs.compile_chunk(built.training, built.lanes, feed.shape)
  shapes = programs.state_shapes(built.training.learner, built.lanes)
  memory = chunk.memory_analysis()
  placement.check_fits(place, programs.bytes_of(memory), shapes, built.program.memory_gib)
  # It has no gradients and many more images at a time, which may well be the more; beside it lies
  # what was trained on. Of the two, the parameters are the same arrays.
  params = evaluation.shapes(shapes.evaluated, built.lanes)
  # Where they lie is left open, as in its calls: else JAX would compile it again.
  batches, step = jax.tree.map(
    lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype), (built.batches(built.chosen_on), np.int32(0))
  )
  evaluate = evaluation.program.lower(*params, batches, step)
  shared = sum(math.prod(a.shape) * a.dtype.itemsize for a in jax.tree.leaves(params[0]))
  beside = memory.argument_size_in_bytes - shared // place.mesh.shape['lane']
  needed = programs.bytes_of(evaluate.compile().memory_analysis()) + beside
  placement.check_fits(place, needed, shapes, built.program.memory_gib)
  return chunk


def _open_tracker(built: study.Study, directory: pathlib.Path, step: int) -> tracking.Tracker:
  recorded = workdir.read_config(directory)  # both are for W&B to show
  # The new lanes of an extension, which train without W&B, have none of their own.
  is_shown = built.wandb.mode != 'disabled'
  provenance = workdir.read_provenance(directory) if is_shown else {}
  return tracking.open_tracker(
    directory, built.names, built.points, recorded, provenance, built.wandb, restored_step=step
  )
