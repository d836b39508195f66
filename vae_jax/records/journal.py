"""metrics.jsonl: one strict JSON object a line, {"lane": i, "step": s, "train/elbo": ...}.

NaN and infinities, which JSON does not have, are written as null. A float32 is written with as
many digits as it needs to be read back bit-equal. Each (lane, step) stands exactly once, also
after kills and restarts.

A row ends with the CRC-32 of what stands before it: {"lane": 0, ..., "crc32": "0a1b2c3d"}. The
journal of an earlier version has none, and gets them when it is opened to go on.
"""

import json
import math
import os
import pathlib
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import numpy as np

from vae_jax import errors, files
from vae_jax.records import scalars

_CRC = 'crc32'
_OWN = ('lane', 'step', _CRC)  # keys of a row that are no metric
_SEAL = re.compile(rb', "crc32": "([0-9a-f]{8})"\}$')


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
    block = memoryview(b''.join(encode(row) for row in rows))
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
  healed = b''.join((line if _SEAL.search(line) else _seal(line)) + b'\n' for line, _ in kept)
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


def encode(row: Mapping[str, Any]) -> bytes:
  """Returns a row as a line of a journal, with its check."""
  finite = {
    name: None if isinstance(value, float) and not math.isfinite(value) else value
    for name, value in row.items()
  }
  return _seal(json.dumps(finite, allow_nan=False).encode()) + b'\n'


def _seal(line: bytes) -> bytes:
  """Returns the line of a row with the CRC-32 of its bytes at its end."""
  return line[:-1] + f', "{_CRC}": "{zlib.crc32(line):08x}"}}'.encode()


class Damage(NamedTuple):
  """What is wrong with a journal."""

  lines: list[int]  # numbers, from 1, of lines that are not the rows that were written
  missing: list[tuple[int, int]]  # (step, lane) of rows that should be there, in order

  def __str__(self) -> str:
    """Returns it in words."""
    words = [f'line {", ".join(map(str, self.lines[:3]))} fails its check'] if self.lines else []
    if self.missing:
      shown = ', '.join(f'lane {lane} at step {step}' for step, lane in self.missing[:3])
      more = f' and {len(self.missing) - 3} more' if len(self.missing) > 3 else ''
      words.append(f'the row of {shown}{more} is missing')
    return ', and '.join(words)


def steps_of(path: os.PathLike | str) -> list[int]:
  """Returns the steps of the rows that are as they were written, in order."""
  rows, _ = rows_and_faults(_bytes_of(pathlib.Path(path)))
  return sorted({row['step'] for _, _, row in rows})


def damage(
  path: os.PathLike | str, steps: Sequence[int], stopped_at: Sequence[int | None]
) -> Damage:
  """Compares a journal with the log points that a run has passed; later rows are ignored.

  Args:
    path: of metrics.jsonl; without it every row is missing.
    steps: the log points in order.
    stopped_at: the step of the last row of each lane, [G]; None of one that trains.
  """
  rows, bad = rows_and_faults(_bytes_of(pathlib.Path(path)))
  last = steps[-1] if steps else 0
  ends = [last if step is None else step for step in stopped_at]
  due = {(step, lane) for lane, end in enumerate(ends) for step in steps if step <= end}
  seen, wrong = set(), [number for number, _ in bad]
  for number, _, row in rows:
    point = (row['step'], row['lane'])
    if row['step'] <= last and (point not in due or point in seen):
      wrong.append(number)
    seen.add(point)
  return Damage(sorted(wrong), sorted(due - seen))


def take_out(path: os.PathLike | str, lines: Sequence[int]) -> None:
  """Moves lines of a journal, by their numbers, to the end of metrics.damaged beside it."""
  path = pathlib.Path(path)
  *content, tail = _bytes_of(path).split(b'\n')
  aside = path.with_suffix('.damaged')
  removed = b''.join(content[number - 1] + b'\n' for number in lines)
  with files.atomic_path(aside) as temporary:
    temporary.write_bytes(_bytes_of(aside) + removed)
  with files.atomic_path(path) as temporary:
    kept = (line for number, line in enumerate(content, start=1) if number not in set(lines))
    temporary.write_bytes(b''.join(line + b'\n' for line in kept) + tail)


def _lines_and_rows(data: bytes, path: os.PathLike | str) -> list[tuple[bytes, dict[str, Any]]]:
  """Returns every whole line with its row; raises DamagedError for one before the last."""
  rows, bad = rows_and_faults(data)
  for number, reason in bad:
    raise errors.DamagedError(f'{path}, line {number}: {reason}')
  return [(line, row) for _, line, row in rows]


def rows_and_faults(
  data: bytes,
) -> tuple[list[tuple[int, bytes, dict[str, Any]]], list[tuple[int, str]]]:
  """Returns the rows with their numbers and lines, and what is wrong with the other lines.

  A last line that is torn is neither. It may end in a newline, too: a power cut can lose the block
  before it.
  """
  *lines, tail = data.split(b'\n')
  sealed = any(_SEAL.search(line) for line in lines)
  rows, bad = [], []
  for number, line in enumerate(lines, start=1):
    try:
      rows.append((number, line, _decode(line, sealed)))
    except ValueError as error:
      if number < len(lines) or tail:
        bad.append((number, str(error)))
  return rows, bad


def _decode(line: bytes, sealed: bool) -> dict[str, Any]:
  """Returns the row of a line; where the journal is sealed, every line is."""
  seal = _SEAL.search(line)
  if sealed and seal is None:
    raise ValueError('its check is missing')
  if seal is not None:
    line = line[: seal.start()] + b'}'
    if zlib.crc32(line) != int(seal.group(1), 16):
      raise ValueError('it fails its check')
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
