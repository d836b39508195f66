"""Arrays a part at a time: one that is mapped from a disk may be larger than the memory."""

import itertools
import math
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from vae_jax import errors, files

MOST = 2**22  # values at a time: in float64 a whole data set would take eight times its bytes


def of(array: np.ndarray) -> Iterator[np.ndarray]:
  """Yields the rows of an array [n, ...], so many at a time that they have `MOST` values.

  Of no rows one block without any.
  """
  rows = max(1, MOST // max(1, math.prod(array.shape[1:])))
  for start in range(0, max(1, len(array)), rows):
    yield array[start : start + rows]


def is_mapped(array: np.ndarray) -> bool:
  """Tells whether an array lies in a file, of which the memory has what was looked at last."""
  while isinstance(array, np.ndarray):
    if isinstance(array, np.memmap):
      return True
    array = array.base
  return False


def each(function: Callable[[np.ndarray], np.ndarray], array: np.ndarray) -> np.ndarray:
  """Returns function(array) of a function of rows alone, computed a part at a time.

  Of an array that is mapped the result is, too.

  Raises:
    StorageError: the disk does not take it.
  """
  return _joined(map(function, of(array)), len(array), is_mapped(array))


def rows_of(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
  """Returns some rows [m], copied as `each` does."""
  if not is_mapped(array):
    return array[rows]
  most = max(1, MOST // max(1, math.prod(array.shape[1:])))
  parts = (array[rows[start : start + most]] for start in range(0, len(rows), most))
  return _joined(parts, len(rows), True)


def joined(arrays: Iterable[np.ndarray]) -> np.ndarray:
  """Returns arrays one after the other, copied as `each` does."""
  arrays = list(arrays)
  if not any(map(is_mapped, arrays)):
    return np.concatenate(arrays)
  return _joined(itertools.chain.from_iterable(map(of, arrays)), sum(map(len, arrays)), True)


def _joined(parts: Iterator[np.ndarray], count: int, on_disk: bool) -> np.ndarray:
  """Returns the rows of parts, `count` in all: in memory, or in a file without a name.

  The file is in the cache directory, and goes when the array does, or the process.
  """
  first = next(parts)
  shape, dtype = (count, *first.shape[1:]), first.dtype
  if not on_disk or not math.prod(shape):
    whole, start = np.empty(shape, dtype), 0
    for part in itertools.chain([first], parts):
      whole[start : start + len(part)] = part
      start += len(part)
    return whole
  folder = files.cache_root()
  with files.storage_errors(folder):
    files.make_directory(folder)
    _check_free(folder, math.prod(shape) * dtype.itemsize)
    with tempfile.TemporaryFile(dir=folder) as file:
      for part in itertools.chain([first], parts):
        file.write(np.ascontiguousarray(part))
      file.flush()
      return np.asarray(np.memmap(file, dtype, 'r', shape=shape))


def _check_free(folder: pathlib.Path, size: int) -> None:
  free = shutil.disk_usage(folder).free
  if size > free:
    raise errors.StorageError(
      f'{folder} has {free / 2**30:,.1f} GiB free, and what the section data makes of a mapped '
      f'file takes {size / 2**30:,.1f} there; set VAE_JAX_CACHE to a directory with more'
    )


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
