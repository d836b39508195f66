"""Lanes: the hyperparameter points that one program trains side by side.

A `Point` is what a person writes and reads (plain numbers); a `Lane` is the same point as arrays,
data to the compiled program, so that a new beta or seed never recompiles it. Latent size becomes
data through a mask [Z]: every lane has the largest latent size Z of the grid, and its mask is 1
where a latent is active.
"""

import difflib
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import errors

MAX_SEED = 2**32 - 1
MAX_STEPS = 2**31 - 1
MAX_LANES = 100_000
WARMUPS = ('constant', 'linear', 'cosine', 'cyclical')


class Point(NamedTuple):
  """One hyperparameter point, in plain numbers; one row of `results.csv`.

  What stands behind the learning rate is off by default; see `weighting` for what it means.
  """

  beta: float
  latent_size: int
  seed: int
  learning_rate: float
  warmup: str = 'constant'  # of beta, a name of WARMUPS
  warmup_steps: int = 0
  free_bits: float = 0.0  # nats per group of latents
  capacity: float = 0.0  # nats
  capacity_steps: int = 0
  covariance_weight: float = 0.0  # of the DIP-VAE


class Lane(NamedTuple):
  """The same as data to the program; with a leading axis [G] for all lanes of the grid."""

  beta: Array  # [] weight of the rate
  seed: Array  # [] uint32
  learning_rate: Array  # [] peak of the schedule
  warmup: Array  # [] int32, index into WARMUPS
  warmup_steps: Array  # []
  free_bits: Array  # []
  capacity: Array  # []
  capacity_steps: Array  # []
  covariance_weight: Array  # []
  mask: Array  # [Z] 1 where a latent is active


def from_axes(
  combine: str, axes: Mapping[str, Sequence], points: Sequence[Sequence]
) -> list[Point]:
  """Returns the points of a grid, in the order of their lanes.

  Args:
    combine: 'product' (every combination, the last field fastest), 'zip' (the i-th of every axis;
      an axis of one value is repeated), or 'list' (`points` as they stand).
    axes: the values of each field of Point.
    points: for 'list', tuples in the order of Point's fields; what a tuple leaves out at its end
      is the one value of its axis.

  Raises:
    InputError: an empty axis, unequal lengths, invalid values, or repeated points.
  """
  if combine == 'list':
    rows = _listed(points, axes)
  else:
    columns = errors.each(lambda name: _column(name, axes[name]), Point._fields)
    rows = _product(columns) if combine == 'product' else _zipped(columns)
  result = errors.each(_agreeing, rows)
  seen = set()
  for point in result:
    # The program computes in float32: numbers that are the same there are the same lane.
    trained = tuple(np.float32(value) if type(value) is float else value for value in point)
    if trained in seen:
      raise errors.InputError(f'lanes: {tuple(point)} stands twice; every lane must differ')
    seen.add(trained)
  return result


def _listed(points: Sequence[Sequence], axes: Mapping[str, Sequence]) -> list[Point]:
  fields = ', '.join(Point._fields)
  if not points:
    raise errors.InputError(f"lanes.points is empty; with lanes.combine='list' give ({fields})")
  rows = errors.each(lambda point: _whole_point(point, axes, fields), points)
  return errors.each(_checked, rows)


def _whole_point(point: Any, axes: Mapping[str, Sequence], fields: str) -> Sequence:
  """Returns a listed point with what it leaves out at its end."""
  required = len(Point._fields) - len(Point._field_defaults)
  if not isinstance(point, (tuple, list)) or not required <= len(point) <= len(Point._fields):
    raise errors.InputError(
      f'lanes.points: {errors.shown(point)} is not a tuple of ({fields}), the first {required} at '
      'least'
    )
  left_out = Point._fields[len(point) :]
  for name in left_out:
    if len(axes[name]) != 1:
      raise errors.InputError(
        f'lanes.{name}={errors.shown(tuple(axes[name]))} has {len(axes[name])} values, and '
        f'{errors.shown(point)} of lanes.points leaves it out; give one value, or name it in every '
        'point'
      )
  return [*point, *(axes[name][0] for name in left_out)]


def _checked(row: Sequence) -> Point:
  """Returns a point whose values are valid, each by itself."""
  fields = zip(Point._fields, row, strict=True)
  return Point(*errors.each(lambda field: _CHECKS[field[0]](*field), fields))


def _column(name: str, values: Sequence) -> list:
  """Returns the valid values of one axis."""
  if not values:
    raise errors.InputError(f'lanes.{name} is empty; give at least one value')
  return errors.each(lambda value: _CHECKS[name](name, value), values)


def _product(columns: Sequence[Sequence]) -> list[Point]:
  size = math.prod(map(len, columns))
  if size > MAX_LANES:
    raise errors.InputError(
      f"lanes: lanes.combine='product' makes {size} lanes of these axes; give at most {MAX_LANES}"
    )
  return [Point(*row) for row in itertools.product(*columns)]


def _zipped(columns: Sequence[Sequence]) -> list[Point]:
  size = max(map(len, columns))

  def repeated(field: tuple[str, Sequence]) -> Sequence:
    name, column = field
    if len(column) not in (1, size):
      raise errors.InputError(
        f"lanes.{name} has {len(column)} values; lanes.combine='zip' needs {size} (or 1)"
      )
    return column if len(column) == size else list(column) * size

  columns = errors.each(repeated, zip(Point._fields, columns, strict=True))
  return [Point(*row) for row in zip(*columns, strict=True)]


