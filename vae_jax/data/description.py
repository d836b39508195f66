"""What the splits of a data set look like: a line for each, and what about them is odd."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from vae_jax.data import blocks
from vae_jax.data.kinds import WHITE
from vae_jax.data.stored import Stored

_MOST_HASHED = 2**30  # bytes: of larger data no duplicates are counted
_ORDERED = 2048  # examples whose order is looked at
GREY = 0.5  # mean 4 x (1 - x): 0.07 of MNIST, 0.32 of Fashion-MNIST, 0.83 of Frey Faces
_RESOLVED = 0.01  # of its spread, to which a value should be known


class Split(NamedTuple):
  """What one split looks like, as stored."""

  name: str
  shape: tuple[int, ...]  # [n, *event]
  dtype: str
  low: float
  mean: float
  high: float
  num_constant: int  # values of an example that never vary
  num_repeated: int | None  # examples that stand there before; None where they were not counted
  num_shared: int | None  # examples that the training split has, too
  num_missing: int = 0  # values of the examples
  num_chosen_on: int | None = None  # of the test split: examples that the validation split has, too


def describe(stored: Stored) -> tuple[Split, ...]:
  """Returns what the splits look like, in the order train, validation where there is one, test."""
  splits = stored.splits
  if sum(images.nbytes for images in splits.values()) > _MOST_HASHED:
    return tuple(_split(name, images, None, None) for name, images in splits.items())
  hashes = {name: _hashes(images) for name, images in splits.items()}

  def in_both(name: str, other: str) -> int | None:
    known = set(hashes.get(other, ()))
    return sum(h in known for h in hashes[name]) if known and name != other else None

  return tuple(
    _split(name, images, hashes[name], in_both(name, 'train'))._replace(
      num_chosen_on=in_both(name, 'validation') if name == 'test' else None
    )
    for name, images in splits.items()
  )


def _hashes(images: np.ndarray) -> list[int]:
  """Returns 64 bits of every example, the same for the same values."""
  rows = np.ascontiguousarray(images).reshape(len(images), -1)
  return [hash(row.tobytes()) for row in rows]


def _split(name: str, images: np.ndarray, hashes: list[int] | None, shared: int | None) -> Split:
  return Split(
    name=name,
    shape=images.shape,
    dtype=str(images.dtype),
    low=np.nanmin(images).item(),
    mean=blocks.mean(images, None).item(),
    high=np.nanmax(images).item(),
    num_constant=int(np.count_nonzero(np.nanmin(images, axis=0) == np.nanmax(images, axis=0))),
    num_missing=blocks.count(np.isnan, images) if images.dtype.kind == 'f' else 0,
    num_repeated=None if hashes is None else len(hashes) - len(set(hashes)),
    num_shared=shared,
  )


def line(split: Split, stored: Stored, seen_as: str) -> str:
  """Returns a split in one line.

  Args:
    split: of the data set.
    stored: the data set.
    seen_as: what the model sees, for instance 'binary, drawn anew at each step'; '' says nothing.
  """
  n, *event = split.shape
  size = math.prod(event)
  unknown = 'duplicates not counted'
  missing = f', {split.num_missing / (n * size):.1%} missing' if split.num_missing else ''
  repeated = unknown if split.num_repeated is None else f'{split.num_repeated:,} repeated'
  seen_as = f'; {stored.kind} ({stored.reason}), seen as {seen_as}' if seen_as else ''
  shared = '' if split.num_shared is None else f', {split.num_shared:,} of them in train'
  return (
    f'{split.name}: {stored.name}, {n:,} x {event} {split.dtype}, {split.low:.6g} to '
    f'{split.high:.6g}, mean {split.mean:.4g}{missing}{seen_as}; {split.num_constant:,} of '
    f'{size:,} values constant, {repeated}{shared}'
  )


def oddities(stored: Stored, train: Split, *others: Split) -> Iterator[str]:
  """Says what is odd about the values as they are stored, each in one line."""
  for other in others:
    yield from _between_splits(train, other)
  white = {'uint8': stored.white, 'unit': 1.0}.get(stored.support)
  high = max(split.high for split in (train, *others))
  if white and 0 < high <= white / 2:
    yield (
      f'the largest value is {high:.4g} of {white:g}: if it is meant to be white, set '
      f'data.range=(0, {high:g})'
    )
  if train.num_constant == math.prod(train.shape[1:]):
    yield 'all training examples are the same: there is nothing to learn'
  elif train.num_constant and stored.columns:
    constant = np.nanmin(stored.train, axis=0) == np.nanmax(stored.train, axis=0)
    names = [column.name for column, same in zip(stored.columns, constant, strict=True) if same]
    yield (
      f'all training examples have the same value of {", ".join(map(repr, names[:5]))}'
      f'{" ..." if len(names) > 5 else ""}: such a column says nothing; leave it out of x'
    )
  if stored.is_sliced and (alike := neighbours(stored.train)):
    yield (
      f'the file is in an order: an example and the next are alike (correlation {alike:.2f}), so '
      "that slices of it are no random samples; set data.split_order='shuffled', or 'group:COLUMN' "
      'where several are of one subject; slices of a series stay as they are: say so with every '
      'number'
    )
  if stored.support == 'real' and (count := _unresolved(stored.train)):
    yield (
      f'{count:,} values of an example vary by less than float32 resolves beside their mean; '
      'subtract it in the file'
    )


def _between_splits(train: Split, other: Split) -> Iterator[str]:
  spans = [split.high - split.low for split in (train, other)]
  apart = abs(train.low - other.low) > 0.5 * max(spans)
  if min(train.shape[0], other.shape[0]) >= 10 and (max(spans) > 2 * min(spans) or apart):
    yield (
      f'the splits differ in range: train {train.low:.6g} to {train.high:.6g}, {other.name} '
      f'{other.low:.6g} to {other.high:.6g}; scale them alike'
    )
  for count, where in ((other.num_shared, 'training'), (other.num_chosen_on, 'validation')):
    if count and count > 0.01 * other.shape[0]:
      yield (
        f'{count:,} of {other.shape[0]:,} {other.name} examples are in the {where} split: what is '
        f'reported of the {other.name} set is too good'
      )


def neighbours(images: np.ndarray) -> float:
  """Returns how alike an example and the next are: a correlation, 0.0 where it may be chance.

  Of the mean and three random projections of up to 2,048 examples: the largest lag-1
  autocorrelation, if it is beyond six standard errors 1 / sqrt(m) and 0.1. A file that is sorted by
  class has it, and so does a video; without labels no more can be known.
  """
  chosen = np.unique(np.linspace(0, len(images) - 1, _ORDERED).astype(int))
  x = images[chosen].reshape(len(chosen), -1).astype(np.float64)
  signs = np.random.Philox(key=0).random_raw(3 * x.shape[1]).reshape(-1, 3) % 2 * 2.0 - 1
  x = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
  values = x @ np.concatenate([np.ones((x.shape[1], 1)), signs], axis=1)
  values = values - values.mean(axis=0)
  power = np.square(values).sum(axis=0)
  products = (values[1:] * values[:-1]).sum(axis=0)
  found = float(np.max(products[power > 0] / power[power > 0], initial=0.0))
  return found if found > max(0.1, 6 / math.sqrt(len(x))) else 0.0


def _unresolved(images: np.ndarray) -> int:
  mean, spread = moments(images)
  known_to = np.abs(mean) * np.finfo(np.float32).eps
  return int(np.count_nonzero((spread > 0) & (known_to > _RESOLVED * spread)))


def moments(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns mean and standard deviation [*event] of up to 2,048 examples, evenly spaced."""
  rows = images[:: -(-len(images) // _ORDERED)].astype(np.float64)
  return np.nanmean(rows, axis=0), np.nanstd(rows, axis=0)


def greyness(stored: Stored) -> float:
  """Returns the mean 4 x (1 - x) of intensities: 0 of black and white alone, 1 of middle grey."""
  white = stored.white if stored.support == 'uint8' else 1.0
  x = stored.train[:: -(-len(stored.train) // _ORDERED)]
  x = x.astype(np.float64) / white
  return float(np.nanmean(4 * x * (1 - x)))


def is_colour(stored: Stored) -> bool:
  """Tells whether examples are images of three or four channels."""
  return len(stored.event) == 3 and stored.event[-1] in (3, 4)


def are_bytes(stored: Stored) -> bool:
  """Tells whether values are the 256 levels of 8 bits."""
  return stored.support == 'uint8' and stored.white == WHITE
