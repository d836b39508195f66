"""The log points that a run has passed, as ranges: [[10, 60, 10], [65, 65, 1]] is 10, 20 ... 65.

They stand in its checkpoints, so that a journal that is behind its checkpoint is seen, whatever
cadences the run has had.
"""

import functools
from collections.abc import Iterable, Sequence

Ranges = Sequence[Sequence[int]]  # of first, last and stride


def with_step(ranges: Ranges, step: int) -> list[list[int]]:
  """Returns ranges with one more step, later than all."""
  ranges = [list(part) for part in ranges]
  if ranges:
    first, last, stride = ranges[-1]
    if first == last or step == last + stride:
      ranges[-1] = [first, step, step - last]
      return ranges
  return [*ranges, [step, step, 1]]


def ranges_of(steps: Iterable[int]) -> list[list[int]]:
  """Returns steps in order as ranges."""
  return functools.reduce(with_step, steps, [])


def steps_in(ranges: Ranges) -> list[int]:
  """Returns the steps in order."""
  return [step for first, last, stride in ranges for step in range(first, last + 1, stride)]
