"""Checkpoints by orbax, with a sha256 per leaf that is verified on restore.

Orbax commits a step atomically, so that a kill leaves whole steps only, but it does not check what
it reads: a flipped bit, or an array of another shape, restores silently. Hence the digests.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from vae_jax import errors, files

KEPT_STEPS = 2  # the newest, and one to fall back to if its bytes are damaged


class Restored(NamedTuple):
  """A verified checkpoint."""

  step: int
  state: Any  # same structure, shapes and dtypes as the state asked for
  record: dict  # what was saved beside it: JSON


class _Leaves(ocp.CheckpointHandler):
  """Writes the arrays of one of several processes; orbax itself writes those of process 0 only."""

  def save(self, directory: os.PathLike, args: '_LeavesArgs') -> None:
    np.savez(directory / 'leaves.npz', **args.leaves)

  def restore(self, directory: os.PathLike, args: '_LeavesArgs') -> dict[str, np.ndarray]:
    with np.load(directory / 'leaves.npz', allow_pickle=False) as archive:
      return dict(archive)


@ocp.args.register_with_handler(_Leaves, for_save=True, for_restore=True)
@dataclasses.dataclass
class _LeavesArgs(ocp.args.CheckpointArgs):
  leaves: Mapping[str, np.ndarray] | None = None  # to save


def open_manager(directory: os.PathLike | str) -> ocp.CheckpointManager:
  """Opens (or creates) the checkpoints of one workdir; the caller holds the workdir's lock."""
  # Orbax logs several lines a save, and its threads log what the main thread raises anyway.
  logging.getLogger('absl').addFilter(_not_orbax_chatter)
  # Where there are several processes each writes its own checkpoints and waits for no other.
  this = jax.process_index()
  alone = ocp.options.MultiprocessingOptions(
    primary_host=this, active_processes={this}, barrier_sync_key_prefix=f'process-{this}'
  )
  options = ocp.CheckpointManagerOptions(
    max_to_keep=KEPT_STEPS,
    enable_async_checkpointing=False,
    create=False,  # orbax makes a directory for all processes only
    multiprocessing_options=alone,
  )
  handlers = {
    'state': ocp.StandardCheckpointHandler(multiprocessing_options=alone),
    'json': ocp.JsonCheckpointHandler(multiprocessing_options=alone),
    'leaves': _Leaves(),
  }
  with _orbax_errors(directory):
    os.makedirs(directory, exist_ok=True)
    return ocp.CheckpointManager(
      os.path.abspath(directory), item_handlers=handlers, options=options
    )


def _not_orbax_chatter(record: logging.LogRecord) -> bool:
  return 'orbax' not in record.pathname


@contextlib.contextmanager
def _orbax_errors(directory: os.PathLike | str) -> Iterator[None]:
  """Full or read-only disks reach us as text in the errors of orbax's C++ writers."""
  with files.storage_errors(directory):
    try:
      yield
    except Exception as error:  # tensorstore has no class for what the disk refuses
      for code in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG):
        if os.strerror(code) in str(error):
          raise errors.StorageError(f'cannot write {directory}: {os.strerror(code)}') from error
      raise


def _flat(tree: Any) -> dict[str, Any]:
  leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
  return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def _digest(value: np.ndarray) -> str:
  value = np.ascontiguousarray(value)
  return hashlib.sha256(f'{value.dtype}{value.shape}'.encode() + value.tobytes()).hexdigest()


def _digests(leaves: Mapping[str, Any], record: Mapping) -> dict[str, str]:
  result = {name: _digest(np.asarray(leaf)) for name, leaf in leaves.items()}
  text = json.dumps(record, sort_keys=True)
  return result | {'record': hashlib.sha256(text.encode()).hexdigest()}


def save(manager: ocp.CheckpointManager, step: int, state: Any, record: Mapping) -> None:
  """Writes one step durably; returns when it is on disk. A step that exists is left as it is.

  Args:
    manager: from `open_manager`.
    step: the optimiser steps done.
    state: a pytree of arrays.
    record: JSON to keep beside it.

  Raises:
    StorageError: no space, or not writable.
  """
  if step in manager.all_steps():
    return
  leaves = _flat(jax.device_get(state))
  stored = {'record': dict(record), 'digests': _digests(leaves, record)}
  if jax.process_count() == 1:
    arrays = {'state': ocp.args.StandardSave(leaves)}
  else:
    arrays = {'leaves': _LeavesArgs(leaves)}
  with _orbax_errors(manager.directory):
    manager.save(step, args=ocp.args.Composite(json=ocp.args.JsonSave(stored), **arrays))


def restore_newest(manager: ocp.CheckpointManager, like: Any) -> Restored | None:
  """Restores the newest step whose bytes verify, with a warning for each newer one that does not.

  Args:
    manager: from `open_manager`.
    like: a pytree of arrays or ShapeDtypeStructs: the structure, shapes and dtypes to expect.

  Returns:
    None where no step was ever written.

  Raises:
    DamagedError: steps exist and none verifies.
  """
  steps = sorted(manager.all_steps(), reverse=True)
  for step in steps:
    try:
      return _restore(manager, step, like)
    except errors.DamagedError as error:
      logging.warning('%s; falling back to an older checkpoint', error)
  if steps:
    raise errors.DamagedError(f'{manager.directory}: none of the steps {steps[::-1]} verifies')
  return None


def _restore(manager: ocp.CheckpointManager, step: int, like: Any) -> Restored:
  expected = {
    name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in _flat(like).items()
  }
  # Whatever number of processes wrote it.
  is_share = (manager.directory / str(step) / 'leaves').is_dir()
  arrays = {'leaves': _LeavesArgs()} if is_share else {'state': ocp.args.StandardRestore(expected)}
  try:
    wanted = ocp.args.Composite(json=ocp.args.JsonRestore(), **arrays)
    restored = manager.restore(step, args=wanted)
    leaves = restored.leaves if is_share else restored.state
    record, digests = restored.json['record'], restored.json['digests']
    found = _digests(leaves, record)
  except (MemoryError, PermissionError, InterruptedError):
    raise  # no verdict on the bytes
  except Exception as error:  # whatever else the reader trips over, it is not what was written
    reason = f'{type(error).__name__}: {error}'.splitlines()[0][:200]
    raise errors.DamagedError(f'checkpoint {step} cannot be read ({reason})') from error
  wrong = sorted(name for name in expected | digests if found.get(name) != digests.get(name))
  wrong += [name for name, leaf in expected.items() if leaves[name].shape != leaf.shape]
  if wrong:
    raise errors.DamagedError(f'checkpoint {step} fails its sha256 at {wrong[0]}')
  structure = jax.tree.structure(like)
  state = jax.tree.unflatten(structure, [leaves[name] for name in expected])
  return Restored(step, state, record)


def forget_after(manager: ocp.CheckpointManager, step: int) -> None:
  """Removes the steps after `step`, so that they can be written again."""
  for newer in manager.all_steps():
    if newer > step:
      manager.delete(newer)
