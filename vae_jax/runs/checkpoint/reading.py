"""A part of the newest checkpoint, read beside whoever writes them: no lock, nothing written.

A run that goes on removes its older checkpoints, so that one may vanish while it is read: then the
newest is another one, and is read in its place.
"""

import json
import logging
import os
import pathlib
import time
from typing import Any, NamedTuple

import numpy as np
import orbax.checkpoint as ocp

from vae_jax import errors, files
from vae_jax.runs.checkpoint import leaves
from vae_jax.runs.checkpoint.digests import digests_of

_PAUSES = (0.05, 0.2, 1.0, 2.0)  # seconds, after each of which what could not be read is read again


class Leaves(NamedTuple):
  """A verified part of a checkpoint."""

  step: int
  leaves: dict[str, np.ndarray]  # by the names of `digests.flat`
  record: dict[str, Any]  # what was saved beside the state


def read_newest(directory: os.PathLike | str, prefixes: tuple[str, ...]) -> Leaves | None:
  """Returns the leaves of the newest whole checkpoint whose names begin with one of `prefixes`.

  Args:
    directory: of the checkpoints, which may be read-only, or being written to.
    prefixes: such as '.params', without which the optimiser's moments would be read, too.

  Returns:
    None where there is no checkpoint.

  Raises:
    DamagedError: there are checkpoints, and none verifies.
    StorageError: the place cannot be read.
  """
  directory = pathlib.Path(directory).absolute()  # as orbax wants it
  for pause in (*_PAUSES, None):
    steps, faults = _steps(directory), []
    if not steps:
      return None
    for step in steps:
      path = directory / str(step)
      try:
        return _read(path, step, prefixes)
      except MemoryError:
        raise  # no verdict on the bytes
      except Exception as error:  # whatever a reader trips over: see below what it was
        if not path.exists():
          break  # removed meanwhile: there is a newer one
        logging.warning('cannot read %s: %s', path, str(error).partition('\n')[0])
        faults.append((path, error))
    if pause is not None:
      time.sleep(pause)
  for path, error in faults:
    if fault := files.fault_of(error):
      raise errors.StorageError(f'cannot read {path}: {fault}') from error
  cause = faults[0][1] if faults else None
  raise errors.DamagedError(f'{directory}: none of the steps {steps[::-1]} verifies') from cause


def _steps(directory: pathlib.Path) -> list[int]:
  """Returns the steps of a directory, the newest first."""
  try:
    names = os.listdir(directory)
  except FileNotFoundError:
    return []
  except OSError as error:
    raise errors.StorageError(f'cannot read {directory}: {error.strerror}') from error
  return sorted((int(name) for name in names if name.isdecimal()), reverse=True)


def _read(path: pathlib.Path, step: int, prefixes: tuple[str, ...]) -> Leaves:
  stored = json.loads((path / 'json' / 'metadata').read_bytes())
  record, digests = stored['record'], stored['digests']
  names = [name for name in digests if name.startswith(prefixes)]
  arrays = _leaves(path, names)
  found = digests_of(arrays, record)
  wrong = [name for name in ('record', *names) if found.get(name) != digests[name]]
  if wrong:
    raise errors.DamagedError(f'checkpoint {step} fails its sha256 at {wrong[0]}')
  return Leaves(step, arrays, record)


def _leaves(path: pathlib.Path, names: list[str]) -> dict[str, np.ndarray]:
  """Reads these leaves of a step, as arrays of the host, whatever device they were on."""
  if not (path / 'state').is_dir():  # of an earlier version
    return leaves.read(path / 'leaves', names)
  with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
    return reader.restore(
      path / 'state',
      args=ocp.args.PyTreeRestore(
        item=dict.fromkeys(names, 0),
        restore_args=dict.fromkeys(names, ocp.RestoreArgs(restore_type=np.ndarray)),
        partial_restore=True,
      ),
    )
