"""Lanes: the hyperparameter points that one program trains side by side.

A `Point` is what a person writes and reads (plain numbers); a `Lane` is the same point as arrays,
data to the compiled program, so that a new beta or seed never recompiles it. Latent size becomes
data through a mask [Z]: every lane has the largest latent size Z of the grid, and its mask is 1
where a latent is active.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import errors

MAX_SEED = 2**32 - 1


class Point(NamedTuple):
  """One hyperparameter point, in plain numbers; one row of `results.csv`."""

  beta: float
  latent_size: int
  seed: int
  learning_rate: float


class Lane(NamedTuple):
  """The same as data to the program; with a leading axis [G] for all lanes of the grid."""

  beta: Array  # [] weight of the rate
  seed: Array  # [] uint32
  learning_rate: Array  # [] peak of the schedule
  mask: Array  # [Z] 1 where a latent is active


def from_axes(
  combine: str, axes: Mapping[str, Sequence], points: Sequence[Sequence]
) -> list[Point]:
  """Returns the points of a grid, in the order of their lanes.

  Args:
    combine: 'product' (every combination, the last field fastest), 'zip' (the i-th of every axis;
      an axis of one value is repeated), or 'list' (`points` as they stand, the axes unused).
    axes: the values of each field of Point.
    points: for 'list', tuples in the order of Point's fields.

  Raises:
    InputError: an empty axis, unequal lengths, an invalid value, or a repeated point.
  """
  if combine == 'list':
    rows = _listed(points)
  else:
    for name in Point._fields:
      if not axes[name]:
        raise errors.InputError(f'lanes.{name} is empty; give at least one value')
    columns = [axes[name] for name in Point._fields]
    rows = list(itertools.product(*columns)) if combine == 'product' else _zipped(columns)
  result = [_checked(row) for row in rows]
  seen = set()
  for point in result:
    # The program computes in float32: numbers that are the same there are the same lane.
    trained = tuple(np.float32(value) if type(value) is float else value for value in point)
    if trained in seen:
      raise errors.InputError(f'lanes: {tuple(point)} stands twice; every lane must differ')
    seen.add(trained)
  return result


def _listed(points: Sequence[Sequence]) -> list[Sequence]:
  fields = ', '.join(Point._fields)
  if not points:
    raise errors.InputError(f"lanes.points is empty; with lanes.combine='list' give ({fields})")
  for point in points:
    if not isinstance(point, Sequence) or len(point) != len(Point._fields):
      raise errors.InputError(f'lanes.points: {point!r} is not a tuple of ({fields})')
  return list(points)


def _zipped(columns: Sequence[Sequence]) -> list[Sequence]:
  size = max(map(len, columns))
  for name, column in zip(Point._fields, columns, strict=True):
    if len(column) not in (1, size):
      raise errors.InputError(
        f"lanes.{name} has {len(column)} values; lanes.combine='zip' needs {size} (or 1)"
      )
  repeated = [column if len(column) == size else tuple(column) * size for column in columns]
  return list(zip(*repeated, strict=True))


def _checked(row: Sequence) -> Point:
  beta, latent_size, seed, learning_rate = row
  return Point(
    beta=_real('beta', beta, low=0.0),
    latent_size=_whole('latent_size', latent_size, low=1, high=1_000_000),
    seed=_whole('seed', seed, low=0, high=MAX_SEED),
    learning_rate=_real('learning_rate', learning_rate, low=1e-30),
  )


def _real(name: str, value: Any, low: float) -> float:
  if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
    raise errors.InputError(f'lanes.{name}={value!r} is not a finite number')
  if value < low or value > 1e30:
    nearest = min(max(value, low), 1e30)
    raise errors.InputError(
      f'lanes.{name}={value!r} is outside [{low:g}, 1e+30]; the nearest valid value is {nearest:g}'
    )
  return float(value)


def _whole(name: str, value: Any, low: int, high: int) -> int:
  is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
  if not is_number or not math.isfinite(value):
    raise errors.InputError(f'lanes.{name}={value!r} is not a whole number')
  if value != int(value) or not low <= value <= high:
    nearest = min(max(round(value), low), high)
    raise errors.InputError(
      f'lanes.{name}={value!r} is not a whole number of at least {low}; '
      f'the nearest valid value is {nearest}'
    )
  return int(value)


def names(points: Sequence[Point]) -> list[str]:
  """Returns a unique name per lane, such as `b4-z10-s0`.

  The learning rate joins the name (`b4-z10-s0-lr0.01`) only where the grid has several.
  """
  several_rates = len({point.learning_rate for point in points}) > 1
  result = []
  for point in points:
    name = f'b{_short(point.beta)}-z{point.latent_size}-s{point.seed}'
    result.append(name + (f'-lr{_short(point.learning_rate)}' if several_rates else ''))
  return result


def _short(value: float) -> str:
  """Returns the shortest text that reads back as the same number: 4.0 -> 4, 1e-05 -> 1e-05."""
  return repr(value).removesuffix('.0')


def stack(points: Sequence[Point], width: int) -> Lane:
  """Returns the lanes as arrays with a leading axis [G] and masks [G, Z], Z = `width`."""
  latent_size = jnp.asarray([point.latent_size for point in points])
  return Lane(
    beta=jnp.asarray([point.beta for point in points], jnp.float32),
    seed=jnp.asarray([point.seed for point in points], jnp.uint32),
    learning_rate=jnp.asarray([point.learning_rate for point in points], jnp.float32),
    mask=(jnp.arange(width) < latent_size[:, None]).astype(jnp.float32),  # [G, Z]
  )
