"""A study over several processes: each trains a share of its lanes.

Lanes need nothing of each other, so neither do processes. Process p runs its share as a run of its
own, on its own devices, in WORKDIR/process-p, and process 0 gathers in WORKDIR what they left. All
of them see WORKDIR. The only thing that passes between processes is whether they still live: so
there is no need of `jax.distributed`, whose processes abort where another one is missing or dies.
"""

import functools
import logging
import math
import os
import pathlib
import signal
from collections.abc import Callable, Mapping
from typing import Any

from vae_jax import errors, paths
from vae_jax.multihost.cutting import check, cut, share_directory, study_id
from vae_jax.multihost.environment import Found, found
from vae_jax.multihost.gathering import gather, is_done, unfinished
from vae_jax.multihost.joining import joined
from vae_jax.multihost.listening import listening
from vae_jax.multihost.meeting import Meeting, listed, wait
from vae_jax.runs import outcome, training

__all__ = ['Found', 'Meeting', 'check', 'cut', 'found', 'gather', 'run']


def run(
  config: Mapping[str, Any],
  directory: os.PathLike | str,
  index: int,
  here: Meeting,
  from_scratch: bool = False,
) -> outcome.Outcome:
  """Trains the share of one process; process 0 then waits for the others and gathers.

  Called again with the same arguments it goes on from where it stopped; a share that is finished
  does not train again. Where process 0 ends early, the others save and stop.

  Args:
    config: of the whole study, see `check`.
    directory: the workdir of all shares, which every process sees.
    index: of this process.
    here: where the processes meet, and how many there are.
    from_scratch: see `training.run`.

  Returns:
    the outcome of the share; in process 0 that of the whole study.

  Raises:
    InputError, DamagedError, InUseError, StorageError: see `vae_jax.errors`.
    Stopped: this process was, or another one is missing, or has not finished its share.
  """
  directory = paths.expanded(directory, '--workdir')
  share = cut(config, index, here.count)
  own = share_directory(directory, index)
  train = functools.partial(training.run, share, own, study_id=study_id(directory))
  if not index:
    return _lead(config, train, directory, here, from_scratch)
  if is_done(share, own):
    return train()
  with joined(here, index) as is_left_alone:
    try:
      return train(lambda: signal.SIGTERM if is_left_alone() else 0, from_scratch)
    except errors.Stopped as stopped:
      if not is_left_alone():
        raise
      raise errors.Stopped(signal.SIGTERM, f'process 0 at {here} has ended: {stopped}') from stopped


def _lead(
  config: Mapping[str, Any],
  train: Callable[..., outcome.Outcome],
  directory: pathlib.Path,
  here: Meeting,
  from_scratch: bool,
) -> outcome.Outcome:
  """Is process 0."""

  def at_work() -> list[int]:
    return [index for index in unfinished(config, directory, here.count) if index]

  with listening(here, at_work) as peers:
    try:
      train(from_scratch=from_scratch)
    except errors.Stopped:
      raise  # and so part from the others, which then save and stop
    except Exception as error:  # raised again below, when the others need it no more
      logging.warning('process 0 has failed and stays until the others are done: %s', error)
      wait(lambda: not peers.present(), math.inf)
      raise
    if missing := at_work():
      logging.info('process 0 is done; waiting for %s', listed(missing))
    wait(lambda: not peers.present(), math.inf)
    return gather(config, directory, here.count)
