"""results.csv: one row a lane, with its hyperparameters and the newest of every result."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax.records import tables

STATUSES = ('done', 'running', 'diverged', 'failed')

_LANE_COLUMNS = ('lane', 'name', 'status', 'step')
_RESULT_COLUMNS = (
  'beta_normalised',
  *(
    f'{split}/{term}'
    for split in ('train', 'test')
    for term in ('elbo', 'rate', 'distortion', 'objective')
  ),
  'test/nll',
  'test/nll_stderr',
  'test/nll_samples',
  'test/nll_images',
  'test/bits_per_dim_8bit',
  'test/bits_per_dim_density',
  'test/effective_samples',
  'test/largest_weight',
  'test/low_effective_fraction',
  'test/active_units',
  'test/mutual_information',
  'test/mutual_information_stderr',
  'test/mutual_information_ceiling',
  'test/marginal_kl',
  'test/total_correlation',
  'test/dimension_wise_kl',
  'collapsed_at',
  'reason',
  'seconds',
  'steps_per_second',
)


def result_columns(field_names: Sequence[str]) -> list[str]:
  """Returns the columns of results.csv in order, for lanes with these fields (beta, seed ...)."""
  return [*_LANE_COLUMNS, *field_names, *_RESULT_COLUMNS]


def write_results(
  path: os.PathLike | str, rows: Sequence[Mapping[str, Any]], field_names: Sequence[str]
) -> None:
  """Writes results.csv atomically: one row a lane, columns as `result_columns(field_names)`.

  A value that is absent or None becomes an empty cell; NaN is written as nan.

  Raises:
    ValueError: a row has a column that results.csv does not have, or no valid status.
    StorageError: the file cannot be written.
  """
  for row in rows:
    if row.get('status') not in STATUSES:
      raise ValueError(f'status {row.get("status")!r} is none of {", ".join(STATUSES)}')
  tables.write_table(path, result_columns(field_names), rows)


def read_results(path: os.PathLike | str) -> list[dict[str, Any]]:
  """Returns the rows of results.csv: numbers as int or float, an empty cell as None.

  Raises:
    DamagedError: it is no table of lanes, or a row has not as many cells as the header.
  """
  return tables.read_table(path, _LANE_COLUMNS)
