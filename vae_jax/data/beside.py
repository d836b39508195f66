"""What is known of an example beside x: what the model is conditioned on, and how large it is."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vae_jax import errors
from vae_jax.data import blocks
from vae_jax.data.sources import short

ROW_SUM = 'row_sum'
_MOST_CLASSES = 1000
_MOST_SHOWN = 10
_KINDS = ('classes', 'number')

Columns = Mapping[str, np.ndarray]  # name -> [n]


class Beside(NamedTuple):
  """What is known of examples beside x; None for what a model does not ask for.

  Attributes:
    condition: c [..., K], float32: encoder and decoder see it, so that the model is p(x | c).
    size: s [...], float32, above 0: of counts the size factor, by which the rate is multiplied.
  """

  condition: jax.Array | np.ndarray | None = None
  size: jax.Array | np.ndarray | None = None

  def take(self, chosen: Any) -> 'Beside':
    """Returns the rows that an index or a slice takes."""
    return Beside(*(None if leaf is None else leaf[chosen] for leaf in self))


NOTHING = Beside()


class Condition(NamedTuple):
  """A column that a model is conditioned on, and how it becomes numbers.

  Attributes:
    name: of the column.
    classes: its values in sorted order, one-hot; () of a number.
    mean, spread: of a number over the training split: the model sees (value - mean) / spread.
  """

  name: str
  classes: tuple[str | int, ...] = ()
  mean: float = 0.0
  spread: float = 1.0

  @property
  def size(self) -> int:
    """How many numbers of a condition are its own."""
    return len(self.classes) or 1

  def encoded(self, values: np.ndarray, where: str) -> np.ndarray:
    """Returns values [n] as the model sees them, [n, size] float32.

    Raises:
      InputError: one of them is no class that the training split has, or no number.
    """
    if not self.classes:
      return (_numbers(values, where)[:, None] - self.mean).astype(np.float32) / np.float32(
        self.spread
      )
    index = {value: i for i, value in enumerate(self.classes)}
    found = _plain(values)
    if others := sorted({repr(value) for value in found if value not in index}):
      known = ', '.join(map(repr, self.classes[:10])) + (', ...' if self.size > 10 else '')
      near = errors.nearest(others[0].strip(chr(39)), map(str, self.classes))
      raise errors.InputError(
        f'{where} has {others[0]}, which the training split does not have; it has {known}{near}'
      )
    return np.eye(self.size, dtype=np.float32)[[index[value] for value in found]]

  def decoded(self, encoded: np.ndarray) -> np.ndarray:
    """Returns the values [n] that were encoded as [n, size]; numbers to the digits of float32."""
    if self.classes:
      return np.asarray(self.classes)[np.argmax(encoded, axis=1)]
    return np.asarray(encoded[:, 0], np.float64) * self.spread + self.mean


def conditions_of(asked: Sequence[str], columns: Columns, where: str) -> tuple[Condition, ...]:
  """Returns the conditions of `data.conditions`, as the training split has them.

  Text, whole numbers and booleans are classes, other numbers stand for themselves; 'age:number' or
  'age:classes' says it for whole numbers.

  Args:
    asked: names of columns, each with or without what it is.
    columns: of the training split.
    where: the config key and value that point to the data set, for messages.

  Raises:
    InputError: a column is neither.
  """
  return tuple(_condition(text, columns, where) for text in asked)


def _condition(text: str, columns: Columns, where: str) -> Condition:
  name, kind = parsed(text)
  values = columns[name]
  if kind == 'number' or (not kind and values.dtype.kind == 'f'):
    numbers = _numbers(values, f'{where}: column {short(name)}')
    spread = float(numbers.std())
    return Condition(name, (), float(numbers.mean()), spread if spread > 0 else 1.0)
  classes = tuple(sorted(set(_plain(values))))
  if len(classes) > _MOST_CLASSES:
    raise errors.InputError(
      f'data.conditions={text!r}: the column has {len(classes):,} different values; set '
      f"'{name}:number', or give it fewer classes"
    )
  return Condition(name, classes)


def parsed(text: str) -> tuple[str, str]:
  """Returns the name of a column of `data.conditions`, and 'classes', 'number' or ''.

  Raises:
    InputError: what it is said to be is neither.
  """
  name, colon, kind = text.rpartition(':')
  if not colon:
    return text, ''
  if kind not in _KINDS:
    raise errors.InputError(
      f"data.conditions={text!r}: {kind!r} is neither 'classes' nor 'number'"
      + errors.nearest(kind, _KINDS)
    )
  return name, kind


def typical(conditions: Sequence[Condition], train: Beside) -> Beside:
  """Returns what is known of a typical example: its commonest classes, mean numbers, the size 1."""
  size = None if train.size is None else np.float32(1)
  if train.condition is None:
    return Beside(None, size)
  shares = np.split(
    train.condition.mean(axis=0), np.cumsum([each.size for each in conditions])[:-1]
  )
  pairs = zip(conditions, shares, strict=True)
  parts = [np.eye(each.size)[np.argmax(share)] if each.classes else [0.0] for each, share in pairs]
  return Beside(np.concatenate(parts).astype(np.float32), size)


def told_apart(
  conditions: Sequence[Condition], of_typical: Beside
) -> tuple[Beside | None, list[str]]:
  """Returns what is known of examples that differ in the first condition alone, and their names.

  They are up to ten classes, or a number at its mean and one and two deviations about it.
  """
  if not conditions:
    return None, []
  first = conditions[0]
  if first.classes:
    rows = np.eye(first.size, dtype=np.float32)[:_MOST_SHOWN]
    names = [str(value) for value in first.classes[:_MOST_SHOWN]]
  else:
    rows = np.arange(-2.0, 3.0, dtype=np.float32)[:, None]
    names = [f'{value:.3g}' for value in first.decoded(rows)]
  others = np.tile(of_typical.condition[first.size :], (len(rows), 1))
  size = None if of_typical.size is None else np.ones(len(rows), np.float32)
  return Beside(np.concatenate([rows, others], axis=1), size), [f'{first.name} {n}' for n in names]


def condition(conditions: Sequence[Condition], columns: Columns, where: str) -> np.ndarray:
  """Returns c [n, K] of columns [n]: what each condition makes of its own, side by side."""
  return np.concatenate(
    [
      each.encoded(columns[each.name], f'{where}: column {short(each.name)}') for each in conditions
    ],
    axis=1,
  )


def sizes(name: str, x: np.ndarray | None, columns: Columns, where: str) -> np.ndarray:
  """Returns the sizes [n] of examples, in the unit of the column: see `data.size_factor`.

  Args:
    name: of a column, or ROW_SUM: the sum of the values of an example, those that are missing left
      out.
    x: [n, *event].
    columns: of the same examples; where it has ROW_SUM, that is not computed.
    where: what they are, for messages.

  Raises:
    InputError: one is not above 0.
  """
  if name == ROW_SUM and name not in columns:
    rows = (part.reshape(len(part), math.prod(x.shape[1:])) for part in blocks.of(x))
    found = np.concatenate([np.nansum(part, axis=1, dtype=np.float64) for part in rows])
  else:
    found = _numbers(columns[name], f'{where}: column {short(name)}')
  if not (found > 0).all():
    bad = int(np.flatnonzero(~(found > 0))[0])
    raise errors.InputError(
      f'data.size_factor={name!r}: example {bad} of {where} has size {found[bad]:g}, and sizes are '
      'above 0; leave such examples out'
    )
  return found


def _numbers(values: np.ndarray, where: str) -> np.ndarray:
  if values.dtype.kind not in 'buif' or not np.isfinite(values).all():
    raise errors.InputError(f'{where} has more than finite numbers; give it those alone')
  return values.astype(np.float64)


def _plain(values: np.ndarray) -> list[str | int]:
  """Returns classes as Python has them: text, or whole numbers."""
  if values.dtype.kind == 'f' and np.array_equal(values, np.rint(values)):
    values = values.astype(np.int64)
  return [v if isinstance(v, (int, str)) else str(v) for v in values.tolist()]
