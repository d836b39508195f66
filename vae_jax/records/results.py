"""results.csv: one row a lane, with its hyperparameters and the newest of every result."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax import errors
from vae_jax.records import schemas, tables


def write_results(
  path: os.PathLike | str, rows: Sequence[Mapping[str, Any]], field_names: Sequence[str]
) -> None:
  """Writes results.csv atomically: one row a lane, columns as `schemas.result_columns`.

  A value that is absent or None becomes an empty cell; NaN is written as nan.

  Raises:
    ValueError: a row has a column that results.csv does not have, or no valid status.
    StorageError: the file cannot be written.
  """
  for row in rows:
    if row.get('status') not in schemas.STATUSES:
      raise ValueError(f'status {row.get("status")!r} is none of {", ".join(schemas.STATUSES)}')
  tables.write_table(path, schemas.result_columns(field_names), rows)


def chosen_on(rows: Sequence[Mapping[str, Any]]) -> str:
  """Returns the split by which all choosing goes: 'validation', or 'test' where rows have none."""
  return 'validation' if any(row.get('validation/elbo') is not None for row in rows) else 'test'


def read_results(path: os.PathLike | str) -> list[dict[str, Any]]:
  """Returns the rows of results.csv: numbers as int or float, an empty cell as None.

  Raises:
    DamagedError: it is no table of lanes, or a row has not as many cells as the header.
  """
  return tables.read_table(path, schemas.names(schemas.RESULTS_FIRST))


def results_of(directory: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the rows of results.csv of a workdir that must have one.

  Raises:
    InputError: it has no results yet.
    DamagedError: see `read_results`.
  """
  path = directory / 'results.csv'
  rows = read_results(path) if path.exists() else []
  if not rows:
    raise errors.InputError(
      f'--workdir={directory} has no results.csv; it comes with the first evaluation of '
      'vae-jax train'
    )
  return rows
