"""The lines of metrics.jsonl: how a row is written and sealed, and read forwards or from the end.

A row ends with the CRC-32 of what stands before it: {"lane": 0, ..., "crc32": "0a1b2c3d"}. The
journal of an earlier version has none, and gets them when it is opened to go on.
"""

import io
import json
import math
import os
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

CRC = 'crc32'
_SEAL = re.compile(rb', "crc32": "([0-9a-f]{8})"\}$')
_SEAL_BYTES = len(', "crc32": "01234567"}')
_HEAD = re.compile(rb'\{"lane": (\d{1,18}), "step": (\d{1,18})[,}]')
_BLOCK_BYTES = 2**16  # of the end of a journal
_LOOKED_AT = 100  # lines there that tell whether a journal is sealed


class Line(NamedTuple):
  """A whole line; of one that is not the row that was written, why."""

  number: int  # from 1
  value: Any  # what it was parsed to; None where there is a fault
  fault: str


def encode(row: Mapping[str, Any]) -> bytes:
  """Returns a row as a line of a journal, with its check."""
  finite = {
    name: None if isinstance(value, float) and not math.isfinite(value) else value
    for name, value in row.items()
  }
  return seal(json.dumps(finite, allow_nan=False).encode()) + b'\n'


def seal(line: bytes) -> bytes:
  """Returns the line of a row with the CRC-32 of its bytes at its end."""
  return line[:-1] + f', "{CRC}": "{zlib.crc32(line):08x}"}}'.encode()


def is_sealed(line: bytes) -> bool:
  """Tells whether a line has a check, right or wrong."""
  return _SEAL.search(line, max(0, len(line) - _SEAL_BYTES)) is not None


def row_of(line: bytes, needs_seal: bool) -> dict[str, Any]:
  """Returns the row of a line, without its check; raises ValueError where it is none."""
  row = json.loads(_checked(line, needs_seal), parse_constant=_refuse_constant)
  if not isinstance(row, dict) or not all(type(row.get(key)) is int for key in ('lane', 'step')):
    raise ValueError('not an object with the integers "lane" and "step"')
  return row


def point_of(line: bytes, needs_seal: bool) -> tuple[int, int]:
  """Returns lane and step of a row; raises ValueError where it is none.

  Bytes that their check covers are those that were written: the rest of them is not parsed, which
  takes ten times as long.
  """
  if is_sealed(line) and (head := _HEAD.match(line)):
    _checked(line, needs_seal)
    return int(head[1]), int(head[2])
  row = row_of(line, needs_seal)
  return row['lane'], row['step']


def some_of(names: Sequence[str]) -> Callable[[bytes, bool], tuple[int, int, list[float | None]]]:
  """Returns the parser of lane, step and some numbers of a row; see `point_of`."""
  keys = [f', {json.dumps(name)}: '.encode() for name in names]  # a quote inside a name is escaped

  def parse(line: bytes, needs_seal: bool) -> tuple[int, int, list[float | None]]:
    if is_sealed(line) and _HEAD.match(line):
      return *point_of(line, needs_seal), [_number(line, key) for key in keys]
    row = row_of(line, needs_seal)
    return row['lane'], row['step'], [row.get(name) for name in names]

  return parse


def _number(line: bytes, key: bytes) -> float | None:
  """Returns the number behind a key of a sealed line; None of null, or where there is none."""
  if (place := line.find(key)) < 0:
    return None
  start = place + len(key)
  text = line[start : line.index(b',', start)]  # at the latest that before the check
  return None if text == b'null' else float(text)


def read(path: os.PathLike | str, parse: Callable[[bytes, bool], Any] = row_of) -> Iterator[Line]:
  """Yields the whole lines of a journal, one at a time: its size is not held in memory.

  A last line that is torn is left out. It may end in a newline, too: a power cut can lose the block
  before it.

  Args:
    path: of metrics.jsonl; a run may be writing it.
    parse: `row_of`, `point_of` or one of `some_of`.
  """
  with open(path, 'rb') as file:
    # Where one row is sealed all are.
    ends = (line for (_, line), _ in zip(_backwards(file), range(_LOOKED_AT), strict=False))
    sealed = any(map(is_sealed, ends))
    file.seek(0)
    bad = None
    for number, line in enumerate(file, start=1):
      if bad is not None:
        yield bad
      if not line.endswith(b'\n'):
        return
      bad = None
      try:
        value = parse(line[:-1], sealed)
      except ValueError as error:
        bad = Line(number, None, str(error))
      else:
        yield Line(number, value, '')


def from_the_end(path: os.PathLike | str) -> Iterator[tuple[int, bytes]]:
  """Yields (where it ends, line) of each whole line of a journal, the last one first.

  The end is in bytes, behind the newline. No more is read than what is asked for, in blocks.
  """
  with open(path, 'rb') as file:
    yield from _backwards(file)


def _backwards(file: io.BufferedReader) -> Iterator[tuple[int, bytes]]:
  begin, first, is_whole = file.seek(0, os.SEEK_END), b'', False
  while begin:
    size = min(begin, max(_BLOCK_BYTES, len(first)))  # a longer line by ever larger blocks
    begin -= size
    file.seek(begin)
    block = file.read(size) + first
    first, *lines = block.split(b'\n')
    end = begin + len(block) + 1
    for line in reversed(lines):
      if is_whole:
        yield end, line
      end -= len(line) + 1
      is_whole = True  # all but what stands behind the last newline
  if is_whole:
    yield len(first) + 1, first


def _checked(line: bytes, needs_seal: bool) -> bytes:
  """Returns what was sealed; raises ValueError where the check is wrong, or absent and needed."""
  found = _SEAL.search(line, max(0, len(line) - _SEAL_BYTES))
  if found is None:
    if needs_seal:
      raise ValueError('its check is missing')
    return line
  line = line[: found.start()] + b'}'
  if zlib.crc32(line) != int(found[1], 16):
    raise ValueError('it fails its check')
  return line


def _refuse_constant(name: str) -> NoReturn:
  raise ValueError(f'{name} is not JSON')
