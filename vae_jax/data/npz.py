"""The user's own .npz file: looked at before it is read, and read without running anything.

A file can be anything: what its headers declare is held against its size and the memory first.
"""

import contextlib
import errno
import math
import pathlib
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Annotated

import numpy as np
import psutil

from vae_jax import checks, errors
from vae_jax.data import beginnings, sources
from vae_jax.data import labels as classes
from vae_jax.data.sources import short

_MOST_DEFLATED = 1032  # zlib unpacks a byte to so many at most
# What NumPy, zipfile and their decompressors raise for bad bytes, beside ValueError and OSError.
_BAD_BYTES = (
  zipfile.BadZipFile,
  zlib.error,
  EOFError,
  ValueError,
  KeyError,
  IndexError,
  OverflowError,
  RecursionError,
  SyntaxError,
  tokenize.TokenError,
  struct.error,
)


def open_npz(
  path: Annotated[str, checks.text(empty=True)] = '',
  labels: Annotated[str, checks.text(empty=True)] = '',
  masks: Annotated[str, checks.text(empty=True)] = '',
) -> sources.Source:
  """Returns the user's own .npz file; its named arrays are the splits.

  Of a split 'train' an array 'train_age' is the column 'age' beside its examples.

  Args:
    path: of the file; `~` is the home directory.
    labels: the array that has the classes of each array of examples, for the pictures of codes:
      'images=labels', or 'train=train_labels,test=test_labels' of all that are used.
    masks: the array that has, for each array of examples, 1 where a value is observed and 0 where
      it is missing: 'train=train_mask,test=test_mask'; see `data.missing`.

  Raises:
    InputError: there is no such file, or it is not an .npz file.
    DamagedError: it begins like one and cannot be read.
    StorageError: the disk does not answer.
  """
  where = f'data.path={short(path, 200)}'
  if not path:
    raise errors.InputError(f"{where}: data.name='npz' needs the path of an .npz file")
  file = existing(path, where)
  otherwise = 'is not an .npz file; write one with np.savez(path, train=..., test=...)'
  beginnings.check(file, beginnings.ZIP, where, otherwise)
  with damaged(f'{file}'), zipfile.ZipFile(file) as archive:
    members = [info.filename for info in archive.infolist()]
  if members and not any(name.endswith('.npy') for name in members):
    raise errors.InputError(f'{where} {beginnings.what_is_zipped(file)}')
  splits = tuple(name.removesuffix('.npy') for name in members)
  for name in splits:
    if splits.count(name) > 1:
      raise errors.InputError(f'{where} holds two arrays named {short(name)}; give each its own')

  def array(name: str) -> np.ndarray:
    return _read_array(file, members[splits.index(name)], name, where)

  labels_of = classes.parse('data.labels', labels, splits, where)
  masks_of = classes.parse('data.masks', masks, splits, where)

  def read(split: str) -> sources.Examples:
    examples, factors = array(split), None
    if (name := labels_of.get(split)) is not None:
      factors = classes.checked(array(name), examples, f'{where}: array {short(name)}')
    if (name := masks_of.get(split)) is not None:
      examples = classes.left_out(examples, array(name), f'{where}: array {short(name)}')
    beside = [name.removeprefix(f'{split}_') for name in splits if name.startswith(f'{split}_')]
    return sources.Examples(
      examples, factors, sources.Lazy(beside, lambda column: array(f'{split}_{column}'))
    )

  def holds_examples(split: str) -> bool:
    is_named = split in (*labels_of.values(), *masks_of.values())
    return not is_named and _num_axes(file, members[splits.index(split)]) > 1

  return sources.Source('npz', file.name, where, splits, read, holds_examples=holds_examples)


def existing(path: str, where: str, suffix: str = '.npz', is_path: bool = True) -> pathlib.Path:
  """Returns the path of a file that is there.

  Args:
    path: of the file; `~` is the home directory.
    where: what it is, for messages.
    suffix: what its name ends with.
    is_path: as of `beginnings.check`.

  Raises:
    InputError: it is not.
  """
  if '://' in path:
    scheme = path.partition('://')[0]
    raise errors.InputError(f'{where}: {short(scheme)}:// is not read from; copy it to a disk')
  if '\0' in path:
    raise errors.InputError(f'{where} is no path: it has a zero byte')
  try:
    file = pathlib.Path(path).expanduser()
    if file.is_dir():
      of_images = ", or of images set data.name='folder'" if is_path else ''
      raise errors.InputError(f'{where} is a directory; name the {suffix} file in it{of_images}')
    if file.exists() and not file.is_file():
      raise errors.InputError(f'{where} is no regular file; name an {suffix} file')
    found = file.is_file()
  except errors.InputError:  # a ValueError, too
    raise
  except RuntimeError as error:  # ~somebody
    raise errors.InputError(f'{where}: there is no such user; write the path out') from error
  except OSError as error:  # a name too long
    raise errors.InputError(f'{where} is no path: {error.strerror}') from error
  if not found:
    near = errors.nearest(file.name, [p.name for p in file.parent.glob(f'*{suffix}')])
    absolute = file.absolute()
    raise errors.InputError(f'{where}: there is no file {absolute}{near}')
  return file


