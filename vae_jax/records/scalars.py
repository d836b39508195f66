"""Numbers of arrays as plain Python numbers, in the shortest form that reads back unchanged."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def python_numbers(values: np.ndarray) -> list[int | float | bool]:
  """Returns the numbers of an array [G]; `values.dtype.type(number)` is bit-equal to its element.

  A float32 0.1 becomes 0.1, not 0.10000000149011612: files stay short and readable.

  Raises:
    TypeError: the array does not hold real numbers.
  """
  if values.dtype.kind in 'biu':
    return values.tolist()
  if values.dtype.kind == 'V':  # bfloat16 and its like, every value of which is a float32
    values = values.astype(np.float32)
  if values.dtype.kind != 'f':
    raise TypeError(f'expected numbers, got an array of {values.dtype}')
  return [_shortest(value) for value in values]


def python_values(row: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a row with its scalars of numpy or JAX as Python numbers, the rest as it is."""
  return {
    name: python_numbers(np.asarray(value).reshape(1))[0] if hasattr(value, 'dtype') else value
    for name, value in row.items()
  }


def _shortest(value: np.floating) -> float:
  short = float(str(value))
  # Reading goes decimal -> float64 -> float32 and may round twice; then the long form is needed.
  return short if type(value)(short) == value else float(value)
