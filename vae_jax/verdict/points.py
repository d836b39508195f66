"""Points: the lanes of a study that differ by nothing but the seed, and their names."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae_jax import lane_fields

LOST = ('diverged', 'failed')
_MOST_LOST = 0.5  # of a lane's images may have no finite value before the lane itself is left out


class Point(NamedTuple):
  """Lanes that differ by nothing but the seed.

  Attributes:
    name: 'beta 1, latent size 8', and whatever else differs in the study.
    fields: the values that it is named by, and beta and latent_size.
    lanes: [S] the indices of its lanes that count.
  """

  name: str
  fields: dict[str, Any]
  lanes: tuple[int, ...]


class Values(NamedTuple):
  """What is compared: points, and the values of their lanes on the images that all of them have.

  Attributes:
    points: with a lane that counts, in the order of the grid.
    values: [G, n] float64, of all lanes; those that do not count are never looked at.
    left_out: lane -> why it does not count.
    images_left_out: the number of images that a lane which counts has no finite value of.
    gone: the names of points of which no lane counts.
  """

  points: list[Point]
  values: np.ndarray
  left_out: dict[str, str]
  images_left_out: int
  gone: list[str]


def varying(rows: Sequence[Mapping[str, Any]], also: Sequence[str] = ()) -> list[str]:
  """Returns the lane fields but the seed that differ; where none does, the usual two.

  Args:
    rows: of results.csv, [G].
    also: columns beside the lane fields by which lanes are told apart, such as keys of launches.
  """
  of_lanes = [name for name in lane_fields.NAMES if name != 'seed' and name in rows[0]]
  names = [*also, *of_lanes]
  found = [name for name in names if len({row[name] for row in rows}) > 1]
  return found or [name for name in ('beta', 'latent_size') if name in rows[0]]


def name_of(fields: Mapping[str, Any]) -> str:
  """Returns fields as words: 'beta 0.5, latent size 8'."""
  return ', '.join(f'{key.replace("_", " ")} {shown(value)}' for key, value in fields.items())


def shown(value: Any) -> str:
  """Returns a value in the shortest form that tells it from others: 4.0 is 4."""
  return str(value).removesuffix('.0')


def collect(
  rows: Sequence[Mapping[str, Any]],
  values: np.ndarray,
  also: Sequence[str] = (),
  example: str = 'image',
) -> Values:
  """Returns the points of lanes and what can be compared of them.

  A lane that diverged or failed, or that has no finite value of more than half of the images, does
  not count. An image that a lane which counts has no finite value of is left out for all.

  Args:
    rows: of results.csv, [G].
    values: [G, n], such as the NLL of each image.
    also: see `varying`.
    example: what one of the n is called.
  """
  values = np.asarray(values, np.float64)
  finite = np.isfinite(values)
  left_out = {}
  for i, row in enumerate(rows):
    if row['status'] in LOST:
      left_out[i] = row['status']
    elif finite[i].mean() < 1 - _MOST_LOST:
      left_out[i] = f'no finite value of {np.sum(~finite[i])} of {len(finite[i])} {example}s'
  counted = [i for i in range(len(rows)) if i not in left_out]
  common = finite[counted].all(axis=0) if counted else np.zeros(values.shape[1], bool)
  points, gone = _grouped(rows, set(counted), also)
  return Values(
    points,
    values[:, common],
    {rows[i]['name']: why for i, why in left_out.items()},
    int(np.sum(~common)) if counted else 0,
    gone,
  )


def _grouped(
  rows: Sequence[Mapping[str, Any]], counted: set[int], columns: Sequence[str]
) -> tuple[list[Point], list[str]]:
  """Returns the points that have a lane that counts, and the names of the others."""
  names = varying(rows, columns)
  also = [name for name in ('beta', 'latent_size') if name in rows[0]]
  groups: dict[tuple, list[int]] = {}
  for i, row in enumerate(rows):
    groups.setdefault(tuple(row[name] for name in names), []).append(i)
  points, gone = [], []
  for key, lanes in groups.items():
    named = dict(zip(names, key, strict=True))
    kept = tuple(i for i in lanes if i in counted)
    if kept:
      fields = named | {name: rows[lanes[0]][name] for name in also}
      points.append(Point(name_of(named), fields, kept))
    else:
      gone.append(name_of(named))
  return points, gone
