"""What a person says of examples beside x, by the names of the columns of the data set."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vae_jax import data, errors
from vae_jax.runs.model_file import Facts

Given = Mapping[str, Any] | None


def beside_of(
  given: Given, facts: Facts, size_factor: str, count: int, x: np.ndarray | None = None
) -> data.Beside:
  """Returns what the model reads of `given`, for so many examples.

  Args:
    given: name of a column -> its values [N], or one for all examples.
    facts: of the run.
    size_factor: `data.size_factor` of the run.
    count: N.
    x: the examples [N, *event] whose log p(x | z) is asked for: then their sizes must be known.
      None where they are of the mean size if nothing else is said.

  Raises:
    InputError: a column is not given, is none of the run's, or has other values; one line.
  """
  names = [condition.name for condition in facts.conditions]
  given = dict(given or {})
  for name in given:
    if name not in (*names, size_factor):
      raise errors.InputError(f'given={name!r}: {_asked(names, size_factor)}')
  parts = []
  for condition in facts.conditions:
    if condition.name not in given:
      raise errors.InputError(f'the lane needs given={{{condition.name!r}: {_example(condition)}}}')
    values = _values(given[condition.name], count, condition.name)
    parts.append(condition.encoded(values, f'given[{condition.name!r}]'))
  return data.Beside(
    np.concatenate(parts, axis=1) if parts else None,
    _sizes(given, facts, size_factor, count, x) if size_factor else None,
  )


def columns_of(beside: data.Beside, facts: Facts, size_factor: str) -> dict[str, np.ndarray]:
  """Returns what `beside_of` takes, as NumPy arrays [N]: its inverse."""
  found, first = {}, 0
  for condition in facts.conditions:
    found[condition.name] = condition.decoded(beside.condition[:, first : first + condition.size])
    first += condition.size
  if size_factor:
    found[size_factor] = np.asarray(beside.size, np.float64) * facts.mean_size
  return found


def _sizes(
  given: Mapping[str, Any], facts: Facts, size_factor: str, count: int, x: np.ndarray | None
) -> np.ndarray:
  if size_factor in given:
    found = data.sizes(
      size_factor, None, {size_factor: _values(given[size_factor], count)}, 'given'
    )
  elif x is None:
    return np.ones(count, np.float32)
  elif size_factor == data.ROW_SUM:
    found = data.sizes(size_factor, x, {}, 'x')
  else:
    raise errors.InputError(f'the lane needs given={{{size_factor!r}: sizes [{count}]}}')
  return (found / facts.mean_size).astype(np.float32)


def _values(values: Any, count: int, name: str = 'size') -> np.ndarray:
  values = np.asarray(values)
  if values.shape not in ((), (count,)):
    raise errors.InputError(
      f'given[{name!r}] has shape {list(values.shape)}; give one value, or {count}'
    )
  return np.broadcast_to(values, (count,))


def _example(condition: data.Condition) -> str:
  if not condition.classes:
    return 'numbers'
  return f'one of {", ".join(map(repr, condition.classes[:10]))}'


def _asked(names: list[str], size_factor: str) -> str:
  known = [*names, *([size_factor] if size_factor else [])]
  return f'the run knows {", ".join(map(repr, known))}' if known else 'the run is given nothing'
