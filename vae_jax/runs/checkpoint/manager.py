"""Orbax's manager as a run needs it: durable, private, one process, and without its noise."""

import contextlib
import functools
import logging
import os
import sys
import warnings
from collections.abc import Iterator

import jax
import orbax.checkpoint as ocp

from vae_jax import errors, files
from vae_jax.runs.checkpoint.leaves import LeavesHandler

KEPT_STEPS = 2  # the newest, and one to fall back to if its bytes are damaged


class _DurableStep(ocp.path.atomicity.AtomicRenameTemporaryPath):
  """A step whose bytes are on the disk before it has its name, and its name before others go.

  Orbax itself syncs the arrays alone: after a power cut a step would stand there without its
  digests. It names each item of a step in this way before it names the step: what it adds to the
  step in between, notes of its own, a step is read without.
  """

  async def finalize(self) -> None:
    await super().finalize()
    files.sync_tree(self.get_final())
    files.sync(self.get_final().parent)


def open_manager(directory: os.PathLike | str) -> ocp.CheckpointManager:
  """Opens (or creates) the checkpoints of one workdir; the caller holds the workdir's lock.

  Raises:
    StorageError: the place cannot be written, or read.
  """
  _quieten()
  # Where there are several processes each writes its own checkpoints and waits for no other.
  this = jax.process_index()
  alone = ocp.options.MultiprocessingOptions(
    primary_host=this, active_processes={this}, barrier_sync_key_prefix=f'process-{this}'
  )
  options = ocp.CheckpointManagerOptions(
    max_to_keep=KEPT_STEPS,
    enable_async_checkpointing=False,
    create=False,  # orbax makes a directory for all processes only
    cleanup_tmp_directories=True,  # of attempts that were killed
    temporary_path_class=_DurableStep,
    multiprocessing_options=alone,
  )
  handlers = {
    'state': ocp.StandardCheckpointHandler(multiprocessing_options=alone),
    'json': ocp.JsonCheckpointHandler(multiprocessing_options=alone),
    'leaves': LeavesHandler(),
  }
  with place_errors(directory, 'open'):
    files.make_directory(directory)
    manager = ocp.CheckpointManager(
      os.path.abspath(directory), item_handlers=handlers, options=options
    )
    _check_listing(manager)
  return manager


def _check_listing(manager: ocp.CheckpointManager) -> None:
  """Raises StorageError for a step that orbax could not look at, which it takes for none."""
  there = {int(name) for name in os.listdir(manager.directory) if name.isdecimal()}
  if unseen := there - set(manager.all_steps()):
    raise errors.StorageError(
      f'cannot read {manager.directory / str(max(unseen))}; nothing was removed'
    )


@contextlib.contextmanager
def place_errors(directory: os.PathLike | str, action: str = 'write') -> Iterator[None]:
  """Turns what a place refuses into StorageError, also as text in errors of orbax's C++ writers."""
  try:
    yield
  except errors.StorageError:
    raise
  except Exception as error:  # tensorstore has no class for what the disk refuses
    if fault := files.fault_of(error):
      raise errors.StorageError(f'cannot {action} {directory}: {fault}') from error
    raise


@functools.cache
def _quieten() -> None:
  """Silences what orbax says of a save, and what its threads say after an error that we raise."""
  # Orbax logs several lines a save.
  logging.getLogger('absl').addFilter(lambda record: 'orbax' not in record.pathname)
  # The first of several reads or writes that fails ends the event loop of all: those after it, and
  # what was to follow them, complain of that, or say the same once more.
  logging.getLogger('asyncio').addFilter(
    lambda record: 'never retrieved' not in record.getMessage()
  )
  warnings.filterwarnings('ignore', 'coroutine .* was never awaited', RuntimeWarning)
  sys.unraisablehook = functools.partial(_tell_unless_echo, sys.unraisablehook)


def _tell_unless_echo(tell, unraisable) -> None:
  words = str(unraisable.exc_value)
  if words != 'Event loop is closed' and "EventLoop' object has no attribute" not in words:
    tell(unraisable)
