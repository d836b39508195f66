"""CSV tables: results.csv, latents.csv and nll_curve.csv are written and read here.

A number is written in the shortest form that reads back unchanged, a truth value as 0 or 1, NaN as
nan, and what is absent or None as an empty cell.
"""

import csv
import io
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax import errors
from vae_jax.records import manifest, scalars, schemas


def write_table(
  path: os.PathLike | str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> None:
  """Writes a table atomically: a header of `columns`, then one line per row.

  Raises:
    ValueError: a row has a column that the table does not have.
    StorageError: the file cannot be written.
  """
  buffer = io.StringIO()
  writer = csv.writer(buffer, lineterminator='\n')
  writer.writerow(columns)
  for row in rows:
    if unknown := sorted(set(row) - set(columns)):
      raise ValueError(f'no such columns in {pathlib.Path(path).name}: {", ".join(unknown)}')
    cells = scalars.python_values(row)
    writer.writerow([_cell(cells.get(column)) for column in columns])
  manifest.write_text(path, buffer.getvalue())


def read_table(path: os.PathLike | str, columns: Sequence[str]) -> list[dict[str, Any]]:
  """Returns the rows of a table: numbers as int or float, an empty cell as None.

  Further columns behind `columns` are read too.

  Raises:
    DamagedError: the header does not begin with `columns`, a row has not as many cells as it, the
      end is torn off, or a manifest beside it has another sha256.
  """
  manifest.verify(path)
  try:
    text = pathlib.Path(path).read_text(encoding='utf-8')
    reader = csv.reader(io.StringIO(text), strict=True)
    (_, names), *body = [(reader.line_num, cells) for cells in reader] or [(1, [])]
  except (UnicodeDecodeError, csv.Error) as error:
    raise errors.DamagedError(f'{path} is not a table: {error}') from error
  if names[: len(columns)] != list(columns):
    raise errors.DamagedError(f'{path} does not begin with the columns {", ".join(columns)}')
  for number, cells in body:
    if len(cells) != len(names):
      raise errors.DamagedError(
        f'{path}, line {number}: {len(cells)} cells for {len(names)} columns'
      )
  # A number cut short is still a number: only the end of its line tells.
  if not text.endswith('\n'):
    raise errors.DamagedError(f'{path}: the end of the last line is torn off')
  return [
    {name: _value(name, cell) for name, cell in zip(names, cells, strict=True)} for _, cells in body
  ]


def read_lane_table(
  path: os.PathLike | str, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
  """Returns a table of lanes, each of which stands in `rows` of results.csv.

  Raises:
    DamagedError: see `read_table`; or it is of other lanes.
  """
  table = read_table(path, columns)
  names = {row['lane']: row['name'] for row in rows}
  for line in table:
    if names.get(line['lane']) != line['name']:
      raise errors.DamagedError(
        f'{path}: lane {line["lane"]} is {line["name"]}, which results.csv does not have'
      )
  return table


def _cell(value: Any) -> Any:
  """Returns what the writer of the csv module turns into a cell; None is an empty one."""
  return int(value) if isinstance(value, bool) else value


def _value(column: str, cell: str) -> int | float | str | None:
  """Returns what a cell stands for."""
  if not cell:
    return None
  if column in schemas.TEXT_COLUMNS:
    return cell
  for kind in (int, float):
    try:
      return kind(cell)
    except ValueError:
      continue
  return cell
