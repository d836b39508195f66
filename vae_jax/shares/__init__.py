"""A study over several processes of `jax.distributed`: each trains a share of its lanes.

Lanes need nothing of each other, so neither do processes. Process p runs its share as a run of its
own, on its own devices, in WORKDIR/process-p, and process 0 gathers in WORKDIR what they left. All
of them see WORKDIR. The only thing that passes between processes is whether they still live.
"""

import contextlib
import logging
import math
import os
import pathlib
import threading
import time
from collections.abc import Mapping
from typing import Any

import jax
from jax.experimental import multihost_utils

from vae_jax import config as settings
from vae_jax import errors, outcome, stopping, train
from vae_jax.shares.cutting import check, cut, share_directory
from vae_jax.shares.gathering import gather, listed, unfinished

__all__ = ['check', 'cut', 'gather', 'run']

_GRACE_SECONDS = 10.0  # that a process 0 that is told to stop gives the others to save
_POLL_SECONDS = 0.2  # between two looks at what has come in


def run(
  config: Mapping[str, Any], directory: os.PathLike | str, index: int, count: int
) -> outcome.Outcome:
  """Trains the share of one process; process 0 then waits for the others and gathers.

  Called again with the same arguments it goes on from where it stopped; a share that is finished
  does not train again.

  Args:
    config: of the whole study, see `check`.
    directory: the workdir of all shares, which every process sees.
    index, count: of the processes of `jax.distributed`.

  Returns:
    the outcome of the share; in process 0 that of the whole study.

  Raises:
    InputError, DamagedError, InUseError, StorageError: see `vae_jax.errors`.
    Stopped: this process was, or in process 0: another one has not finished its share.
  """
  config, directory = settings.complete(config), pathlib.Path(directory)
  share = cut(config, index, count)
  own = share_directory(directory, index)
  if index:
    return train.run(share, own)
  # Process 0 holds what the others are connected to, and jax ends them when it is gone.
  try:
    train.run(share, own)
  except errors.Stopped:
    _wait_for_the_others(_GRACE_SECONDS)
    raise
  except Exception as error:
    logging.warning('process 0 has failed and stays until the others are done: %s', error)
    _wait_for_the_others()
    raise
  if missing := unfinished(directory, count):
    logging.info('process 0 is done; waiting for %s', listed(missing))
  _wait_for_the_others()
  return gather(config, directory, count)


def _wait_for_the_others(seconds: float = math.inf) -> None:
  """Waits until every other process has ended, by itself or by a fault, or for so many seconds.

  A process that exits is seen at once, one that is lost when its heartbeats have been missing for
  a while.

  Raises:
    Stopped: by SIGTERM or Ctrl-C.
  """

  def wait():
    # Returns when all that live have called it, and the others never do. It cannot be asked for
    # once there is nobody to ask, which is an end of waiting, too.
    with contextlib.suppress(Exception), multihost_utils.live_devices(jax.devices()):
      pass

  # In a thread, as a signal does not interrupt it.
  thread = threading.Thread(target=wait, daemon=True)
  deadline = time.monotonic() + seconds
  with stopping.deferred() as signal_number:
    thread.start()
    while thread.is_alive() and time.monotonic() < deadline and not signal_number():
      thread.join(_POLL_SECONDS)
    if signal_number():
      raise errors.Stopped(
        signal_number(), 'stopped while waiting for other processes; the same commands continue'
      )