def _agreeing(point: Point) -> Point:
  """Returns a point whose values go together."""
  if (point.warmup == 'constant') != (point.warmup_steps == 0):
    raise errors.InputError(
      f'lanes.warmup={point.warmup!r} does not go with lanes.warmup_steps={point.warmup_steps}; '
      "set both, or lanes.warmup='constant' and lanes.warmup_steps=0"
    )
  if point.capacity_steps and not point.capacity:
    raise errors.InputError(
      f'lanes.capacity_steps={point.capacity_steps} leads to lanes.capacity=0; set the capacity'
    )
  return point


def _warmup(name: str, value: Any) -> str:
  if not isinstance(value, str) or value not in WARMUPS:
    near = difflib.get_close_matches(errors.shown(value), WARMUPS, n=1)
    hint = f'; did you mean {near[0]!r}?' if near else ''
    raise errors.InputError(
      f'lanes.{name}={errors.shown(value)} is none of {", ".join(WARMUPS)}{hint}'
    )
  return value


def _real(low: float) -> Callable[[str, Any], float]:
  """A finite number of at least `low`, as a float."""

  def check(name: str, value: Any) -> float:
    if not _is_number(value):
      raise errors.InputError(f'lanes.{name}={errors.shown(value)} is not a finite number')
    if value < low or value > 1e30:
      nearest = min(max(value, low), 1e30)
      raise errors.InputError(
        f'lanes.{name}={errors.shown(value)} is outside [{low:g}, 1e+30]; the nearest valid value '
        f'is {nearest:g}'
      )
    return float(value)

  return check


def _whole(low: int, high: int) -> Callable[[str, Any], int]:
  """A whole number between `low` and `high`, as an int."""

  def check(name: str, value: Any) -> int:
    if not _is_number(value):
      raise errors.InputError(f'lanes.{name}={errors.shown(value)} is not a whole number')
    if value != int(value) or not low <= value <= high:
      nearest = min(max(round(value), low), high)
      raise errors.InputError(
        f'lanes.{name}={errors.shown(value)} is not a whole number of at least {low}; '
        f'the nearest valid value is {nearest}'
      )
    return int(value)

  return check


def _is_number(value: Any) -> bool:
  # An integer is finite, and one of 400 digits is no float to ask.
  return type(value) is int or (type(value) is float and math.isfinite(value))


_CHECKS: Mapping[str, Callable[[str, Any], Any]] = {
  'beta': _real(0.0),
  'latent_size': _whole(1, 1_000_000),
  'seed': _whole(0, MAX_SEED),
  'learning_rate': _real(1e-30),
  'warmup': _warmup,
  'warmup_steps': _whole(0, MAX_STEPS),
  'free_bits': _real(0.0),
  'capacity': _real(0.0),
  'capacity_steps': _whole(0, MAX_STEPS),
  'covariance_weight': _real(0.0),
}


def names(points: Sequence[Point]) -> list[str]:
  """Returns a unique name per lane, such as `b4-z10-s0`.

  A further field joins the name (`b4-z10-s0-lr0.01`) only where the grid has several values of it.
  """
  several = [field for field in _MARKS if len({getattr(point, field) for point in points}) > 1]
  shown = ('beta', 'latent_size', 'seed', *several)
  marks = {'beta': 'b', 'latent_size': 'z', 'seed': 's', **_MARKS}
  return ['-'.join(marks[f] + _short(getattr(point, f)) for f in shown) for point in points]


# How a lane's name marks its further fields.
_MARKS = {
  'learning_rate': 'lr',
  'warmup': '',
  'warmup_steps': 'w',
  'free_bits': 'f',
  'capacity': 'c',
  'capacity_steps': 'cs',
  'covariance_weight': 'cov',
}


def _short(value: float | str) -> str:
  """Returns the shortest text that reads back as the same number: 4.0 -> 4, 1e-05 -> 1e-05."""
  return str(value).removesuffix('.0')


def stack(points: Sequence[Point], width: int, lower_size: int = 0) -> Lane:
  """Returns the lanes as arrays with a leading axis [G].

  Args:
    points: of the lanes.
    width: the largest latent size.
    lower_size: the latents of a layer below, active in every lane; masks are [G, Z], Z =
      lower_size + width, and the lane's latents those above.
  """
  latent_size = jnp.asarray([point.latent_size for point in points])

  def column(field: str, dtype: Any = jnp.float32) -> Array:
    return jnp.asarray([getattr(point, field) for point in points], dtype)

  return Lane(
    beta=column('beta'),
    seed=column('seed', jnp.uint32),
    learning_rate=column('learning_rate'),
    warmup=jnp.asarray([WARMUPS.index(point.warmup) for point in points], jnp.int32),
    warmup_steps=column('warmup_steps'),
    free_bits=column('free_bits'),
    capacity=column('capacity'),
    capacity_steps=column('capacity_steps'),
    covariance_weight=column('covariance_weight'),
    mask=(jnp.arange(lower_size + width) < lower_size + latent_size[:, None]).astype(jnp.float32),
  )
