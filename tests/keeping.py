"""A small study whose lanes stop at different times, trained by the loop alone."""

import contextlib
import os
import time

from conftest import small_config

from vae_jax import programs, study, tracking
from vae_jax.runs import checkpoint, loop, outcome, resuming, states


def config_of(**train) -> dict:
  """Five lanes, two at a time; those of a high learning rate are at their best early."""
  config = small_config()
  config['lanes'] |= dict(
    combine='zip', beta=(1.0,), latent_size=(5,), seed=(0, 0, 1, 1, 2),
    learning_rate=(1e-1, 1e-3, 3e-1, 3e-3, 2e-1),
  )  # fmt: skip
  config['program'] |= dict(width=int(os.environ.get('KEEPING_WIDTH', '2')))
  config['train'] |= dict(steps=80, evaluate_every=10, checkpoint_every=20) | train
  return config


class Programs:
  """What is compiled once for many trainings of one study."""

  def __init__(self, config: dict):
    self.config = config
    self.study = study.from_config(config)
    self.feed = self.study.feed()
    self.chunk = programs.compile_chunk(self.study.training, self.study.lanes, self.feed.shape)
    self.evaluate = outcome.make_evaluate(self.study)
    self.start = study.Start(1e9, None, 1, '')

  def settings(self, **train) -> study.Study:
    return self.study._replace(train=self.study.train._replace(**train))

  def attempt(self, built, directory, manager, progress, tracker) -> loop.Attempt:
    return loop.Attempt(
      study=built,
      workdir=directory,
      checkpoints=manager,
      tracker=tracker,
      feed=self.feed,
      chunk=self.chunk,
      lanes=loop.on_devices(built, progress.lanes) if progress.lanes else None,
      start=self.start,
      evaluate=self.evaluate,
      examine=programs.make_examine(built.training),
      started=time.monotonic() - progress.seconds,
      signal_number=lambda: 0,
      last=built.train.steps,
      next_log_point=lambda step: loop.next_log_point(built.train, step),
    )

  def train(self, directory, **train) -> outcome.Progress:
    """Trains in a directory from where it stands to the end; keywords are of `train`."""
    built = self.settings(**train)
    directory.mkdir(exist_ok=True)
    with contextlib.closing(checkpoint.open_manager(directory / 'checkpoints')) as manager:
      progress = resuming.restored(built, directory, manager, from_scratch=False)
      if progress is not None and progress.step < built.train.steps:
        progress = outcome.with_stops(built, progress)
      progress = states.begin(built, manager, progress)
      tracker = tracking.open_tracker(
        directory, built.names, built.points, self.config, {},
        tracking.Settings(**self.config['wandb']), progress.step,
      )  # fmt: skip
      attempt = self.attempt(built, directory, manager, progress, tracker)
      return loop.train_to_the_last(attempt, progress)
