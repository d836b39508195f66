"""Trains and evaluates a study: build, restore, loop, log."""

import contextlib
import os
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import Any

from vae_jax import config as settings
from vae_jax import paths, records, stopping, study, validation
from vae_jax.runs import beginning, checkpoint, extending, loop, model_file, resuming, workdir
from vae_jax.runs.outcome import Outcome


def run(
  config: Mapping[str, Any],
  directory: os.PathLike | str,
  asked_to_stop: Callable[[], int] = lambda: 0,
  from_scratch: bool = False,
  extend: bool = False,
  study_id: str | None = None,
) -> Outcome:
  """Trains every lane of a study as one program and evaluates it; continues a run that stopped.

  A run that is killed at any moment and called again with the same config ends with the same bits
  as one that is not. It may be called with another place or manner; see `vae_jax.identity`.

  Args:
    config: nested mappings of plain values; see `vae_jax.config.base`, which completes it.
    directory: the workdir: where its files go; see docs/files.md.
    asked_to_stop: returns 0, or the number of the signal as by which to stop.
    from_scratch: whether a run whose checkpoints are lost may begin again at step 0.
    extend: whether a run takes in the lanes that the config has beside its own; see `extending`.
    study_id: of a study of which this is a share; else a new run draws one.

  Raises:
    InputError, DamagedError, InUseError, StorageError: see `vae_jax.errors`.
    Stopped: by SIGTERM, Ctrl-C or `asked_to_stop`, after saving the state.
  """
  started = time.monotonic()
  config, directory = settings.complete(config), paths.expanded(directory, '--workdir')
  workdir.check_parts(directory)
  extending.go_on(directory)
  if not validation.problems(config).lines:
    extending.check_steps(config, directory)
    if extend:
      extending.extend(config, directory, asked_to_stop)
  if (stands := _finished(config, directory)) is not None:
    return stands
  built = study.from_config(config)
  claimed = resuming.claim(built, config, directory, study_id)
  with claimed, stopping.deferred(asked_to_stop) as signal_number:
    if (stands := resuming.finished(config, directory)) is not None:
      return stands  # two were started at once, and the other one finished first
    model_file.write(directory, built)
    built = resuming.at_recorded_width(built, directory)
    with contextlib.closing(checkpoint.open_manager(directory / 'checkpoints')) as manager:
      while True:
        try:
          # No name here: a copy of the state would stay on the host while the run trains.
          result = loop.train_and_finish(
            *beginning.begin(
              built,
              directory,
              manager,
              resuming.restored(built, directory, manager, from_scratch),
              started,
              signal_number,
            )
          )
          break
        except resuming.TOO_WIDE as error:
          built = resuming.narrower(built, directory, error)
    seconds = max(row['seconds'] for row in result.rows)
    reached = records.newest_step(directory)
    workdir.mark_finished(directory, step=reached, seconds=seconds)
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
