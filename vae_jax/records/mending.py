"""What is wrong with a journal, and how it is mended before a run goes on.

It is read line by line, and of a line that is as it was written lane and step alone are parsed.
"""

import array
import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vae_jax import files
from vae_jax.records import lines


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
  points, _ = _points_and_faults(path)
  return np.unique(points[:, 2]).tolist()


def damage(
  path: os.PathLike | str, steps: Sequence[int], stopped_at: Sequence[int | None]
) -> Damage:
  """Compares a journal with the log points that a run has passed; later rows are ignored.

  Args:
    path: of metrics.jsonl; without it every row is missing.
    steps: the log points in order.
    stopped_at: the step of the last row of each lane, [G]; None of one that trains.
  """
  points, faults = _points_and_faults(path)
  last = steps[-1] if steps else 0
  numbers, lanes, at = points[points[:, 2] <= last].T
  ends = np.array([last if step is None else step for step in stopped_at])
  due = np.array(steps, int)[:, None] <= ends  # [log points, G]
  places = np.searchsorted(steps, at)
  known = np.isin(at, steps) & (lanes >= 0) & (lanes < len(ends))
  known[known] = due[places[known], lanes[known]]
  _, first = np.unique(places[known] * len(ends) + lanes[known], return_index=True)
  once = np.flatnonzero(known)[first]
  due[places[once], lanes[once]] = False
  missing = [(steps[place], lane) for place, lane in np.argwhere(due).tolist()]
  return Damage(sorted([*faults, *np.delete(numbers, once).tolist()]), missing)


def take_out(path: os.PathLike | str, lines: Sequence[int]) -> None:
  """Moves lines of a journal, by their numbers, to the end of metrics.damaged beside it."""
  path = pathlib.Path(path)
  *content, tail = path.read_bytes().split(b'\n')
  aside = path.with_suffix('.damaged')
  removed = b''.join(content[number - 1] + b'\n' for number in lines)
  with files.atomic_path(aside) as temporary:
    temporary.write_bytes((aside.read_bytes() if aside.exists() else b'') + removed)
  with files.atomic_path(path) as temporary:
    kept = (line for number, line in enumerate(content, start=1) if number not in set(lines))
    temporary.write_bytes(b''.join(line + b'\n' for line in kept) + tail)


def _points_and_faults(path: os.PathLike | str) -> tuple[np.ndarray, list[int]]:
  """Returns (number, lane, step) of each row, int64 [n, 3], and the numbers of the other lines."""
  points, faults = array.array('q'), []
  for line in lines.read(path, lines.point_of) if os.path.exists(path) else ():
    if line.fault:
      faults.append(line.number)
    else:
      points.extend((line.number, *line.value))
  return np.array(points, np.int64).reshape(-1, 3), faults
