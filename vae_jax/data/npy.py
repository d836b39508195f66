"""The user's own .npy files, mapped and not read: they may be larger than the memory.

Bytes, bool and float32 stay on the disk: what looks at all values does it a part at a time, batches
are gathered as they come, and evaluations take their sample. Other types are read and converted.
What changes the values (`data.crop`, `pad`, `range`, `binarize`) or their order writes its result
to a file of the cache, a part at a time, which is mapped in turn: see `blocks.each`.
"""

import math
import pathlib
from typing import Annotated

import numpy as np
import psutil

from vae_jax import checks, errors
from vae_jax.data import beginnings, npz, sources
from vae_jax.data import labels as classes
from vae_jax.data.sources import short

SPLIT = 'images'  # of a path without names


def open_npy(
  path: Annotated[str, checks.text(empty=True)] = '',
  labels: Annotated[str, checks.text(empty=True)] = '',
) -> sources.Source:
  """Returns .npy files of the user's own as splits.

  Args:
    path: of one file, which is the split 'images', or 'train=FILE,test=FILE' of any names; `~` is
      the home directory.
    labels: files that have the classes of the examples, by their split: 'images=FILE', or
      'train=FILE,test=FILE'.

  Raises:
    InputError: there is no such file, or it is not an .npy file.
    DamagedError: it begins like one, and what its header declares is not there.
    StorageError: the disk does not answer.
  """
  where = f'data.path={short(path, 200)}'
  if not path:
    raise errors.InputError(f"{where}: data.name='npy' needs the path of an .npy file")
  files = {
    split: npz.existing(file, where, '.npy')
    for split, file in sources.paths_of(path, SPLIT, where).items()
  }
  labels_of = classes.named('data.labels', labels)
  for split in labels_of:
    if split not in files:
      raise errors.InputError(
        f'data.labels={short(labels)}: {where} has no split {short(split)}, only '
        f'{", ".join(map(short, files))}{errors.nearest(split, files)}'
      )
  for file in files.values():
    _check_beginning(file, where)

  def read(split: str) -> sources.Examples:
    examples = _opened(files[split], f'{where}, split {short(split)}')
    if split not in labels_of:
      return sources.Examples(examples)
    what = f'data.labels={short(labels)}'
    file = npz.existing(labels_of[split], what, '.npy', is_path=False)
    _check_beginning(file, what, is_path=False)
    return sources.Examples(examples, classes.checked(_opened(file, what), examples, what))

  return sources.Source('npy', '+'.join(f.name for f in files.values()), where, (*files,), read)


def _check_beginning(file: pathlib.Path, where: str, is_path: bool = True) -> None:
  """Refuses what is no .npy file by its first bytes."""
  otherwise = 'is not an .npy file, which np.save(path, array) writes'
  beginnings.check(file, (beginnings.NPY,), f'{where}: {short(file.name)}', otherwise, is_path)


def _opened(file: pathlib.Path, what: str) -> np.ndarray:
  """Returns the array of a file: mapped where its values are as they are wanted, else read.

  Raises:
    InputError: it holds no plain numbers, or is to be read and does not fit into memory.
    DamagedError: header and size contradict each other.
  """
  with npz.damaged(str(file)):
    with open(file, 'rb') as stream:
      shape, dtype = npz.header(stream)
      begin = stream.tell()
    npz.check_plain(dtype, f'{what}: {short(file.name)}')
    size = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or begin + size != file.stat().st_size:
      raise ValueError(
        f'its header declares {size:,} bytes of values, and it has {file.stat().st_size - begin:,}'
      )
    mapped = np.load(file, mmap_mode='r', allow_pickle=False)
  if mapped.flags.c_contiguous and mapped.dtype in (np.uint8, np.float32):
    return np.asarray(mapped)
  if mapped.flags.c_contiguous and mapped.dtype == bool:
    return np.asarray(mapped).view(np.uint8)
  free = psutil.virtual_memory().available
  if size > free:
    why = f'has {mapped.dtype}' if mapped.flags.c_contiguous else 'is in Fortran order'
    raise errors.InputError(
      f'{what}: {short(file.name)} {why}, and {size / 2**30:,.1f} GiB of it are converted in '
      f'{free / 2**30:,.1f} GiB of free memory; store it as uint8 or float32, in C order'
    )
  return np.ascontiguousarray(mapped)
