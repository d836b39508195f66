"""Checkpoints by orbax, with a sha256 per leaf that is verified on restore.

Orbax commits a step atomically, so that a kill leaves whole steps only, but it does not check what
it reads: a flipped bit, or an array of another shape, restores silently. Hence the digests.

Three verdicts on a step are kept apart: its bytes verify; or they do not, and an older step is
taken; or the place cannot be read, which says nothing of the bytes, so that no step is given up.
"""

import logging
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import orbax.checkpoint as ocp

from vae_jax import errors, files
from vae_jax.runs.checkpoint.digests import digests_of, flat
from vae_jax.runs.checkpoint.leaves import LeavesArgs
from vae_jax.runs.checkpoint.manager import KEPT_STEPS, open_manager, place_errors
from vae_jax.runs.checkpoint.reading import Leaves, read_newest

__all__ = [
  'KEPT_STEPS',
  'Leaves',
  'Restored',
  'flat',
  'forget_after',
  'open_manager',
  'read_newest',
  'restore_newest',
  'save',
]

_PAUSES = (0.1, 0.5, 2.0)  # seconds, after each of which what could not be read is read again


class Restored(NamedTuple):
  """A verified checkpoint."""

  step: int
  state: Any  # same structure, shapes and dtypes as the state asked for
  record: dict  # what was saved beside it: JSON


def save(manager: ocp.CheckpointManager, step: int, state: Any, record: Mapping) -> None:
  """Writes one step durably; returns when it is on disk. A step that exists is left as it is.

  Args:
    manager: from `open_manager`.
    step: the optimiser steps done.
    state: a pytree of arrays.
    record: JSON to keep beside it.

  The newest `KEPT_STEPS` stay. An older one goes after this one is on the disk, name and bytes.

  Raises:
    StorageError: no space, not writable, or the disk fails.
  """
  if step in manager.all_steps():
    return
  leaves = flat(jax.device_get(state))
  stored = {'record': dict(record), 'digests': digests_of(leaves, record)}
  items = {'json': ocp.args.JsonSave(stored), 'leaves': LeavesArgs(leaves)}
  with place_errors(manager.directory):
    manager.save(step, args=ocp.args.Composite(**items))


def restore_newest(
  manager: ocp.CheckpointManager, like: Any, most: int | None = None
) -> Restored | None:
  """Restores the newest step whose bytes verify, with a warning for each newer one that does not.

  Args:
    manager: from `open_manager`.
    like: a pytree of arrays or ShapeDtypeStructs: the structure, shapes and dtypes to expect.
    most: the latest step that is wanted; None for any.

  Returns:
    None where no such step was ever written.

  Raises:
    DamagedError: steps exist and none verifies.
    InputError: the bytes verify and are those of another model, or of other number types.
    StorageError: the place cannot be read, also when tried again.
  """
  steps = sorted(manager.all_steps(), reverse=True)
  steps = [step for step in steps if most is None or step <= most]
  for step in steps:
    try:
      return _restore(manager, step, like)
    except errors.DamagedError as error:
      logging.warning('%s; falling back to an older checkpoint', error)
  if steps:
    raise errors.DamagedError(f'{manager.directory}: none of the steps {steps[::-1]} verifies')
  return None


def _restore(manager: ocp.CheckpointManager, step: int, like: Any) -> Restored:
  leaves, record = _verified(manager, step)
  expected = flat(like)
  if different := _difference(leaves, expected):
    path = manager.directory / str(step)
    raise errors.InputError(f'{path} is whole, but does not fit this process: {different}')
  state = jax.tree.unflatten(jax.tree.structure(like), [leaves[name] for name in expected])
  return Restored(step, state, record)


def _verified(manager: ocp.CheckpointManager, step: int) -> tuple[dict[str, np.ndarray], dict]:
  """Returns the leaves of a step as they are stored, and the record beside them.

  Raises:
    DamagedError: all files of the step could be read, and twice they were not what was written.
    StorageError: the place fails also when asked again.
  """
  path = manager.directory / str(step)
  pauses, was_wrong = iter((*_PAUSES, None)), False
  while True:
    try:
      return _read(manager, step)
    except MemoryError:
      raise  # no verdict on the bytes
    except Exception as error:  # whatever a reader trips over, it is not what was written ...
      if fault := files.fault_of(error) or _fault_in(path):  # ... or the place fails
        if (pause := next(pauses)) is None:
          raise errors.StorageError(f'cannot read {path}: {fault}; nothing was removed') from error
        logging.warning('cannot read %s: %s; trying again', path, fault)
        time.sleep(pause)
      elif was_wrong:
        raise _damaged(step, error) from error
      else:
        was_wrong = True


def _damaged(step: int, error: Exception) -> errors.DamagedError:
  if isinstance(error, errors.DamagedError):
    return errors.DamagedError(str(error))
  reason = f'{type(error).__name__}: {error}'.splitlines()[0][:200]
  return errors.DamagedError(f'checkpoint {step} cannot be read ({reason})')


def _fault_in(path: os.PathLike) -> str:
  """Reads all files of a step; returns what the system says where it cannot, otherwise ''.

  Orbax takes what it cannot look at for absent.
  """
  try:
    files.read_tree(path)
  except OSError as error:
    return files.fault_of(error)
  return ''


def _read(manager: ocp.CheckpointManager, step: int) -> tuple[dict[str, np.ndarray], dict]:
  """Reads the leaves and the record of a step once, and compares them with their digests."""
  # Earlier versions left the arrays to orbax, as its item `state`.
  is_older = (manager.directory / str(step) / 'state').is_dir()
  arrays = {'state': ocp.args.StandardRestore()} if is_older else {'leaves': LeavesArgs()}
  wanted = ocp.args.Composite(json=ocp.args.JsonRestore(), **arrays)
  restored = manager.restore(step, args=wanted)
  leaves = restored.state if is_older else restored.leaves
  record, digests = restored.json['record'], restored.json['digests']
  found = digests_of(leaves, record)
  wrong = sorted(name for name in found | digests if found.get(name) != digests.get(name))
  if wrong:
    raise errors.DamagedError(f'checkpoint {step} fails its sha256 at {wrong[0]}')
  return leaves, record


def _difference(leaves: Mapping[str, np.ndarray], expected: Mapping[str, Any]) -> str:
  """Tells in what stored leaves differ from those that a process wants; '' where they fit."""
  for name in sorted(leaves.keys() | expected.keys()):
    stored, wanted = leaves.get(name), expected.get(name)
    if stored is None or wanted is None:
      return f'{name} is not {"there" if stored is None else "part of the model here"}'
    if stored.shape != wanted.shape:
      return f'{name} is {list(stored.shape)} there and {list(wanted.shape)} here'
    if stored.dtype != wanted.dtype:
      return f'{name} is {stored.dtype} there and {wanted.dtype} here{_x64(stored, wanted)}'
  return ''


def _x64(stored: np.ndarray, wanted: Any) -> str:
  sizes = stored.dtype.itemsize, np.dtype(wanted.dtype).itemsize
  if stored.dtype.kind != np.dtype(wanted.dtype).kind or sorted(sizes) != [4, 8]:
    return ''
  if sizes[0] == 4:
    return ', as JAX_ENABLE_X64 is set now and was not then; unset it'
  return ', as JAX_ENABLE_X64 was set then and is not now; set it'


def forget_after(manager: ocp.CheckpointManager, step: int) -> None:
  """Removes the steps after `step`, so that they can be written again."""
  for newer in manager.all_steps():
    if newer > step:
      manager.delete(newer)
