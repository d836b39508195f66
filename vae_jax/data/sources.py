"""Where arrays come from: a source names its splits and reads each of them whole."""

import collections
import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vae_jax import errors
from vae_jax.data import shapes
from vae_jax.densities import Column

LABEL = 'label'


class Examples(NamedTuple):
  """What a source reads of one split.

  Attributes:
    images: [n, ...] as decoded.
    factors: [n], one int32 field for each known factor, the index of its value; where `LABEL` is
      the only field, the class of each image, which is no factor; None without.
    beside: name -> [n], numbers or text: what else is known of each example, such as its group or
      its size; it may read a column when it is asked for. The class of `factors` is among them by
      the name LABEL. None without.
  """

  images: np.ndarray
  factors: np.ndarray | None = None
  beside: Mapping[str, np.ndarray] | None = None


class Lazy(collections.abc.Mapping):
  """Columns of which each is read when it is asked for.

  Attributes:
    names: of the columns, in their order.
    read: name -> [n].
  """

  def __init__(self, names: Sequence[str], read: Callable[[str], np.ndarray]):
    self.names, self.read = names, read

  def __getitem__(self, name: str) -> np.ndarray:
    if name not in self.names:
      raise KeyError(name)
    return self.read(name)

  def __contains__(self, name: object) -> bool:
    return name in self.names  # that of Mapping would read the column

  def __iter__(self) -> Iterator[str]:
    return iter(self.names)

  def __len__(self) -> int:
    return len(self.names)


class Source(NamedTuple):
  """A data set whose splits can be read.

  Attributes:
    name: of the data set.
    version: of the data set.
    where: the config key and value that point here, for messages: "data.name='mnist'".
    splits: names of the splits, in their own order.
    read: split name -> its examples.
    columns: of a table, in the order of the values of an example; () where they have no names.
    sorted_by: what the examples of a split are sorted by, such as 'class', so that a slice of it in
      its own order would have some alone; '' for nothing that is known.
    holds_examples: whether a split may be advised: others have what is known of the examples.
  """

  name: str
  version: str
  where: str
  splits: tuple[str, ...]
  read: Callable[[str], Examples]
  columns: tuple[Column, ...] = ()
  sorted_by: str = ''
  holds_examples: Callable[[str], bool] = lambda split: True


def known_of(examples: Examples) -> np.ndarray:
  """Returns the factors of examples that have some; their classes by name where those are known."""
  if examples.factors.dtype.names != (LABEL,):
    return examples.factors
  names = np.asarray((examples.beside or {}).get(LABEL, ()))
  if names.dtype.kind != 'U':
    return examples.factors
  return np.ascontiguousarray(names).view([(LABEL, names.dtype)])


def columns_of(examples: Examples, names: Sequence[str], where: str) -> dict[str, np.ndarray]:
  """Returns the columns beside examples that are asked for, [n] each.

  Args:
    examples: of one split.
    names: of the columns.
    where: what the split is, for messages.

  Raises:
    InputError: there is no such column, or it is not one value for each example.
  """
  factors = examples.factors
  known = {} if factors is None else {name: factors[name] for name in factors.dtype.names}
  beside = collections.ChainMap(examples.beside or {}, known)
  found = {}
  for name in names:
    if name not in beside:
      have = ', '.join(map(short, beside)) or 'none'
      raise errors.InputError(
        f'{where} has no column {short(name)} beside its examples, only {have}'
        + errors.nearest(name, beside)
      )
    found[name] = np.asarray(beside[name])
    if found[name].shape != (len(examples.images),):
      raise errors.InputError(
        f'{where}: column {short(name)} is {list(found[name].shape)}, and there are '
        f'{len(examples.images):,} examples; give each one value'
      )
  return found


def paths_of(path: str, split: str, where: str) -> dict[str, str]:
  """Returns the paths of files by their splits: of one file, or of 'train=FILE,test=FILE'.

  Args:
    path: what the config says.
    split: the name of one file's.
    where: the config key and value, for messages.

  Raises:
    InputError: it is neither.
  """
  if '=' not in path or pathlib.Path(path).expanduser().exists():
    return {split: path}
  found: dict[str, str] = {}
  for part in path.split(','):
    name, equals, file = (word.strip() for word in part.partition('='))
    if not (name and equals and file) or name in found:
      raise errors.InputError(
        f"{where} is not valid: it is a file, or 'train=FILE,test=FILE' of splits, each once"
      )
    found[name] = file
  return found


def open_digits() -> Source:
  """Returns scikit-learn's digits: 1,797 images [8, 8, 1], grey levels k / 16.

  Every fifth image is a test image (359), the others are for training (1,438).
  """
  return _digits('digits', 'sklearn-optdigits', lambda counts: counts.astype(np.float32) / 16)


def open_digit_counts() -> Source:
  """Returns the same images as counts k from 0 to 16: how many of 4 x 4 pixels were ink."""
  return _digits('digit_counts', 'sklearn-optdigits-counts', lambda counts: counts)


def _digits(name: str, version: str, seen: Callable[[np.ndarray], np.ndarray]) -> Source:
  def read(split: str) -> Examples:
    from sklearn import datasets

    found = datasets.load_digits()
    images = seen(found.images.astype(np.int32))  # [1797, 8, 8]
    labels = found.target.astype(np.int32).view([(LABEL, np.int32)])
    is_test = np.arange(len(images)) % 5 == 4
    chosen = is_test if split == 'test' else ~is_test
    return Examples(images[chosen], labels[chosen])

  # The images have not changed since scikit-learn has them; Dataset.sha256 would tell.
  return Source(name, version, f'data.name={name!r}', ('train', 'test'), read)


def open_shapes() -> Source:
  """Returns drawn shapes with known factors: 3,840 images [32, 32, 1], 768 of them for the test."""

  def read(split: str) -> Examples:
    return Examples(*shapes.read(split))

  return Source('shapes', shapes.VERSION, "data.name='shapes'", ('train', 'test'), read)


def short(text: str, most: int = 60) -> str:
  """Returns a text in quotes, the middle of a long one left out."""
  return repr(text if len(text) <= most else f'{text[: most // 2]}...{text[-most // 2 :]}')
