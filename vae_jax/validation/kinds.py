"""Checks of one value by its kind; each refuses in one line with the nearest valid value."""

import difflib
import math
from collections.abc import Callable, Sequence
from typing import Any

from vae_jax import errors

Check = Callable[[str, Any], None]


def refuse(key: str, value: Any, expected: str) -> None:
  """Raises InputError of one line."""
  raise errors.InputError(f'{key}={value!r} is not valid: {expected}')


def choice(*names: str) -> Check:
  """One of these names."""

  def check(key: str, value: Any) -> None:
    if value not in names:
      near = difflib.get_close_matches(str(value), names, n=1)
      hint = f'did you mean {near[0]!r}? ' if near else ''
      refuse(key, value, f'{hint}it is one of {", ".join(names)}')

  return check


def text(empty: bool) -> Check:
  """A text."""

  def check(key: str, value: Any) -> None:
    if not isinstance(value, str) or not (value.strip() or empty):
      refuse(key, value, 'it is a text' + ('' if empty else ', not empty'))

  return check


def flag(key: str, value: Any) -> None:
  """True or False."""
  if not isinstance(value, bool):
    refuse(key, value, 'it is True or False')


def whole(low: int, high: int = 2**31 - 1) -> Check:
  """A whole number."""

  def check(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
      refuse(key, value, f'it is a whole number of at least {low}')
    if not low <= value <= high:
      refuse(key, value, f'the nearest valid value is {min(max(value, low), high)}')

  return check


def real(low: float, high: float) -> Check:
  """A finite number."""

  def check(key: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
      refuse(key, value, 'it is a finite number')
    if not low <= value <= high:
      refuse(key, value, f'the nearest valid value is {min(max(value, low), high):g}')

  return check


def tuple_of(item: Check, sizes: Sequence[int] | None = None) -> Check:
  """A tuple whose elements pass `item`."""

  def check(key: str, value: Any) -> None:
    if not isinstance(value, (tuple, list)):
      refuse(key, value, 'it is a tuple, such as (1, 2)')
    if sizes is not None and len(value) not in sizes:
      refuse(key, value, f'it has {" or ".join(map(str, sizes))} values')
    for i, element in enumerate(value):
      item(f'{key}[{i}]', element)

  return check


def axis(key: str, value: Any) -> None:
  """Its elements are checked by lanes.from_axes, which knows what they mean."""
  if not isinstance(value, (tuple, list)):
    refuse(key, value, f'it is a tuple of values; write ({value!r},)')
