"""The finished parts of a long evaluation, on disk, so that a stopped one goes on from there."""

import hashlib
import io
import json
import logging
import pathlib
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from vae_jax import errors, evaluation, files, programs
from vae_jax.study import Study

_SECONDS = 30.0  # between two saves: what a kill without a warning may cost


class Kept:
  """Pieces of one evaluation by name, as `programs.Pieces`; see `open_kept`."""

  def __init__(self, path: pathlib.Path, key: str, signal_number: Callable[[], int]):
    self._path = path
    self._key = key
    self._signal_number = signal_number
    self._done = _read(path, key)
    self._saved = time.monotonic()
    if self._done:
      logging.info('%d parts of the evaluation are done already', len(self._done))

  def __call__(self, name: str, compute: Callable[[], programs.Arrays]) -> programs.Arrays:
    """Returns the arrays of one piece, computed now or before.

    Raises:
      Stopped: a signal came; what is done is kept.
      StorageError: the file cannot be written.
    """
    if name in self._done:
      return self._done[name]
    if signal_number := self._signal_number():
      self._save()
      raise errors.Stopped(
        signal_number,
        f'stopped in the evaluation, before {name}; what is done is kept, and the same command '
        'goes on',
      )
    self._done[name] = jax.tree.map(np.asarray, jax.device_get(compute()))
    if time.monotonic() - self._saved > _SECONDS:
      self._save()
    return self._done[name]

  def discard(self) -> None:
    """Removes the file: the results are written."""
    self._path.unlink(missing_ok=True)

  def _save(self) -> None:
    buffer = io.BytesIO()
    arrays = {
      f'{name}/{field}': array
      for name, piece in self._done.items()
      for field, array in piece.items()
    }
    np.savez(buffer, **arrays)
    with files.atomic_path(self._path) as temporary:
      temporary.write_bytes(_check(self._key, buffer.getvalue()) + buffer.getvalue())
    self._saved = time.monotonic()


def _check(key: str, content: bytes) -> bytes:
  """Returns what stands before the content: it belongs to this evaluation, and is whole."""
  return hashlib.sha256(key.encode() + content).hexdigest().encode()


def _read(path: pathlib.Path, key: str) -> dict[str, dict[str, np.ndarray]]:
  """Returns the pieces of a file; none where it is of another evaluation, damaged, or absent."""
  try:
    stored = path.read_bytes()
  except OSError:  # absent, or a disk that fails: it is computed again
    return {}
  check, content = stored[:64], stored[64:]
  if check != _check(key, content):
    return {}
  done = {}
  with np.load(io.BytesIO(content), allow_pickle=False) as archive:
    for entry in archive.files:
      name, _, field = entry.rpartition('/')
      done.setdefault(name, {})[field] = archive[entry]
  return done


def open_kept(
  study: Study,
  directory: pathlib.Path,
  state: programs.States,
  signal_number: Callable[[], int],
) -> Kept:
  """Returns the pieces of the evaluation of a state that a workdir holds, if any.

  They belong to the bits of the parameters, to the images, and to the settings and the width
  that they were computed with: those of any other evaluation are ignored, and in the end replaced.

  Args:
    study, state: of the run.
    directory: the workdir, which the caller holds.
    signal_number: returns 0 until a stop is requested.
  """
  digest = hashlib.sha256()
  facts = [jax.__version__, study.evaluation._asdict(), study.place.width, study.names]
  facts.append(evaluation.Evidence._fields)  # a version that has others cannot use them
  digest.update(json.dumps([*facts, study.dataset.fixed_scale], sort_keys=True).encode())
  images = study.dataset.test, study.dataset.validation
  for leaf in jax.tree.leaves((_parts(programs.params_of(state)), *images)):
    digest.update(np.ascontiguousarray(leaf))
  return Kept(directory / 'evaluation.partial', digest.hexdigest(), signal_number)


def _parts(params: Any) -> Any:
  return getattr(params, 'parts', params)
