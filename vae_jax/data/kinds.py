"""What stored values are: images, counts, real or binary numbers; declared, or seen by type, shape
and range."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vae_jax import errors
from vae_jax.data import blocks

KINDS = ('auto', 'image', 'count', 'real', 'binary', 'signal')
WHITE = 255  # of bytes
_MOST_COUNTED = 2**24  # float32 holds every whole number up to it
MISSING = ('refused', 'left_out')
_OVERSHOOT = 1e-3  # of the range: so far outside is what resizing leaves, and is clipped


class Values(NamedTuple):
  """The arrays of a source with what they are.

  Attributes:
    arrays: split -> [n, D], [n, T, C] of signals, or [n, H, W, C], uint8 or float32.
    kind: 'image', 'count', 'real', 'binary' or 'signal'.
    support: 'binary' (0 or 1), 'unit' ([0, 1]), 'uint8' (levels from 0), 'real', 'count' (whole
      numbers from 0), or 'integers' (others of no known range, which no model is for).
    white: the level of uint8 that is white; 255 where nothing else is declared.
    is_ranged: whether black and white are declared, so that the values are seen in [0, 1].
    reason: how the kind is known, for a person.
  """

  arrays: dict[str, np.ndarray]
  kind: str
  support: str
  white: float
  is_ranged: bool
  reason: str


def canonical(
  array: np.ndarray, where: str, missing: str = 'refused', kind: str = 'auto'
) -> np.ndarray:
  """Returns an array as float32, uint8, or integers that it cannot hold.

  Args:
    array: bool, integers or floats; [n, D], [n, H, W] or [n, H, W, C].
    where: what it is, for messages.
    missing: one of MISSING: whether NaN is refused, or a value that is missing.
    kind: one of KINDS; a signal is [n, T] or [n, T, C].

  Returns:
    [n, D], [n, H, W, C], or of a signal [n, T, C].

  Raises:
    InputError: another type or shape, NaN that is refused, or infinity.
  """
  if array.ndim not in (2, 3, 4) or array.size == 0:
    flat = '; np.reshape(a, (len(a), -1)) makes vectors' if array.ndim > 4 else ''
    raise errors.InputError(
      f'{where} has shape {list(array.shape)}; valid are [n, D], [n, H, W] and [n, H, W, C]{flat}'
    )
  if kind == 'signal' and array.ndim == 4:
    raise errors.InputError(
      f"data.kind='signal': {where} has shape {list(array.shape)}; a signal is [T] or [T, C]"
    )
  if array.ndim == (2 if kind == 'signal' else 3):
    array = array[..., None]  # one channel
  if array.dtype.kind == 'f':
    return np.ascontiguousarray(_finite_float32(array, where, missing))
  if array.dtype.kind not in 'bui':
    raise errors.InputError(f'{where} has type {array.dtype}; valid are bool, integers and floats')
  is_byte = array.dtype.kind == 'b' or (array.min() >= 0 and array.max() <= WHITE)
  return np.ascontiguousarray(array, dtype=np.uint8) if is_byte else array


def _finite_float32(array: np.ndarray, where: str, missing: str) -> np.ndarray:
  with np.errstate(over='ignore'):  # what float32 cannot hold becomes infinite: counted below
    array = array.astype(np.float32, copy=False)
  bad = array.size - blocks.count(np.isfinite, array)
  if not bad:
    return array
  absent = blocks.count(np.isnan, array)
  if missing == 'left_out':
    bad -= absent
  if bad:
    finite = (part for block in blocks.of(array) if (part := block[np.isfinite(block)]).size)
    ends = [end for part in finite for end in extremes([part])]
    rest = f' (the others: {min(ends):g} to {max(ends):g})' if ends else ''
    kinds, advice = 'infinite', 'remove them'
    if missing == 'refused':
      kinds = 'NaN or infinite'
      if bad == absent:
        advice += ", or set data.missing='left_out' where NaN is a value that is missing"
    raise errors.InputError(
      f'{where} has {bad:,} values that are {kinds} as float32{rest}; {advice}'
    )
  _check_observed(array, where)
  return array


def _check_observed(array: np.ndarray, where: str) -> None:
  """Refuses an example, or a value of all examples, of which nothing is observed."""
  ever, somewhere = np.zeros(array.shape[1:], bool), []
  for block in blocks.of(array):
    observed = ~np.isnan(block)
    ever |= observed.any(axis=0)
    somewhere.append(observed.reshape(len(block), -1).any(axis=1))
  never, nowhere = ~ever, ~np.concatenate(somewhere)
  if never.any() or nowhere.any():
    index = [int(i) for i in np.argwhere(never)[0]] if never.any() else int(np.argmax(nowhere))
    what = f'value {index} of an example is' if never.any() else f'all of example {index} is'
    raise errors.InputError(f'{where}: {what} missing everywhere; leave it out of the file')


def known(
  arrays: Mapping[str, np.ndarray],
  types: Sequence[np.dtype],
  kind: str,
  value_range: Sequence[float],
  where: str,
  is_table: bool = False,
) -> Values:
  """Returns what canonical arrays are.

  Args:
    arrays: split -> array, all of one type and shape.
    types: of the arrays as they were stored.
    kind: one of KINDS; 'auto' goes by type, shape and range.
    value_range: () or the values (black, white) that the model shall see as 0 and 1.
    where: what holds them, for messages.
    is_table: whether they are columns of a table: then they are real where nothing is declared.

  Raises:
    InputError: the values are not what is declared.
  """
  low, high = extremes(arrays.values())
  if len(value_range):
    return _in_range(arrays, kind, value_range, where)
  if kind == 'auto' and is_table:
    return _values(arrays, np.float32, 'real', 'real', 'columns of a table')
  if kind in ('real', 'signal'):
    return _values(arrays, np.float32, kind, 'real', f'declared by data.kind={kind!r}')
  if kind == 'count':
    return _counts(arrays, where, "declared by data.kind='count'")
  is_binary = _is_whole(arrays) and low >= 0 and high <= 1
  if kind == 'binary' and not is_binary:
    raise errors.InputError(
      f"data.kind='binary': {where} has values from {low:g} to {high:g}, not 0 and 1 alone; "
      "set data.kind='auto'"
    )
  if is_binary:
    return _values(arrays, np.uint8, 'binary', 'binary', '0 and 1 alone')
  if types[0].kind == 'f':
    return _floats(arrays, kind, low, high)
  return _integers(arrays, types, kind, low, high, where)


def extremes(arrays) -> tuple[float, float]:
  """Returns the least and the largest value of all arrays; what is missing is left aside."""
  arrays = list(arrays)
  return min(np.nanmin(a) for a in arrays).item(), max(np.nanmax(a) for a in arrays).item()


def _values(
  arrays: Mapping,
  dtype: type[np.number],
  kind: str,
  support: str,
  reason: str,
  function: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Values:
  """Returns the values of `function`, where there is one, as `dtype`."""
  if any(blocks.has_nan(a) for a in arrays.values()):
    dtype = np.float32  # bytes have no NaN

  def convert(block: np.ndarray) -> np.ndarray:
    return np.asarray(function(block) if function else block).astype(dtype)

  converted = {
    s: a if a.dtype == dtype and function is None else blocks.each(convert, a)
    for s, a in arrays.items()
  }
  return Values(converted, kind, support, WHITE, False, reason)


def _counts(arrays: Mapping[str, np.ndarray], where: str, reason: str) -> Values:
  """Returns whole numbers from 0 as they lie on a device: exact as float32, or as bytes."""
  low, high = extremes(arrays.values())
  if low < 0 or not _is_whole(arrays):
    raise errors.InputError(
      f"data.kind='count': {where} has values from {low:g} to {high:g}, not whole numbers from 0 "
      "alone; set data.kind='auto'"
    )
  if high > _MOST_COUNTED:
    raise errors.InputError(
      f'{where} has counts up to {high:,.0f}, and float32 tells whole numbers apart up to '
      f"{_MOST_COUNTED:,}; set data.kind='real'"
    )
  are_bytes = all(a.dtype == np.uint8 for a in arrays.values())
  return _values(arrays, np.uint8 if are_bytes else np.float32, 'count', 'count', reason)


def _is_whole(
  arrays: Mapping[str, np.ndarray], function: Callable[[np.ndarray], np.ndarray] | None = None
) -> bool:
  if function is None:
    return all(map(blocks.is_whole, arrays.values()))
  return all(blocks.is_whole(function(part)) for a in arrays.values() for part in blocks.of(a))


def _floats(arrays: Mapping, kind: str, low: float, high: float) -> Values:
  if low >= 0 and high <= 1:
    return _values(arrays, np.float32, 'image', 'unit', 'floats in [0, 1]')
  if kind == 'image' and low >= 0 and high <= WHITE and _is_whole(arrays):
    return _values(arrays, np.uint8, 'image', 'uint8', 'whole floats, declared to be an image')
  return _values(arrays, np.float32, 'real', 'real', f'floats from {low:g} to {high:g}')


def _integers(
  arrays: Mapping, types: Sequence[np.dtype], kind: str, low: float, high: float, where: str
) -> Values:
  """Bytes where type, shape or largest value say so; other vectors of whole numbers are counts."""
  is_image = next(iter(arrays.values())).ndim == 4
  are_bytes = all(dtype.kind in 'bu' and dtype.itemsize == 1 for dtype in types)
  seen = f'{types[0]} from {low:g} to {high:g}'
  fits = low >= 0 and high <= WHITE
  if fits and (kind == 'image' or are_bytes or is_image or high == WHITE):
    reason = "declared by data.kind='image'" if kind == 'image' else seen
    return _values(arrays, np.uint8, 'image', 'uint8', reason)
  if not is_image and low >= 0 and kind == 'auto':
    return _counts(arrays, where, f'{seen} in vectors')
  return Values(dict(arrays), 'image' if is_image else 'real', 'integers', WHITE, False, seen)


def _in_range(
  arrays: Mapping[str, np.ndarray], kind: str, value_range: Sequence[float], where: str
) -> Values:
  """Returns images whose black and white are declared, in [0, 1]."""
  black, white = (float(end) for end in value_range)
  declared = f'data.range=({black:g}, {white:g})'
  if kind not in ('auto', 'image'):
    raise errors.InputError(f'{declared} is for images, data.kind={kind!r}; set data.range=()')
  if white <= black:
    near = (white, black) if white < black else (black, black + 1)
    raise errors.InputError(f'{declared} is no range: white is above black; nearest: {near}')
  low, high = extremes(arrays.values())
  slack = _OVERSHOOT * (white - black)
  outside = sum(blocks.count(lambda a: (a < black) | (a > white), a) for a in arrays.values())
  if low < black - slack or high > white + slack:
    raise errors.InputError(
      f'{declared}: {outside:,} values of {where} lie outside, they go from {low:g} to {high:g}; '
      f'set data.range=({min(low, black)!r}, {max(high, white)!r})'
    )
  reason = f'declared by {declared}'
  clip = None
  if outside:
    reason += f'; {outside:,} values from {low:g} to {high:g} were clipped to it'
    clip = functools.partial(np.clip, a_min=black, a_max=white)
  if black == 0 and white <= WHITE and white == int(white) and _is_whole(arrays, clip):
    found = _values(arrays, np.uint8, 'image', 'uint8', reason, clip)
    return found._replace(white=white, is_ranged=True)

  def unit(block: np.ndarray) -> np.ndarray:
    return ((clip(block) if clip else block).astype(np.float64) - black) / (white - black)

  return _values(arrays, np.float32, 'image', 'unit', reason, unit)._replace(is_ranged=True)
