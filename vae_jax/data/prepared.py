"""TFDS data sets: $TFDS_DATA_DIR/NAME[/CONFIG]/VERSION, found and read by their files alone.

Neither the code of a data set nor TensorFlow is imported, and a cached split does not even import
TFDS.
"""

import os
import pathlib
import re

from vae_jax import errors, parts
from vae_jax.data import cache, records, sources

_NAME = re.compile(r'(\w+(?:/\w[\w.-]*)?)(?::(\d+\.\d+\.\d+))?')


def open_prepared(name: str) -> sources.Source:
  """Returns a TFDS data set: NAME or NAME/CONFIG, with :VERSION or else the newest prepared one.

  Args:
    name: the config's data.name.

  Raises:
    InputError: unknown, not prepared, not in this version, or not as array_record.
    DamagedError: its description cannot be read.
  """
  match = _NAME.fullmatch(name)
  if not match:
    raise _unknown(name, [])
  base, version = match.groups()
  versions = _prepared_versions(base)
  if not versions:
    return _open_cached(base, version)
  if version and version not in versions:
    raise errors.InputError(
      f'data.name={name!r} is not prepared in {_data_directory()}, only {", ".join(versions)}'
    )
  version = version or versions[-1]
  directory = _data_directory() / base / version

  def read(split: str) -> sources.Examples:
    return cache.fetch(
      _cache_name(base),
      version,
      split,
      records.fingerprint(directory, base, split),
      lambda: records.decode(directory, base, split),
    )

  splits = records.split_names(directory, base)
  return sources.Source(base, version, f'data.name={name!r}', splits, read)


def _data_directory() -> pathlib.Path:
  return pathlib.Path(os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets').expanduser()


def _prepared_versions(base: str) -> list[str]:
  """Returns the prepared versions of a data set, the newest last."""
  found = [path.parent.name for path in (_data_directory() / base).glob('*/dataset_info.json')]
  versions = [version for version in found if re.fullmatch(r'\d+\.\d+\.\d+', version)]
  return sorted(versions, key=lambda version: [int(part) for part in version.split('.')])


def _cache_name(base: str) -> str:
  return base.replace('/', '+')


def _open_cached(base: str, version: str | None) -> sources.Source:
  """Returns a data set whose prepared files are gone, from what was decoded before.

  Raises:
    InputError: nothing is cached, or several versions are.
  """
  entries = [e for e in cache.entries(_cache_name(base)) if version in (None, e.version)]
  if len({entry.version for entry in entries}) != 1:
    raise _not_prepared(base)
  version = entries[0].version

  def refuse() -> sources.Examples:  # what was cached is damaged, and there is nothing to decode
    raise _not_prepared(base)

  def read(split: str) -> sources.Examples:
    return cache.fetch(_cache_name(base), version, split, None, refuse)

  splits = tuple(sorted({entry.split for entry in entries}))
  return sources.Source(base, version, f'data.name={base!r}', splits, read)


def _not_prepared(base: str) -> errors.InputError:
  """Returns the error for a name without data: how to prepare it, if TFDS knows it."""
  import tensorflow_datasets as tfds

  known = tfds.list_builders(with_community_datasets=False)
  if base.split('/')[0] not in known:
    return _unknown(base, known)
  return errors.InputError(
    f"data.name={base!r} is not prepared in {_data_directory()}: run `pip install '.[prepare]'`, "
    f'then `{records.build_command(base)}`, or set TFDS_DATA_DIR to where it is prepared'
  )


# What a file may be called, and which data set reads it.
_FILES = {
  'table': ('csv', 'tsv', 'parquet', 'pandas', 'dataframe', 'tabular'),
  'folder': ('images', 'imagefolder', 'image_folder', 'directory', 'png', 'jpg', 'jpeg'),
  'npz': ('numpy', 'np'),
}


def _unknown(name: str, known: list[str]) -> errors.InputError:
  """Returns the error for a name that is no data set, with the one that may be meant."""
  others = parts.SECTIONS['data'].builtins
  meant = next((data for data, names in _FILES.items() if name.lower() in names), name)
  return errors.InputError(
    f'data.name={name!r} is no known data set; valid are {", ".join(others)}, the data sets of '
    f"TFDS, and your own 'package.module:function'{errors.nearest(meant, [*others, *known])}"
  )
