"""metrics.jsonl: one strict JSON object a line, {"lane": i, "step": s, "train/elbo": ...}.

NaN and infinities, which JSON does not have, are written as null. A float32 is written with as
many digits as it needs to be read back bit-equal. Each (lane, step) stands exactly once, also
after kills and restarts.
"""

import json
import math
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

import numpy as np

from vae_jax import errors, files
from vae_jax.tracking import scalars


class Journal:
  """An open metrics.jsonl; `last_step` is the last step that it holds, -1 when it is empty."""

  def __init__(self, path: pathlib.Path, last_step: int):
    self._path = path
    self.last_step = last_step
    with files.storage_errors(path):
      # Unbuffered: after a failed write no bytes stay behind to fail again on close.
      self._file = open(path, 'ab', buffering=0, opener=files.private)  # noqa: SIM115 (see close)

  def append(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Appends the rows of one step, all or none of them, and waits until the disk has them.

    Raises:
      ValueError: rows of this step, or of a later one, are there already.
      StorageError: no space left, or the file cannot be written.
    """
    if step <= self.last_step:
      raise ValueError(f'{self._path} holds step {self.last_step}: step {step} would stand twice')
    block = memoryview(b''.join(_encode(row) for row in rows))
    with files.storage_errors(self._path):
      size = os.fstat(self._file.fileno()).st_size
      try:
        while block:
          block = block[self._file.write(block) :]
        os.fsync(self._file.fileno())
      except OSError:
        self._file.truncate(size)
        raise
    self.last_step = step

  def close(self) -> None:
    """Closes the file; what was appended is on the disk already."""
    self._file.close()


def open_journal(path: os.PathLike | str, restored_step: int) -> Journal:
  """Opens a journal for a run that continues from `restored_step` (0 for a new one).

  Rows of later steps are dropped, since the run will write them again, and so is a last line that
  a kill has torn. The file is rewritten, atomically, only if something must go.

  Raises:
    DamagedError: a line other than the last is not a row.
    StorageError: the file cannot be written.
  """
  path = pathlib.Path(path)
  data = _bytes_of(path)
  kept = [pair for pair in _lines_and_rows(data, path) if pair[1]['step'] <= restored_step]
  healed = b''.join(line + b'\n' for line, _ in kept)
  if healed != data:
    with files.atomic_path(path) as temporary:
      temporary.write_bytes(healed)
  return Journal(path, _last_step(row for _, row in kept))


def last_step(path: os.PathLike | str) -> int:
  """Returns the last step in a metrics.jsonl, -1 if there is none; raises DamagedError."""
  return _last_step(row for _, row in _lines_and_rows(_bytes_of(pathlib.Path(path)), path))


def read_metrics(path: os.PathLike | str) -> list[dict[str, Any]]:
  """Returns the rows of a metrics.jsonl in file order; null (NaN, infinity) is None.

  A torn last line is left out, so a run that is being written can be read.

  Raises:
    DamagedError: a line other than the last is not a row.
  """
  return [row for _, row in _lines_and_rows(pathlib.Path(path).read_bytes(), path)]


def rows_of(step: int, metrics: Mapping[str, np.ndarray], lanes: int) -> list[dict[str, Any]]:
  """Returns one row per lane from arrays [G].

  Raises:
    ValueError: a metric is not [G], or is named like the columns `lane` and `step`.
  """
  for name, values in metrics.items():
    if name in ('lane', 'step') or np.shape(values) != (lanes,):
      raise ValueError(f'metric {name!r} {np.shape(values)}: expected a metric of shape ({lanes},)')
  columns = {name: scalars.python_numbers(np.asarray(values)) for name, values in metrics.items()}
  return [
    {'lane': lane, 'step': step, **{name: column[lane] for name, column in columns.items()}}
    for lane in range(lanes)
  ]


def _encode(row: Mapping[str, Any]) -> bytes:
  finite = {
    name: None if isinstance(value, float) and not math.isfinite(value) else value
    for name, value in row.items()
  }
  return json.dumps(finite, allow_nan=False).encode() + b'\n'


def _lines_and_rows(data: bytes, path: os.PathLike | str) -> list[tuple[bytes, dict[str, Any]]]:
  """Returns every whole line with its row; raises DamagedError for one before the last."""
  *lines, tail = data.split(b'\n')
  pairs = []
  for number, line in enumerate(lines, start=1):
    try:
      pairs.append((line, _decode(line)))
    except ValueError as error:
      # The last line may also end in a newline: a power cut can lose the block before it.
      if number == len(lines) and not tail:
        break
      raise errors.DamagedError(f'{path}, line {number}: {error}') from error
  return pairs


def _decode(line: bytes) -> dict[str, Any]:
  row = json.loads(line, parse_constant=_refuse_constant)
  if not isinstance(row, dict) or not all(type(row.get(key)) is int for key in ('lane', 'step')):
    raise ValueError('not an object with the integers "lane" and "step"')
  return row


def _refuse_constant(name: str) -> NoReturn:
  raise ValueError(f'{name} is not JSON')


def _last_step(rows: Iterable[Mapping[str, Any]]) -> int:
  return max((row['step'] for row in rows), default=-1)


def _bytes_of(path: pathlib.Path) -> bytes:
  return path.read_bytes() if path.exists() else b''
