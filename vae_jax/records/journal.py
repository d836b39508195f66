"""metrics.jsonl: one strict JSON object a line, {"lane": i, "step": s, "train/elbo": ...}.

NaN and infinities, which JSON does not have, are written as null. A float32 is written with as
many digits as it needs to be read back bit-equal. Each (lane, step) stands exactly once, also
after kills and restarts, and steps never go back from one line to the next. See `lines` for the
check at the end of each.
"""

import array
import math
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax import errors, files
from vae_jax.records import lines, scalars

_OWN = ('lane', 'step', lines.CRC)  # keys of a row that are no metric


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
    block = memoryview(b''.join(lines.encode(row) for row in rows))
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

  Rows of later steps are cut off, since the run will write them again, and so is a last line that
  a kill has torn. It is read from its end, up to the last row that stays: see `mending.damage` for
  what stands before it. A journal without checks is rewritten, atomically, with them.

  Raises:
    DamagedError: a line that was read, and is not the last, is not a row.
    StorageError: the file cannot be written.
  """
  path = pathlib.Path(path)
  with files.storage_errors(path):
    if not path.exists():
      return Journal(path, -1)
    end, line = _last_to_stay(path, restored_step)
    if line and not lines.is_sealed(line):
      _seal_all(path, restored_step)
    elif end < path.stat().st_size:
      os.truncate(path, end)
      files.sync(path)
  return Journal(path, lines.point_of(line, needs_seal=False)[1] if line else -1)


def _last_to_stay(path: pathlib.Path, restored_step: int) -> tuple[int, bytes]:
  """Returns (where it ends, line) of the last row up to a step; (0, b'') where there is none."""
  size = path.stat().st_size
  for end, line in lines.from_the_end(path):
    try:
      _, step = lines.point_of(line, needs_seal=False)
    except ValueError as error:
      if end == size:
        continue  # a power cut can lose the block before a newline
      read_metrics(path)  # raises, with the number of the line
      raise errors.DamagedError(f'{path}: {error}') from error
    if step <= restored_step:
      return end, line
  return 0, b''


def _seal_all(path: pathlib.Path, restored_step: int) -> None:
  rows = [row for row in read_metrics(path) if row['step'] <= restored_step]
  with files.atomic_path(path) as temporary:
    temporary.write_bytes(b''.join(map(lines.encode, rows)))


def read_metrics(path: os.PathLike | str) -> list[dict[str, Any]]:
  """Returns the rows of a metrics.jsonl in file order; null (NaN, infinity) is None.

  A torn last line is left out, so a run that is being written can be read.

  Raises:
    DamagedError: a line other than the last is not a row.
  """
  rows = []
  for line in lines.read(path):
    _check(line, path)
    rows.append(line.value)
  return rows


class Columns(Sequence[dict[str, Any]]):
  """Rows of a journal with some of their metrics, where known; 8 bytes a number are held."""

  def __init__(self, names: Sequence[str]):
    self._lanes, self._steps = array.array('q'), []
    self._values = {name: array.array('d') for name in names}

  def _append(self, lane: int, step: int, values: Sequence[float | None]) -> None:
    # Rows of a step share one int, as do the curves that are made of them.
    is_same = self._steps and self._steps[-1] == step
    self._steps.append(self._steps[-1] if is_same else step)
    self._lanes.append(lane)
    for column, value in zip(self._values.values(), values, strict=True):
      column.append(math.nan if value is None else value)

  def __len__(self) -> int:
    return len(self._lanes)

  def __getitem__(self, i: int) -> dict[str, Any]:
    known = {name: v for name, column in self._values.items() if not math.isnan(v := column[i])}
    return {'lane': self._lanes[i], 'step': self._steps[i], **known}


def read_columns(path: os.PathLike | str, names: Sequence[str]) -> Columns:
  """Returns the rows as `read_metrics` does, with the metrics of these names alone."""
  found = Columns(names)
  for line in lines.read(path, lines.some_of(names)):
    _check(line, path)
    found._append(*line.value)
  return found


def last_step(path: os.PathLike | str) -> int | None:
  """Returns the last step of a metrics.jsonl all lines of which are rows; None where it has none.

  Raises:
    DamagedError: see `read_metrics`.
  """
  step = None
  for line in lines.read(path, lines.point_of):
    _check(line, path)
    _, step = line.value
  return step


def rows_where(
  keep: Callable[[int, int], bool], path: os.PathLike | str
) -> Iterator[dict[str, Any]]:
  """Yields the rows of a metrics.jsonl for which keep(lane, step) is true, as `read_metrics` does.

  Of the others lane and step alone are parsed, and no row is held.
  """

  def parse(line: bytes, needs_seal: bool) -> dict[str, Any] | None:
    wanted = keep(*lines.point_of(line, needs_seal))
    return lines.row_of(line, needs_seal) if wanted else None

  for line in lines.read(path, parse):
    _check(line, path)
    if line.value is not None:
      yield line.value


def _check(line: lines.Line, path: os.PathLike | str) -> None:
  if line.fault:
    raise errors.DamagedError(f'{path}, line {line.number}: {line.fault}')


def rows_of(
  step: int, metrics: Mapping[str, np.ndarray], lanes: Sequence[int]
) -> list[dict[str, Any]]:
  """Returns one row for each of n lanes from arrays [n].

  Raises:
    ValueError: a metric is not [n], or is named like a column of the journal's own.
  """
  size = len(lanes)
  for name, values in metrics.items():
    if name in _OWN or np.shape(values) != (size,):
      raise ValueError(f'metric {name!r} {np.shape(values)}: expected a metric of shape ({size},)')
  columns = {name: scalars.python_numbers(np.asarray(values)) for name, values in metrics.items()}
  return [
    {'lane': lane, 'step': step, **{name: column[i] for name, column in columns.items()}}
    for i, lane in enumerate(lanes)
  ]
