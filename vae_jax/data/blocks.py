"""Arrays a part at a time: one that is mapped from a disk may be larger than the memory."""

import math
from collections.abc import Callable, Iterator

import numpy as np

MOST = 2**22  # values at a time: in float64 a whole data set would take eight times its bytes


def of(array: np.ndarray) -> Iterator[np.ndarray]:
  """Yields the rows of an array [n, ...], so many at a time that they have `MOST` values."""
  rows = max(1, MOST // max(1, math.prod(array.shape[1:])))
  for start in range(0, len(array), rows):
    yield array[start : start + rows]


def count(condition: Callable[[np.ndarray], np.ndarray], array: np.ndarray) -> int:
  """Returns for how many values a condition, such as `np.isfinite`, holds."""
  return sum(int(np.count_nonzero(condition(block))) for block in of(array))


def has_nan(array: np.ndarray) -> bool:
  """Tells whether a value is NaN, which is one that is missing."""
  return array.dtype.kind == 'f' and any(np.isnan(block).any() for block in of(array))


def is_whole(array: np.ndarray) -> bool:
  """Tells whether all values are whole numbers; what is missing is left aside."""
  return array.dtype.kind != 'f' or all(
    np.array_equal(block, np.rint(block), equal_nan=True) for block in of(array)
  )


def mean(array: np.ndarray, axis: int | None) -> np.ndarray:
  """Returns the mean over the examples, or over all values, in float64; without those missing."""
  if not has_nan(array):
    return array.mean(axis=axis, dtype=np.float64)
  total = sum(np.nansum(block, axis=axis, dtype=np.float64) for block in of(array))
  return total / sum(np.count_nonzero(~np.isnan(block), axis=axis) for block in of(array))
