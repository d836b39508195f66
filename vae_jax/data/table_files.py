"""A .csv or .parquet file as named columns, read by pyarrow where it is plausibly one."""

import csv
import io
import pathlib
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from vae_jax import errors
from vae_jax.data import beginnings, cells, sources
from vae_jax.data.sources import short

_DELIMITERS = (',', ';', '\t', '|')
_INDEX = re.compile(r'__index_level_\d+__')  # of pandas
_RAGGED = re.compile(r'.*Row #(\d+): Expected (\d+) columns, got (\d+): (.*)')


def read(file: pathlib.Path, delimiter: str, decimal: str, where: str) -> sources.Lazy:
  """Returns the columns of a table [n]: float64 with NaN, integers, bool, or text with ''.

  Args:
    file: .csv, or .parquet as its first bytes say.
    delimiter: between the values of a .csv; '' for what its header has.
    decimal: before the decimals of a .csv.
    where: what the file is, for messages.

  Raises:
    InputError: it is no table; one line.
    DamagedError: it begins like a .parquet file and cannot be read.
  """
  try:
    content = file.read_bytes()
  except OSError as error:
    raise errors.InputError(f'{where} cannot be read: {error.strerror}') from error
  if not content.strip():
    raise errors.InputError(
      f'{where} is empty; write a header of names, and a row for each example'
    )
  is_parquet = content.startswith(beginnings.PARQUET)
  if not is_parquet and (what := beginnings.what_is(content, file)):
    raise errors.InputError(f'{where} {what}')
  table = _parquet(content, file) if is_parquet else _csv(content, delimiter, decimal, where)
  names = [name.strip() for name in table.column_names]
  _check_names(names, where)
  if table.num_rows < 2:
    few = 'no row' if not table.num_rows else 'one row'
    raise errors.InputError(f'{where} has {few} below its header; give an example each row')
  table = table.rename_columns(names)
  return sources.Lazy(names, lambda name: _array(table[name], f'{where}: column {short(name)}'))


def _parquet(content: bytes, file: pathlib.Path) -> pa.Table:
  try:
    table = parquet.read_table(pa.BufferReader(content), use_threads=False)
  except (pa.ArrowException, OSError) as error:
    raise errors.DamagedError(f'{file} is damaged: {_one_line(error)}') from error
  return table.select([name for name in table.column_names if not _INDEX.fullmatch(name)])


def _csv(content: bytes, delimiter: str, decimal: str, where: str) -> pa.Table:
  if b'\0' in content[:4096]:
    raise errors.InputError(f'{where} is no text; save the table as CSV in UTF-8, or as Parquet')
  line = content[: content.find(b'\n') % (len(content) + 1)]
  try:
    header = line.decode('utf-8-sig').strip('\r')
  except UnicodeDecodeError as error:
    raise errors.InputError(f'{where} is not in UTF-8; save it as UTF-8') from error
  delimiter = delimiter or _delimiter(header, decimal, where)
  _check_header(next(csv.reader([header], delimiter=delimiter)), decimal, where)
  try:
    return arrow_csv.read_csv(
      io.BytesIO(content if b'\n' in content else content + b'\n'),  # of a header alone
      arrow_csv.ReadOptions(use_threads=False),  # so that an error knows its row
      arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
      arrow_csv.ConvertOptions(
        null_values=cells.MISSING, strings_can_be_null=True, decimal_point=decimal
      ),
    )
  except pa.ArrowException as error:
    said = _one_line(error)
    if ragged := _RAGGED.fullmatch(said):
      row, wanted, found, values = ragged.groups()
      said = f'line {row} has {found} values, and the header {wanted}: {short(values)}'
    raise errors.InputError(f'{where}: {said}') from error


def _delimiter(header: str, decimal: str, where: str) -> str:
  """Returns what separates the names of a header: that by which it has the most.

  Raises:
    InputError: several might.
  """
  possible = (one for one in _DELIMITERS if one != decimal)
  counts = {one: len(next(csv.reader([header], delimiter=one))) for one in possible}
  most = max(counts.values())
  found = [one for one, count in counts.items() if count == most > 1]
  if len(found) > 1:
    raise errors.InputError(
      f'{where}: its header has {" and ".join(map(repr, found))}; set data.delimiter to the one '
      'that separates the columns'
    )
  return found[0] if found else next(iter(counts))


def _check_header(names: Sequence[str], decimal: str, where: str) -> None:
  """Refuses a row of values: then there are no names."""
  if all(cells.is_number(name, decimal) for name in names):
    shown = short(','.join(names))
    raise errors.InputError(
      f'{where} begins with a row of numbers, {shown}; give it a header, a name for each column'
    )


def _check_names(names: Sequence[str], where: str) -> None:
  for place, name in enumerate(names):
    if not name:
      raise errors.InputError(
        f'{where}: column {place + 1} has no name; give it one, or leave it out (in pandas by '
        'to_csv(..., index=False))'
      )
    if name in names[:place]:
      raise errors.InputError(f'{where} has two columns named {short(name)}; give each its own')
  if not names:
    raise errors.InputError(f'{where} has no columns')


def _array(column: pa.ChunkedArray, where: str) -> np.ndarray:
  """Returns a column: numbers as they are, with NaN for what is missing; anything else as text."""
  kind = column.type
  if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
    raise errors.InputError(
      f'{where} is {kind}: neither numbers nor text in UTF-8; leave it out of the file'
    )
  if pa.types.is_integer(kind) and not column.null_count:
    return column.to_numpy()
  if pa.types.is_boolean(kind) and not column.null_count:
    return column.to_numpy()
  is_number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind)
  if is_number or pa.types.is_boolean(kind) or pa.types.is_null(kind):
    return column.cast(pa.float64(), safe=False).to_numpy()
  text = column.cast(pa.string()).fill_null('')
  return np.array(text.to_pylist(), dtype=np.str_)


def _one_line(error: BaseException) -> str:
  return ' '.join(str(error).split())[:200] or type(error).__name__
