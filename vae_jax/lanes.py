"""Lanes: the hyperparameter points that one program trains side by side.

A `Point` is what a person writes and reads (plain numbers by name); a `Lane` is the same point as
arrays, data to the compiled program, so that a new beta or seed never recompiles it. Latent size
becomes data through a mask [Z]: every lane has the largest latent size Z of the grid, and its mask
is 1 where a latent is active. `lane_fields.FIELDS` has every field of both.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from vae_jax import errors, lane_fields
from vae_jax.lane_fields import LaneField

MAX_LANES = 100_000

Point = dict[str, float | int | str]  # all of lane_fields.FIELDS, in order; of results.csv

Lane = NamedTuple(
  'Lane',
  [*((field.name, Array) for field in lane_fields.FIELDS if field.dtype), ('mask', Array)],
)
Lane.__doc__ = """A point as data to the program; with a leading axis [G] for all lanes of the grid.

Every field of `lane_fields.FIELDS` is a number [] but the latent size, which is `mask` [Z]: 1 where
a latent is active.
"""


def point(*values: float | int | str, **by_name: float | int | str) -> Point:
  """Returns a point of these values, the first ones in the order of the fields, the rest off."""
  given = dict(zip(lane_fields.NAMES, values, strict=False)) | by_name
  return lane_fields.DEFAULTS | given


def from_axes(
  combine: str, axes: Mapping[str, Sequence], points: Sequence[Sequence]
) -> list[Point]:
  """Returns the points of a grid, in the order of their lanes.

  Args:
    combine: 'product' (every combination, the last field fastest), 'zip' (the i-th of every axis;
      an axis of one value is repeated), or 'list' (`points` as they stand).
    axes: the values of each field.
    points: for 'list', tuples in the order of the fields; what a tuple leaves out at its end is the
      one value of its axis.

  Raises:
    InputError: an empty axis, unequal lengths, invalid values, or repeated points.
  """
  if combine == 'list':
    rows = _listed(points, axes)
  else:
    columns = errors.each(lambda field: _column(field, axes[field.name]), lane_fields.FIELDS)
    rows = _product(columns) if combine == 'product' else _zipped(columns)
  result = errors.each(_agreeing, (point(*row) for row in rows))
  seen = set()
  for found in result:
    # The program computes in float32: numbers that are the same there are the same lane.
    values = tuple(found.values())
    trained = tuple(np.float32(value) if type(value) is float else value for value in values)
    if trained in seen:
      raise errors.InputError(f'lanes: {values} stands twice; every lane must differ')
    seen.add(trained)
  return result


def _listed(points: Sequence[Sequence], axes: Mapping[str, Sequence]) -> list[Sequence]:
  if not points:
    names = ', '.join(lane_fields.NAMES)
    raise errors.InputError(f"lanes.points is empty; with lanes.combine='list' give ({names})")
  rows = errors.each(lambda listed: _whole_row(listed, axes), points)
  return errors.each(_checked, rows)


def _whole_row(listed: Any, axes: Mapping[str, Sequence]) -> Sequence:
  """Returns a listed point with what it leaves out at its end."""
  if not isinstance(listed, (tuple, list)) or not 0 < len(listed) <= len(lane_fields.NAMES):
    raise errors.InputError(
      f'lanes.points: {errors.shown(listed)} is not a tuple of ({", ".join(lane_fields.NAMES)}), '
      'or of the first of them'
    )
  left_out = lane_fields.NAMES[len(listed) :]
  for name in left_out:
    if len(axes[name]) != 1:
      raise errors.InputError(
        f'lanes.{name}={errors.shown(tuple(axes[name]))} has {len(axes[name])} values, and '
        f'{errors.shown(listed)} of lanes.points leaves it out; give one value, or name it in '
        'every point'
      )
  return [*listed, *(axes[name][0] for name in left_out)]


def _checked(row: Sequence) -> list:
  """Returns the values of a row, each valid by itself."""
  fields = zip(lane_fields.FIELDS, row, strict=True)
  return errors.each(lambda pair: lane_fields.value_of(*pair), fields)


def _column(field: LaneField, values: Sequence) -> list:
  """Returns the valid values of one axis."""
  if not values:
    raise errors.InputError(f'lanes.{field.name} is empty; give at least one value')
  return errors.each(lambda value: lane_fields.value_of(field, value), values)


def _product(columns: Sequence[Sequence]) -> list[Sequence]:
  size = math.prod(map(len, columns))
  if size > MAX_LANES:
    raise errors.InputError(
      f"lanes: lanes.combine='product' makes {size} lanes of these axes; give at most {MAX_LANES}"
    )
  return list(itertools.product(*columns))


def _zipped(columns: Sequence[Sequence]) -> list[Sequence]:
  size = max(map(len, columns))

  def repeated(named: tuple[str, Sequence]) -> Sequence:
    name, column = named
    if len(column) not in (1, size):
      raise errors.InputError(
        f"lanes.{name} has {len(column)} values; lanes.combine='zip' needs {size} (or 1)"
      )
    return column if len(column) == size else list(column) * size

  columns = errors.each(repeated, zip(lane_fields.NAMES, columns, strict=True))
  return list(zip(*columns, strict=True))


def _agreeing(point: Point) -> Point:
  """Returns a point whose values go together."""
  warmup, steps = point['warmup'], point['warmup_steps']
  if (warmup == 'constant') != (steps == 0):
    raise errors.InputError(
      f'lanes.warmup={warmup!r} does not go with lanes.warmup_steps={steps}; '
      "set both, or lanes.warmup='constant' and lanes.warmup_steps=0"
    )
  if point['capacity_steps'] and not point['capacity']:
    raise errors.InputError(
      f'lanes.capacity_steps={point["capacity_steps"]} leads to lanes.capacity=0; set the capacity'
    )
  if point['target_rate']:
    _check_target(point)
  return point


def _check_target(point: Point) -> None:
  """Refuses what would weigh the rate of a lane beside the multiplier of its target."""
  target, beta = f'lanes.target_rate={point["target_rate"]:g}', point['beta']
  low, high = lane_fields.MULTIPLIERS
  if not low <= beta <= high:
    raise errors.InputError(
      f'lanes.beta={beta:g} is where the multiplier of {target} begins: it is from {low:g} to '
      f'{high:g}; the nearest valid value is {min(max(beta, low), high):g}'
    )
  for name in ('warmup', 'free_bits', 'capacity'):
    off = lane_fields.DEFAULTS[name]
    if point[name] != off:
      raise errors.InputError(
        f'lanes.{name}={point[name]!r} does not go with {target}, whose multiplier alone weighs '
        f'the rate; set lanes.{name}={off!r}, or lanes.target_rate=0.0'
      )


def names(points: Sequence[Point]) -> list[str]:
  """Returns a unique name per lane, such as `b4-z10-s0`.

  A further field joins the name (`b4-z10-s0-lr0.01`) only where the grid has several values of it.
  """

  def is_shown(field: LaneField) -> bool:
    return field.in_every_name or len({point[field.name] for point in points}) > 1

  shown = [field for field in lane_fields.FIELDS if is_shown(field)]
  return ['-'.join(f.mark + _short(point[f.name]) for f in shown) for point in points]


def _short(value: float | str) -> str:
  """Returns the shortest text that reads back as the same number: 4.0 -> 4, 1e-05 -> 1e-05."""
  return str(value).removesuffix('.0')


def stack(points: Sequence[Point], width: int, lower_size: int = 0) -> Lane:
  """Returns the lanes as arrays of NumPy with a leading axis [G]: none is compiled to be made.

  Args:
    points: of the lanes.
    width: the largest latent size.
    lower_size: the latents of a layer below, active in every lane; masks are [G, Z], Z =
      lower_size + width, and the lane's latents those above.
  """

  def column(field: LaneField) -> np.ndarray:
    values = [point[field.name] for point in points]
    indices = [field.names.index(value) for value in values] if field.names else values
    return np.asarray(indices, field.dtype)

  latent_size = np.array([point['latent_size'] for point in points])
  mask = np.arange(lower_size + width) < lower_size + latent_size[:, None]
  columns = {field.name: column(field) for field in lane_fields.FIELDS if field.dtype}
  return Lane(**columns, mask=mask.astype(np.float32))
