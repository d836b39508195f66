"""A data set as it is stored: its splits, and what their values are."""

import hashlib
import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae_jax import errors, parts
from vae_jax.data import blocks, cache, kinds, orders, own, sources, splits, transforms
from vae_jax.data.beside import Columns
from vae_jax.densities import Column


class Factors(NamedTuple):
  """The known factors of variation, one row for each example in the order of the images.

  Attributes:
    names: of the F factors, for instance 'shape', 'scale', 'orientation', 'x', 'y'.
    train: [n, F], int32: the index of each factor's value.
    validation: [k, F], int32.
    test: [m, F], int32.
  """

  names: tuple[str, ...]
  train: np.ndarray
  validation: np.ndarray
  test: np.ndarray


class Stored(NamedTuple):
  """The splits of a data set as they are read: nothing is decided yet of how a model sees them.

  Attributes:
    name, version: of the data set.
    where: the config key and value that point to it, for messages.
    sha256: of the decoded arrays of the splits that are used, images and factors, before slicing
      and transformations.
    kind, support, white, is_ranged, reason: what the values are, see `kinds.Values`.
    is_declared: whether a config says so: then nothing that it means is taken for a mistake.
    is_sliced: whether a split is a slice of an array in its stored order: then this matters.
    train, validation, test: [n, *event], uint8 or float32 (or integers that no model here is for),
      cropped and padded; the event is [H, W, C] or [D]. No rows of a validation split that is not
      asked for.
    factors: of the three, where the data set knows them.
    labels: the classes of the examples [n] of the three, by name or by int32, where it knows these.
    beside: of the three, the columns that were asked for, by name; None where none were.
    has_missing: whether a value is missing: NaN, and the arrays are float32 then.
    columns: of a table, see `sources.Source`.
  """

  name: str
  version: str
  where: str
  sha256: str
  kind: str
  support: str
  white: float
  is_ranged: bool
  reason: str
  is_declared: bool
  is_sliced: bool
  train: np.ndarray
  validation: np.ndarray
  test: np.ndarray
  factors: Factors | None
  labels: Mapping[str, np.ndarray] | None = None
  beside: Mapping[str, Columns] | None = None
  has_missing: bool = False
  columns: tuple[Column, ...] = ()

  @property
  def splits(self) -> dict[str, np.ndarray]:
    """The splits that have examples, by name and in their order."""
    found = {'train': self.train, 'validation': self.validation, 'test': self.test}
    return {name: images for name, images in found.items() if len(images)}

  @property
  def event(self) -> tuple[int, ...]:
    """The shape of one example."""
    return self.train.shape[1:]


def open_source(settings: Mapping[str, Any]) -> sources.Source:
  """Returns the data set of a section `data`: 'digits', 'shapes' and 'patches',
  'npz' and 'folder' with a path, a TFDS data set NAME[/CONFIG][:VERSION], or what a loader of the
  user's own returns.

  Args:
    settings: `name`, and the keys of its own; others are left aside.

  Raises:
    InputError: there is no such data set; one line that names the key.
    DamagedError: its description cannot be read.
  """
  name = settings['name']
  opened = parts.build('data', settings)
  if parts.is_from_outside(name):
    return own.source_of(opened, name)
  return _cached_digits(opened) if name in ('digits', 'digit_counts') else opened


def read(
  source: sources.Source,
  train_split: str,
  test_split: str,
  crop: Sequence[int],
  pad: Sequence[int],
  kind: str,
  range: Sequence[float],
  validation_split: str = '',
  beside: Sequence[str] = (),
  missing: str = 'refused',
  split_order: str = 'stored',
  seed: int = 0,
) -> Stored:
  """Returns the splits of a data set, and what their values are.

  Args:
    source: see `open_source`.
    train_split: split expression, for instance 'train[:80%]' or 'train+validation'.
    test_split: split expression.
    crop: () or the (height, width) of the centre to keep.
    pad: () or the (height, width) to reach with zeros around.
    kind: what the values are, one of `kinds.KINDS`.
    range: () or the values (black, white) that the model sees as 0 and 1.
    validation_split: split expression; '' for none.
    beside: names of the columns beside the examples that are asked for.
    missing: one of `kinds.MISSING`: what a value that is NaN means.
    split_order: 'stored', 'shuffled' or 'group:COLUMN': which examples a slice takes; see
      `orders.order_of`.
    seed: of that order.

  Raises:
    InputError: a value does not fit; one line that names the key.
    AbsentError: there is no such split.
    DamagedError: stored data cannot be read.
  """
  texts = {'train': train_split, 'validation': validation_split, 'test': test_split}
  parts = splits.parse(texts, source)
  splits.check_order(parts.values(), source, split_order)
  names = set().union(*(part.names for part in parts.values()))
  images, types, factors, columns = _read(source, names, beside, split_order, missing, kind)
  sha256 = _sha256(images, factors, columns)
  values = kinds.known(images, types, kind, range, source.where, bool(source.columns))
  group = orders.column_of(split_order)
  by = {
    split: orders.order_of(split_order, len(array), seed, columns[split].get(group))
    for split, array in values.arrays.items()
  }
  taken = {
    name: transforms.pad(transforms.crop(splits.take(part, values.arrays, by), crop), pad)
    for name, part in parts.items()
  }
  known = _beside(columns, parts, by)
  if group:
    distinct = {texts[split]: split for split in parts}  # of one expression both may be
    of = {split: known[split][group] for split in distinct.values()}
    orders.check_apart(split_order, of, source.where)
  return Stored(
    name=source.name,
    version=source.version,
    where=source.where,
    sha256=sha256,
    **{key: value for key, value in values._asdict().items() if key != 'arrays'},
    is_declared=kind != 'auto' or len(range) > 0,
    is_sliced=split_order == 'stored' and any(part.is_sliced for part in parts.values()),
    **{'validation': taken['train'][:0], **taken},
    beside=known,
    columns=source.columns,
    has_missing=any(map(blocks.has_nan, taken.values())),
    **_known(factors, parts, by),
  )


