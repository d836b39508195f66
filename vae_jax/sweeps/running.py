"""One launch of a study, in this very process: its signals and its exit code are those of a run."""

import os
import signal
import sys
import threading

from vae_jax import errors, launches, paths
from vae_jax.runs import outcome, training


def run(directory: os.PathLike | str, index: int) -> outcome.Outcome:
  """Trains one launch, or goes on with it, as `vae-jax train` would.

  Args:
    directory: of the study.
    index: of the launch, from 0.

  Raises:
    InputError: there is no such study, or launch.
    InUseError: another process is at it.
    and whatever `training.run` raises.
  """
  directory = paths.expanded(directory, '--study')
  study = launches.read(directory)
  launch = chosen(study, index)
  sys.path += [path for path in study.paths if path not in sys.path]  # of own parts
  with launches.attempt(directory, launch.name):
    own = launches.run_of(directory, launch.name)
    return training.run(launch.config, own, study_id=f'{study.study_id}-{index}')


def chosen(study: launches.Study, index: int) -> launches.Launch:
  """Returns the launch of a number.

  Raises:
    InputError: there is none.
  """
  last = len(study.launches) - 1
  if not 0 <= index <= last:
    raise errors.InputError(
      f'--index={index} is not between 0 and {last}; the nearest valid value is '
      f'{min(max(index, 0), last)}'
    )
  return study.launches[index]


def write_to_log(directory: os.PathLike | str, index: int) -> None:
  """Appends what this process says from here on to the log of a launch.

  Raises:
    InputError: there is no such study, or launch.
    StorageError: the log cannot be written.
  """
  directory = paths.expanded(directory, '--study')
  name = chosen(launches.read(directory), index).name
  with launches.open_log(directory, name) as log:
    for stream in (sys.stdout, sys.stderr):
      stream.flush()
      os.dup2(log.fileno(), stream.fileno())


def stop_with_parent() -> None:
  """Stops this process, as by SIGTERM, when its standard input ends.

  That is a pipe whose other end its parent holds: the kernel closes it also where that is killed.
  """

  def watch() -> None:
    while os.read(0, 1024):
      pass
    os.kill(os.getpid(), signal.SIGTERM)

  threading.Thread(target=watch, daemon=True).start()
