"""Checks of one value by its kind; each refuses in one line with the nearest valid value."""

import collections.abc
import contextlib
import difflib
import math
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from vae_jax import errors

Check = Callable[[str, Any], None]


def problem(key: str, value: Any, expected: str) -> str:
  """Returns the line that names a key, its value, and what it should be."""
  return f'{key}={errors.shown(value)} is not valid: {expected}'


def refuse(key: str, value: Any, expected: str) -> None:
  """Raises InputError of one line."""
  raise errors.InputError(problem(key, value, expected))


def choice(*names: str, otherwise: str = '', prefix: str = '') -> Check:
  """One of these names, or a text behind `prefix`; `otherwise` says what else it may be."""
  rest = f', or {otherwise}' if otherwise else ''

  def check(key: str, value: Any) -> None:
    if isinstance(value, str) and value.removeprefix(prefix) not in (value, ''):
      return
    if not isinstance(value, str) or value not in names:
      near = difflib.get_close_matches(value, names, n=1) if _is_short(value) else []
      hint = f'did you mean {near[0]!r}? ' if near else ''
      refuse(key, value, f'{hint}it is one of {", ".join(names)}{rest}')

  return check


def _is_short(value: Any) -> bool:
  return isinstance(value, str) and len(value) < 100  # difflib takes the square of the length


_NOWHERE = re.compile(r'[\0\ud800-\udfff]')  # no file name has the one, no encoding the others


def text(empty: bool, longest: int | None = None, without: str = '') -> Check:
  """A text, of so many characters at most and none of those in `without`."""

  def check(key: str, value: Any) -> None:
    if not isinstance(value, str) or not (value.strip() or empty):
      refuse(key, value, 'it is a text' + ('' if empty else ', not empty'))
    if _NOWHERE.search(value):
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
      is_near = isinstance(value, float) and math.isfinite(value)
      nearest = (
        f'; the nearest valid value is {min(max(round(value), low), high)}' if is_near else ''
      )
      refuse(key, value, f'it is a whole number of at least {low}{nearest}')
    if not low <= value <= high:
      refuse(key, value, f'the nearest valid value is {min(max(value, low), high)}')

  return check


def name_or_count(*names: str) -> Check:
  """One of these names, or a whole number of at least 1."""
  named, count = choice(*names, otherwise='a whole number of at least 1'), whole(1)

  def check(key: str, value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    (count if is_number else named)(key, value)

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


def above_zero(key: str, value: Any) -> None:
  """A number that is not 0 either."""
  if not value > 0:
    refuse(key, value, 'it is above 0')


def not_empty(key: str, value: Any) -> None:
  """A tuple with a value in it."""
  if not len(value):
    refuse(key, value, 'it has one value at least, such as (64,)')


def axis(key: str, value: Any) -> None:
  """Its elements are checked by lanes.from_axes, which knows what they mean."""
  if not isinstance(value, (tuple, list)):
    refuse(key, value, f'it is a tuple of values; write ({errors.shown(value)},)')


def anything(key: str, value: Any) -> None:
  """What JSON can hold."""
  if isinstance(value, (tuple, list)):
    for element in value:
      anything(key, element)
  elif isinstance(value, Mapping):
    for name, element in value.items():
      text(empty=True)(key, name)
      anything(key, element)
  elif isinstance(value, str):
    text(empty=True)(key, value)
  elif not (value is None or isinstance(value, int)):
    of_type(float, 'a number, a text, True, False, None, or a tuple or a dict of these')(key, value)


def of_type(kind: type, expected: str) -> Check:
  """A value of one plain type; an int may stand for a float, a bool for neither."""

  def check(key: str, value: Any) -> None:
    is_number = kind in (int, float) and isinstance(value, int) and not isinstance(value, bool)
    if not (is_number or (isinstance(value, kind) and not isinstance(value, bool))):
      refuse(key, value, f'it is {expected}')
    if isinstance(value, float) and not math.isfinite(value):
      refuse(key, value, f'it is {expected}')

  return check


_PLAIN: Mapping[Any, tuple[Check, str]] = {
  bool: (flag, 'True or False'),
  int: (of_type(int, 'a whole number'), 'a whole number'),
  float: (of_type(float, 'a finite number'), 'a finite number'),
  str: (text(empty=True), 'a text'),
  type(None): (of_type(type(None), 'None'), 'None'),
}
_SEQUENCES = (tuple, list, collections.abc.Sequence)


def of(annotation: Any, default: Any) -> Check:
  """Returns the check of a parameter by its annotation; its default value is always valid.

  `Annotated[int, whole(1, 9)]` is checked by what stands behind the type; int, float, str, bool,
  sequences of them, `X | Y` and Literal by the type. Any other annotation, or none, is for anything
  that JSON can hold.
  """
  checked = _of(annotation)

  def check(key: str, value: Any) -> None:
    if not (type(value) is type(default) and value == default):
      checked(key, value)

  return check


def kind_of(annotation: Any) -> type:
  """Returns the plain type of an annotation's values: bool, int, float, str or tuple; or object."""
  origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
  if origin is typing.Annotated:
    return kind_of(arguments[0])
  if origin is typing.Literal:
    return str if all(isinstance(argument, str) for argument in arguments) else object
  if origin in (typing.Union, types.UnionType):
    kinds = {kind_of(argument) for argument in arguments if argument in tuple(_PLAIN)}
    return float if float in kinds <= {bool, int, float} else object
  if (origin or annotation) in _SEQUENCES:
    return tuple
  return annotation if annotation in (bool, int, float, str) else object


def _of(annotation: Any) -> Check:
  origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
  if origin is typing.Annotated:
    own = [extra for extra in arguments[1:] if callable(extra)]
    return _all(own) if own else _of(arguments[0])
  if origin in (typing.Union, types.UnionType):
    return _any(arguments)
  if origin is typing.Literal and all(isinstance(argument, str) for argument in arguments):
    return choice(*arguments)
  if (origin or annotation) in _SEQUENCES:
    items = [argument for argument in arguments if argument is not ...]
    return tuple_of(_of(items[0]) if len(set(items)) == 1 else anything)
  return _PLAIN[annotation][0] if annotation in tuple(_PLAIN) else anything


def _all(own: Sequence[Check]) -> Check:
  def check(key: str, value: Any) -> None:
    for one in own:
      one(key, value)

  return check


def _any(kinds: Sequence[Any]) -> Check:
  """What one of several types allows; those that JSON has no values of are left aside."""
  origins = {kind: typing.get_origin(kind) or kind for kind in kinds}
  known = [kind for kind in kinds if origins[kind] in (*_PLAIN, *_SEQUENCES)]
  if not known or Any in kinds:
    return anything
  checked = [_of(kind) for kind in known]
  words = [_PLAIN[kind][1] if kind in tuple(_PLAIN) else 'a tuple' for kind in known]

  def check(key: str, value: Any) -> None:
    for one in checked:
      with contextlib.suppress(errors.InputError):
        return one(key, value)
    refuse(key, value, f'it is {" or ".join(dict.fromkeys(words))}')

  return check