@contextlib.contextmanager
def damaged(what: str) -> Iterator[None]:
  """Turns what libraries raise for bad bytes into DamagedError, and what the disk says, too."""
  try:
    yield
  except errors.InputError:  # a ValueError, too
    raise
  except NotImplementedError as error:  # of zipfile: a method or a version that it does not know
    raise errors.InputError(
      f'{what}: {_one_line(error)}; write the file with np.savez or np.savez_compressed'
    ) from error
  except MemoryError as error:
    raise errors.InputError(f'{what} does not fit into memory') from error
  except OSError as error:
    if error.errno in (None, errno.EINVAL):  # NumPy's own, or a seek to where no file is
      raise errors.DamagedError(f'{what} is damaged: {_one_line(error)}') from error
    raise errors.StorageError(f'{what} cannot be read: {error.strerror}') from error
  except _BAD_BYTES as error:
    raise errors.DamagedError(f'{what} is damaged: {_one_line(error)}') from error


def _read_array(file: pathlib.Path, member: str, split: str, where: str) -> np.ndarray:
  """Returns one array of an .npz file, once what it declares is plausible."""
  name = f'array {short(split)}'
  if member == split:
    raise errors.InputError(f'{where}: {short(split)} is not an array; write it with np.savez')
  with damaged(f'{file}, {name}'), zipfile.ZipFile(file) as archive:
    info = archive.getinfo(member)
    if info.flag_bits & 1:
      raise errors.InputError(f'{where}: {name} is encrypted; write the file with np.savez')
    with archive.open(info) as stream:
      _check_declared(stream, info, file, f'{where}: {name}')
    with archive.open(info) as stream:
      array = np.lib.format.read_array(stream, allow_pickle=False)
      if stream.read(1):  # to the end, where zipfile compares its checksum
        raise ValueError('more bytes than its header declares')
  return array


def _check_declared(
  stream: IO[bytes], info: zipfile.ZipInfo, file: pathlib.Path, what: str
) -> None:
  """Holds the header of an array against the size of its file and the memory.

  Raises:
    InputError: it holds no plain numbers, or needs more memory than there is.
    ValueError: header and sizes contradict each other.
  """
  shape, dtype = header(stream)
  check_plain(dtype, what)
  size = math.prod(shape) * dtype.itemsize
  begin = stream.tell()
  if min(shape, default=0) < 0 or begin + size != info.file_size:
    raise ValueError(
      f'its header declares {size:,} bytes of values, and it has {info.file_size - begin:,}'
    )
  on_disk = file.stat().st_size
  if info.compress_size > on_disk or (
    info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
    and info.file_size > _MOST_DEFLATED * on_disk
  ):
    raise ValueError(f'{info.file_size:,} bytes cannot come out of a file of {on_disk:,}')
  free = psutil.virtual_memory().available
  if size > free:
    raise errors.InputError(
      f'{what} unpacks to {size / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB of memory are free; '
      'store fewer examples, or a smaller type such as uint8'
    )


def _num_axes(file: pathlib.Path, member: str) -> int:
  """Returns how many axes an array declares; 0 where it does not."""
  try:
    with damaged(str(file)), zipfile.ZipFile(file) as archive, archive.open(member) as stream:
      return len(header(stream)[0])
  except (errors.InputError, errors.DamagedError, errors.StorageError, RuntimeError):  # encrypted
    return 0


def check_plain(dtype: np.dtype, what: str) -> None:
  """Refuses the type of an array that holds no plain values."""
  if dtype.hasobject:
    raise errors.InputError(f'{what} holds Python objects; store numbers of one shape')
  if dtype.fields or dtype.kind == 'V':
    raise errors.InputError(f'{what} has fields, {short(str(dtype))}; store one array of numbers')


def header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
  """Returns the shape and the type that an .npy header declares."""
  version = np.lib.format.read_magic(stream)
  readers = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }
  if version not in readers:  # 3.0 is for the names of fields alone
    raise ValueError(f'an .npy header of version {version[0]}.{version[1]}')
  try:
    shape, _, dtype = readers[version](stream)
  except ValueError as error:  # NumPy's own words are a page, and advise to run what is in it
    raise ValueError('its header cannot be read') from error
  return shape, dtype


def _one_line(error: BaseException) -> str:
  return ' '.join(str(error).split())[:200] or type(error).__name__
