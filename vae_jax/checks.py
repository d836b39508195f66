"""Checks of one value by its kind; each refuses in one line with the nearest valid value."""

import difflib
import math
from collections.abc import Callable, Sequence
from typing import Any

from vae_jax import errors

Check = Callable[[str, Any], None]


def problem(key: str, value: Any, expected: str) -> str:
  """Returns the line that names a key, its value, and what it should be."""
  return f'{key}={errors.shown(value)} is not valid: {expected}'


def refuse(key: str, value: Any, expected: str) -> None:
  """Raises InputError of one line."""
  raise errors.InputError(problem(key, value, expected))


def choice(*names: str) -> Check:
  """One of these names."""

  def check(key: str, value: Any) -> None:
    if not isinstance(value, str) or value not in names:
      near = difflib.get_close_matches(value, names, n=1) if _is_short(value) else []
      hint = f'did you mean {near[0]!r}? ' if near else ''
      refuse(key, value, f'{hint}it is one of {", ".join(names)}')

  return check


def _is_short(value: Any) -> bool:
  return isinstance(value, str) and len(value) < 100  # difflib takes the square of the length


def text(empty: bool, longest: int | None = None, without: str = '') -> Check:
  """A text, of so many characters at most and none of those in `without`."""

  def check(key: str, value: Any) -> None:
    if not isinstance(value, str) or not (value.strip() or empty):
      refuse(key, value, 'it is a text' + ('' if empty else ', not empty'))
    if '\0' in value or any('\ud800' <= character <= '\udfff' for character in value):
      refuse(key, value, 'it has characters that no file and no terminal can have')
    if len(value) > (longest or len(value)) or set(value) & set(without):
      none_of = f' and none of {" ".join(without)}' if without else ''
      refuse(key, value, f'it has {int(not empty)} to {longest} characters{none_of}')

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
    is_float = isinstance(value, float) and math.isfinite(value)
    is_int = isinstance(value, int) and not isinstance(value, bool)  # of any number of digits
    if not (is_float or is_int):
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
    errors.each(lambda element: item(f'{key}[{element[0]}]', element[1]), enumerate(value))

  return check


def axis(key: str, value: Any) -> None:
  """Its elements are checked by lanes.from_axes, which knows what they mean."""
  if not isinstance(value, (tuple, list)):
    refuse(key, value, f'it is a tuple of values; write ({errors.shown(value)},)')
