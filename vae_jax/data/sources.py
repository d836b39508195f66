"""Where arrays come from: a source names its splits and reads each of them whole."""

import difflib
import pathlib
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from vae_jax import errors
from vae_jax.data import shapes


class Examples(NamedTuple):
  """What a source reads of one split.

  Attributes:
    images: [n, ...] as decoded.
    factors: [n], one int32 field for each known factor, the index of its value; None without.
  """

  images: np.ndarray
  factors: np.ndarray | None = None


class Source(NamedTuple):
  """A data set whose splits can be read.

  Attributes:
    name: of the data set.
    version: of the data set.
    where: the config key and value that point here, for messages: "data.name='mnist'".
    splits: names of the splits, in their own order.
    read: split name -> its examples.
  """

  name: str
  version: str
  where: str
  splits: tuple[str, ...]
  read: Callable[[str], Examples]


def nearest(value: str, options: Iterable[str]) -> str:
  """Returns the end of a message, "; did you mean 'x'?", or nothing where no option is near."""
  close = difflib.get_close_matches(value.lower(), options, n=1)
  return f'; did you mean {close[0]!r}?' if close else ''


def open_digits() -> Source:
  """Returns scikit-learn's digits: 1,797 images [8, 8, 1], grey levels k / 16.

  Every fifth image is a test image (359), the others are for training (1,438).
  """

  def read(split: str) -> Examples:
    from sklearn import datasets

    images = datasets.load_digits().images.astype(np.float32) / 16  # [1797, 8, 8]
    test = np.s_[4::5]
    return Examples(images[test] if split == 'test' else np.delete(images, test, axis=0))

  # The images have not changed since scikit-learn has them; Dataset.sha256 would tell.
  return Source('digits', 'sklearn-optdigits', "data.name='digits'", ('train', 'test'), read)


def open_shapes() -> Source:
  """Returns drawn shapes with known factors: 3,840 images [32, 32, 1], 768 of them for the test."""

  def read(split: str) -> Examples:
    return Examples(*shapes.read(split))

  return Source('shapes', shapes.VERSION, "data.name='shapes'", ('train', 'test'), read)


def open_npz(path: str) -> Source:
  """Returns the user's own .npz file; its named arrays are the splits.

  Raises:
    InputError: there is no such file, or it is not an .npz file.
    DamagedError: it begins like one and cannot be read.
  """
  where = f'data.path={path!r}'
  if not path:
    raise errors.InputError(f"{where}: data.name='npz' needs the path of an .npz file")
  file = pathlib.Path(path).expanduser()
  if not file.is_file():
    raise errors.InputError(f'{where}: there is no file {file.absolute()}')
  try:
    handle = open(file, 'rb')  # noqa: SIM115 (closed by the block below)
  except OSError as error:
    raise errors.InputError(f'{where} cannot be read: {error.strerror}') from error
  with handle:
    if handle.read(2) != b'PK':  # every zip file, and so every .npz, begins with it
      raise errors.InputError(f'{where} is not an .npz file; write one with np.savez')
  try:
    with np.load(file, allow_pickle=False) as archive:
      splits = tuple(archive.files)
  except (zipfile.BadZipFile, EOFError, OSError, ValueError) as error:
    raise errors.DamagedError(f'{file} is damaged: {_one_line(error)}') from error

  def read(split: str) -> Examples:
    return Examples(_read_npz(file, split, where))

  return Source('npz', file.name, where, splits, read)


def _read_npz(file: pathlib.Path, split: str, where: str) -> np.ndarray:
  """Returns one array of an .npz file."""
  try:
    with np.load(file, allow_pickle=False) as archive:
      array = archive[split]
  except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
    if 'allow_pickle' in str(error):
      raise errors.InputError(
        f'{where}: array {split!r} holds Python objects; store numbers of one shape'
      ) from error
    raise errors.DamagedError(f'{file}, array {split!r} is damaged: {_one_line(error)}') from error
  if not isinstance(array, np.ndarray):
    raise errors.InputError(f'{where}: {split!r} is not an array; write the file with np.savez')
  return array


def _one_line(error: Exception) -> str:
  return ' '.join(str(error).split()) or type(error).__name__