def _cached_digits(source: sources.Source) -> sources.Source:
  """Returns a source that decodes once: importing scikit-learn is most of reading its digits."""
  origin = importlib.metadata.version('scikit-learn')
  fingerprint = hashlib.sha256(f'{origin} {sources.LABEL}'.encode()).hexdigest()[:16]

  def read(split: str) -> sources.Examples:
    return cache.fetch(source.name, '1.0.0', split, fingerprint, lambda: source.read(split))

  return source._replace(read=read)


def _read(
  source: sources.Source,
  names: set[str],
  asked: Sequence[str],
  split_order: str,
  missing: str,
  kind: str,
) -> tuple[
  dict[str, np.ndarray], list[np.dtype], dict[str, np.ndarray], dict[str, dict[str, np.ndarray]]
]:
  """Returns the canonical images of whole splits, their types, factors where there are any, and the
  columns beside them that are asked for.

  Raises:
    InputError: they cannot be used together.
  """
  images, types, factors, columns = {}, [], {}, {}
  for split in sorted(names):
    examples = source.read(split)
    types.append(examples.images.dtype)
    where = f'{source.where}, {split!r}'
    images[split] = kinds.canonical(examples.images, where, missing, kind)
    columns[split] = sources.columns_of(examples, asked, where)
    if group := orders.column_of(split_order):
      ordered = f'data.split_order={split_order!r}: {where}'
      columns[split] |= sources.columns_of(examples, [group], ordered)
    if examples.factors is not None:
      factors[split] = sources.known_of(examples)
  if len({(a.dtype.kind == 'f', a.shape[1:]) for a in images.values()}) > 1:
    found = ', '.join(f'{s!r} {a.dtype} {list(a.shape[1:])}' for s, a in images.items())
    raise errors.InputError(
      f'{source.where}: its splits differ in type or shape ({found}); '
      'use splits of one type and shape'
    )
  return images, types, factors, columns


def _known(
  factors: Mapping[str, np.ndarray],
  parts: Mapping[str, splits.Expression],
  by: Mapping[str, orders.Order],
) -> dict[str, Factors | Mapping[str, np.ndarray] | None]:
  """Returns the factors or the labels of the splits, where the data set knows those of all."""
  if not all(factors.keys() >= part.names for part in parts.values()):
    return {'factors': None}
  taken = {name: splits.take(part, factors, by) for name, part in parts.items()}  # [n]
  names = taken['train'].dtype.names
  if names == (sources.LABEL,):
    return {'factors': None, 'labels': {split: rows[names[0]] for split, rows in taken.items()}}
  columns = {
    split: np.stack([rows[name] for name in names], axis=1) for split, rows in taken.items()
  }
  return {'factors': Factors(names, **{'validation': columns['train'][:0], **columns})}


def _beside(
  columns: Mapping[str, Columns],
  parts: Mapping[str, splits.Expression],
  by: Mapping[str, orders.Order],
) -> dict[str, Columns] | None:
  """Returns the columns of the splits; None where none are asked for."""
  names = next(iter(columns.values())).keys()
  if not names:
    return None
  by_name = {name: {split: each[name] for split, each in columns.items()} for name in names}
  taken = {
    split: {name: splits.take(part, arrays, by) for name, arrays in by_name.items()}
    for split, part in parts.items()
  }
  return {'validation': {name: taken['train'][name][:0] for name in names}, **taken}


def _sha256(
  images: Mapping[str, np.ndarray],
  factors: Mapping[str, np.ndarray],
  columns: Mapping[str, Columns],
) -> str:
  lines = [f'{split} {transforms.array_sha256(array)}' for split, array in images.items()]
  for split, array in factors.items():
    if array.dtype.names == (sources.LABEL,):
      continue  # nothing is computed of a class
    lines.append(f'{split} {array.dtype.names} {transforms.array_sha256(array)}')
  lines += [
    f'{split} {name} {transforms.array_sha256(column)}'
    for split, named in columns.items()
    for name, column in named.items()
  ]
  return hashlib.sha256('\n'.join(lines).encode()).hexdigest()
