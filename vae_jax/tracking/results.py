"""results.csv: one row a lane, with its hyperparameters and the newest of every result."""

import csv
import io
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax import errors, files
from vae_jax.tracking import scalars

STATUSES = ('done', 'running', 'diverged', 'failed')

_TEXT_COLUMNS = ('name', 'status')
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
  'test/bits_per_dim',
  'test/active_units',
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
  columns = result_columns(field_names)
  buffer = io.StringIO()
  writer = csv.writer(buffer, lineterminator='\n')
  writer.writerow(columns)
  for row in rows:
    if unknown := sorted(set(row) - set(columns)):
      raise ValueError(f'no such columns in results.csv: {", ".join(unknown)}')
    if row.get('status') not in STATUSES:
      raise ValueError(f'status {row.get("status")!r} is none of {", ".join(STATUSES)}')
    cells = scalars.python_values(row)
    writer.writerow([cells.get(column) for column in columns])  # None becomes an empty cell
  files.write_text(path, buffer.getvalue())


def read_results(path: os.PathLike | str) -> list[dict[str, Any]]:
  """Returns the rows of results.csv: numbers as int or float, an empty cell as None.

  Raises:
    DamagedError: it is no table of lanes, or a row has not as many cells as the header.
  """
  try:
    text = pathlib.Path(path).read_text(encoding='utf-8')
  except UnicodeDecodeError as error:
    raise errors.DamagedError(f'{path} is not text: {error}') from error
  lines = csv.reader(io.StringIO(text))
  header = next(lines, [])
  if tuple(header[: len(_LANE_COLUMNS)]) != _LANE_COLUMNS:
    raise errors.DamagedError(f'{path} does not begin with the columns {", ".join(_LANE_COLUMNS)}')
  rows = []
  for cells in lines:
    if len(cells) != len(header):
      raise errors.DamagedError(
        f'{path}, line {lines.line_num}: {len(cells)} cells for {len(header)} columns'
      )
    rows.append({name: _value(name, cell) for name, cell in zip(header, cells, strict=True)})
  return rows


def _value(column: str, cell: str) -> int | float | str | None:
  if not cell:
    return None
  if column in _TEXT_COLUMNS:
    return cell
  for kind in (int, float):
    try:
      return kind(cell)
    except ValueError:
      continue
  return cell
