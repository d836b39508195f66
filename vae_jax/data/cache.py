"""Decoded splits as verified .npy files, so that a data set is decoded once.

A file holds the images and after them, where the data set has them, the factors of its examples and
the columns beside them; no factors before columns are an empty array.
A file is named <name>-<version>-<split>-<source>-<sha256>.npy: `source` is the fingerprint of the
prepared files it was decoded from, so data prepared anew is decoded anew; `sha256` is that of the
file's own bytes, checked at each load. What fails the check is removed and decoded again.
"""

import functools
import hashlib
import io
import logging
import pathlib
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from vae_jax import files
from vae_jax.data import sources

_NAME = re.compile(
  r'(?P<name>.+)-(?P<version>\d+\.\d+\.\d+)-(?P<split>.+)'
  r'-(?P<source>[0-9a-f]{16})-(?P<sha256>[0-9a-f]{64})\.npy'
)


class Entry(NamedTuple):
  """One cached split."""

  path: pathlib.Path
  name: str
  version: str
  split: str
  source: str
  sha256: str


def directory() -> pathlib.Path:
  """Returns where the cache lies: $VAE_JAX_CACHE/data, else ~/.cache/vae_jax/data."""
  return files.cache_root() / 'data'


def entries(name: str) -> list[Entry]:
  """Returns what is cached of a data set; none where the directory is absent or unreadable."""
  try:
    paths = sorted(directory().iterdir())
  except OSError:
    return []
  matches = [(path, _NAME.fullmatch(path.name)) for path in paths]
  found = [Entry(path, **match.groupdict()) for path, match in matches if match]
  return [entry for entry in found if entry.name == name]


def fetch(
  name: str, version: str, split: str, source: str | None, decode: Callable[[], sources.Examples]
) -> sources.Examples:
  """Returns a split from the cache, or decodes it and caches it.

  Args:
    name: of the data set, as in the file's name.
    version: of the data set.
    split: a named split, whole.
    source: fingerprint of the prepared files, or None to take what is cached.
    decode: called where nothing valid is cached.
  """
  files.remove_abandoned(directory())
  for entry in entries(name):
    if (entry.version, entry.split) == (version, split) and source in (None, entry.source):
      examples = _verified(entry)
      if examples is not None:
        return examples
  examples = decode()
  try:
    _store(examples, name, version, split, source)
  except OSError as error:
    _warn_once(f'no cache of decoded data in {directory()} ({error}); going on without it')
  return examples


def _verified(entry: Entry) -> sources.Examples | None:
  """Returns what an entry holds, or None: damaged (and then removed), or gone meanwhile."""
  try:
    if files.sha256_of_file(entry.path) == entry.sha256:
      with open(entry.path, 'rb') as file:
        size, arrays = entry.path.stat().st_size, []
        while file.tell() < size:
          arrays.append(np.load(file, allow_pickle=False))
        return _examples(*arrays)
    entry.path.unlink(missing_ok=True)
  except OSError:
    pass  # another process replaced it, or it cannot be read: decode instead
  return None


def _examples(
  images: np.ndarray, factors: np.ndarray | None = None, beside: np.ndarray | None = None
) -> sources.Examples:
  columns = None if beside is None else {name: beside[name] for name in beside.dtype.names}
  has_factors = factors is not None and factors.dtype.names is not None
  return sources.Examples(images, factors if has_factors else None, columns)


def _arrays(examples: sources.Examples) -> list[np.ndarray]:
  """Returns what `_examples` takes, the columns as the fields of one array."""
  images, factors, columns = examples
  if columns is None:
    return [images] if factors is None else [images, factors]
  beside = np.empty(len(images), [(name, column.dtype) for name, column in columns.items()])
  for name, column in columns.items():
    beside[name] = column
  return [images, np.empty(0) if factors is None else factors, beside]


def _store(examples: sources.Examples, name: str, version: str, split: str, source: str) -> None:
  parts = [part for array in _arrays(examples) for part in _npy(array)]
  digest = hashlib.sha256()
  for part in parts:
    digest.update(part)
  folder = directory()
  files.make_directory(folder)
  path = folder / f'{name}-{version}-{split}-{source}-{digest.hexdigest()}.npy'
  with files.atomic_path(path) as temporary, open(temporary, 'wb') as file:
    for part in parts:
      file.write(part)
  for entry in entries(name):  # what was decoded from files that are prepared no longer
    if (entry.version, entry.split) == (version, split) and entry.path != path:
      entry.path.unlink(missing_ok=True)


def _npy(array: np.ndarray) -> tuple[bytes, np.ndarray]:
  """Returns the header and the content of an .npy file."""
  array = np.ascontiguousarray(array)
  buffer = io.BytesIO()
  np.lib.format.write_array_header_1_0(buffer, np.lib.format.header_data_from_array_1_0(array))
  return buffer.getvalue(), array


@functools.cache
def _warn_once(message: str) -> None:
  logging.getLogger(__name__).warning(message)
