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
  if settings['name'] == 'table' and columns:
    moved |= _of_columns(columns)
  # What cannot be read is said when it is read.
  with contextlib.suppress(errors.InputError, errors.DamagedError, errors.StorageError):
    if settings['name'] == 'npz':
      return moved | _named_arrays(moved)
    if settings['name'] == 'table' and not _has_labels(moved):
      return moved | {'labels': ''}
  return moved


def _named_arrays(moved: Mapping[str, Any]) -> dict[str, str]:
  """Returns the keys that name arrays of labels and masks, without those that the file lacks."""
  arrays = open_source({'name': 'npz', 'path': moved['path']}).splits
  return {key: labels.present(moved.get(key, ''), arrays) for key in ('labels', 'masks')}


def _of_columns(columns: Sequence[Column]) -> dict[str, Any]:
  """Returns the keys that read these columns."""
  coded = tuple(f'{c.name}={"|".join(c.categories)}' for c in columns if c.categories)
  names = tuple(column.name for column in columns)
  return {'columns': names, 'without': (), 'categories': coded}


def _has_labels(moved: Mapping[str, Any]) -> bool:
  source = open_source({**moved, 'labels': '', 'missing': 'left_out'})
  return moved.get('labels') in source.read(source.splits[0]).beside
