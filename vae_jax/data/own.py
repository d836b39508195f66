"""A data set of the user's own: what their loader returns, as a source."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from vae_jax import errors
from vae_jax.data import sources


def source_of(loaded: Any, name: str) -> sources.Source:
  """Returns the source of what a loader has returned.

    def load(path: str):
      return {'train': images, 'test': others}      # [n, *event] each

  Args:
    loaded: a mapping of the names of splits to arrays, or an object that has them as attributes. In
      place of an array it may have `data.Examples`, the images and their known factors.
    name: of the loader, 'my_package.module:attribute'.

  Raises:
    InputError: it is neither.
  """
  where = f'data.name={name!r}'
  arrays = loaded if isinstance(loaded, Mapping) else _attributes(loaded)
  splits = tuple(split for split in arrays if isinstance(split, str))
  if not splits:
    raise errors.InputError(
      f'{where} returns {errors.shown(loaded)}; it returns a mapping of the names of its splits to '
      'arrays [n, *event]'
    )

  def read(split: str) -> sources.Examples:
    try:
      return _examples(arrays[split])
    except errors.InputError:
      raise
    except Exception as error:  # of a mapping that reads when it is asked
      raise errors.InputError(
        f'{where}, split {split!r}: {type(error).__name__}: {error}'
      ) from error

  def holds_examples(split: str) -> bool:
    try:
      return read(split).images.ndim > 1
    except errors.InputError:
      return False

  return sources.Source(name, 'own', where, splits, read, holds_examples=holds_examples)


def _attributes(loaded: Any) -> dict[str, Any]:
  """Returns the arrays of an object, by the names of its attributes."""
  fields = getattr(loaded, '_asdict', lambda: getattr(loaded, '__dict__', {}))()
  return {
    name: value
    for name, value in fields.items()
    if not name.startswith('_')
    and (isinstance(value, sources.Examples) or hasattr(value, '__array__'))
  }


def _examples(value: Any) -> sources.Examples:
  if isinstance(value, sources.Examples):
    return value._replace(images=np.asarray(value.images))
  return sources.Examples(np.asarray(value))
