"""The section `data` of a run whose file has moved, or that is evaluated on another one."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax import errors, parts
from vae_jax.data import labels
from vae_jax.data.stored import open_source
from vae_jax.densities import Column


def moved_to(
  settings: Mapping[str, Any], path: str, columns: Sequence[Column] = ()
) -> dict[str, Any]:
  """Returns a section `data` that takes the same splits from a path, in the same way: of what it
  reads where that has a path of its own, and else of an .npz file.

  Labels that are not there are left out: nothing is computed of them.

  Args:
    settings: the section.
    path: of the file.
    columns: of the table that a model was trained on: of another one it takes the same, coded in
      the same way.
  """
  if 'path' not in settings or parts.is_from_outside(settings['name']):
    common = {key: settings[key] for key in parts.SECTIONS['data'].common}
    return {'name': 'npz', 'path': path, **common}
  moved = {**settings, 'path': path}
  # What cannot be read is said when it is read.
  with contextlib.suppress(errors.InputError, errors.DamagedError, errors.StorageError):
    if settings['name'] == 'npz':
      return moved | _named_arrays(moved)
    if settings['name'] == 'table':
      return _of_columns(moved, columns)
  return moved


def _named_arrays(moved: Mapping[str, Any]) -> dict[str, str]:
  """Returns the keys that name arrays of labels and masks, without those that the file lacks."""
  arrays = open_source({'name': 'npz', 'path': moved['path']}).splits
  return {key: labels.present(moved.get(key, ''), arrays) for key in ('labels', 'masks')}


def _of_columns(moved: dict[str, Any], columns: Sequence[Column]) -> dict[str, Any]:
  """Returns the section that reads these columns, and the labels where there are some."""
  coded = tuple(f'{c.name}={"|".join(c.categories)}' for c in columns if c.categories)
  names = tuple(column.name for column in columns)
  found = moved | {'columns': names, 'without': (), 'categories': coded} if columns else moved
  source = open_source(found | {'labels': ''})
  has_labels = found.get('labels') in source.read(source.splits[0]).beside
  return found if has_labels else found | {'labels': ''}
