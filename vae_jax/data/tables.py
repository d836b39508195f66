"""Tables: a row is an example, a column one of its values, or what is known of it beside them."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, NamedTuple

import numpy as np

from vae_jax import checks, errors
from vae_jax.data import cells, npz, orders, sources
from vae_jax.data import labels as classes
from vae_jax.data.beside import ROW_SUM, parsed
from vae_jax.data.sources import short
from vae_jax.densities import Column

SPLIT = 'rows'  # of a path without names
_names = checks.tuple_of(checks.text(empty=False))


def open_table(
  path: Annotated[str, checks.text(empty=True)] = '',
  columns: Annotated[Sequence[str], _names] = (),
  without: Annotated[Sequence[str], _names] = (),
  categories: Annotated[Sequence[str], _names] = (),
  labels: Annotated[str, checks.text(empty=True)] = '',
  delimiter: Annotated[str, checks.text(empty=True, longest=1)] = '',
  decimal: Annotated[str, checks.choice('.', ',')] = '.',
  conditions: Sequence[str] = (),
  size_factor: str = '',
  split_order: str = 'stored',
  missing: str = 'left_out',
) -> sources.Source:
  """Returns .csv or .parquet files of the user's own, whose rows are examples [D] of real values.

  Every column is beside the examples, too, by its name. An empty cell, NA or NaN is missing; see
  `data.missing`.

  Args:
    path: of one file, which is the split 'rows', or 'train=FILE,test=FILE' of any names; `~` is the
      home directory.
    columns: names of those that are values of an example, in that order; () for all but those of
      `without`, of `data.conditions`, of `data.size_factor` and of the groups of
      `data.split_order`.
    without: names of columns that are no values, where `columns` is ().
    categories: 'NAME' of each column of text, or of numbers, whose values are K categories: they
      become the codes 0 .. K - 1 in sorted order, or in that of 'NAME=small|medium|large'.
    labels: the column that has the class of each example, for the pictures of codes.
    delimiter: between the values of a .csv; '' for what its header has: ',', ';', '|' or a tab.
    decimal: before the decimals of a .csv.

  Raises:
    InputError: there is no such file or column, or a column is no number; one line.
    DamagedError: a .parquet file cannot be read.
  """
  from vae_jax.data import table_files  # pyarrow takes a tenth of a second

  where = f'data.path={short(path, 200)}'
  if not path:
    raise errors.InputError(f"{where}: data.name='table' needs the path of a .csv or .parquet file")
  files, tables = sources.paths_of(path, SPLIT, where), {}
  out_of = 'take it out of data.columns' if columns else 'add it to data.without'
  for split, name in files.items():
    of = where if len(files) == 1 else f'{where}, split {short(split)}'
    file = npz.existing(name, where, '.csv')
    tables[split] = Table(table_files.read(file, delimiter, decimal, of), of, decimal, out_of)
  used = [parsed(text)[0] for text in conditions] + [orders.column_of(split_order)]
  used += [size_factor] if size_factor != ROW_SUM else []
  names = _chosen(tables, columns, without, used)
  coded = _coded(tables, names, categories)
  found = tuple(Column(name, coded.get(name, ())) for name in names)
  number_of = _numbering(tables, labels) if labels else None

  def read(split: str) -> sources.Examples:
    table = tables[split]
    problems = errors.Problems()
    values = [problems.attempt(table.values, column) for column in found]  # [n] each
    if missing == 'refused':
      problems.attempt(table.check_observed, found, values)
    problems.refuse()
    x = np.stack(values, axis=1)  # [n, D]
    factors, beside = None, table.columns
    if number_of:
      what, column = f'data.labels={short(labels)}: {table.where}', table.column(labels, 'labels')
      factors = classes.checked(number_of(column), x, what)
      beside = {**beside, sources.LABEL: column}
    return sources.Examples(x, factors, beside)

  version = '+'.join(pathlib.Path(name).name for name in files.values())
  return sources.Source('table', version, where, (*files,), read, found)


def open_diabetes() -> sources.Source:
  """Returns scikit-learn's diabetes data: 442 patients of ten columns, one of them of two
  categories.

  Age, sex (1 or 2), body mass index, mean blood pressure and six measurements of the blood, of
  Efron et al. 2004, in their units; the progression after a year is beside them. Every fifth row is
  a test row (88), the others are for training (354).
  """
  columns = ('age', 'sex', 'bmi', 'bp', 's1', 's2', 's3', 's4', 's5', 's6')

  def read(split: str) -> sources.Examples:
    from sklearn import datasets

    x, progression = datasets.load_diabetes(return_X_y=True, scaled=False)
    x[:, columns.index('sex')] -= 1
    is_test = np.arange(len(x)) % 5 == 4
    chosen = is_test if split == 'test' else ~is_test
    beside = {'progression': progression[chosen]}
    return sources.Examples(x[chosen].astype(np.float32), beside=beside)

  found = tuple(Column(name, ('1', '2') if name == 'sex' else ()) for name in columns)
  where = "data.name='diabetes'"
  return sources.Source('diabetes', 'sklearn-diabetes', where, ('train', 'test'), read, found)


class Table(NamedTuple):
  """The columns of a file.

  Attributes:
    columns: by name, [n].
    where: what the file is, for messages.
    decimal: what stands before its decimals.
    out_of: what to do with a column that is to be no value of an example.
  """

  columns: Mapping[str, np.ndarray]
  where: str
  decimal: str
  out_of: str

  def column(self, name: str, key: str) -> np.ndarray:
    """Returns a column [n] that a key of the config names.

    Raises:
      InputError: there is none by this name.
    """
    if name not in self.columns:
      have = ', '.join(map(short, list(self.columns)[:20]))
      raise errors.InputError(
        f'data.{key}: {self.where} has no column {short(name)}, only {have}'
        + errors.nearest(name, self.columns)
      )
    return self.columns[name]

  def values(self, column: Column) -> np.ndarray:
    """Returns the values of a column as x has them, [n] float32, NaN where one is missing.

    Raises:
      InputError: they are no numbers, or no categories that the column has.
    """
    values = self.column(column.name, 'columns')
    if column.categories:
      codes = {text: code for code, text in enumerate(column.categories)}
      texts = _texts(values)
      if others := sorted({*texts} - {*codes, ''}):
        raise errors.InputError(
          f'{self.where}: column {short(column.name)} has {others[0]!r}, and data.categories has '
          f'{", ".join(map(repr, column.categories[:10]))}'
        )
      return np.array([codes.get(text, np.nan) for text in texts], np.float32)
    if values.dtype.kind == 'U':
      name, why = short(column.name), cells.why_text(values, self.decimal)
      raise errors.InputError(
        f'{self.where}: column {name} is text, {why}; for categories add it to data.categories, '
        f'else {self.out_of}'
      )
    if values.dtype.kind == 'f' and np.isnan(values).all():
      raise errors.InputError(
        f'{self.where}: column {short(column.name)} has no value in any row; {self.out_of}'
      )
    return values.astype(np.float32)

  def check_observed(self, columns: Sequence[Column], values: Sequence[np.ndarray | None]) -> None:
    """Refuses what is missing in columns whose values [n] are known.

    Raises:
      InputError: one line for all of them.
    """
    absent = {
      column.name: np.flatnonzero(np.isnan(of))
      for column, of in zip(columns, values, strict=True)
      if of is not None and np.isnan(of).any()
    }
    if absent:
      name, rows = next(iter(absent.items()))
      many = f'{len(rows):,} rows, the first of them ' if len(rows) > 1 else ''
      others = ', '.join(map(short, list(absent)[1:20]))
      more = f' (and in some rows: {others})' if others else ''
      raise errors.InputError(
        f'{self.where}: column {short(name)} has no value in {many}row {rows[0] + 1}{more}; set '
        f"data.missing='left_out' where a value may be missing, or {self.out_of}"
      )


def _chosen(
  tables: Mapping[str, Table], columns: Sequence[str], without: Sequence[str], used: Sequence[str]
) -> list[str]:
  """Returns the names of the columns that are values of an example, which all files have."""
  if columns and without:
    raise errors.InputError(
      f'data.without={tuple(without)!r}: data.columns says already what x is made of; set one of '
      'them to ()'
    )
  first = next(iter(tables.values()))
  for name in without:
    first.column(name, 'without')
  names = list(columns) or [n for n in first.columns if n not in (*without, *used)]
  for name in names:
    if names.count(name) > 1:
      raise errors.InputError(f'data.columns has {short(name)} twice; name each column once')
    for table in tables.values():
      table.column(name, 'columns')
  if not names:
    raise errors.InputError(f'{first.where}: no column is left that is a value of an example')
  return names


def _coded(
  tables: Mapping[str, Table], names: Sequence[str], categories: Sequence[str]
) -> dict[str, tuple[str, ...]]:
  """Returns the categories of each column that has some: those of all files, or as they are said.

  Raises:
    InputError: a column is no value of an example, or has numbers that are not whole.
  """
  coded = {}
  for text in categories:
    name, _, said = text.partition('=')
    if name not in names:
      have = ', '.join(map(short, names[:20])) + errors.nearest(name, names)
      raise errors.InputError(f'data.categories: {short(name)} is no column of x, only {have}')
    coded[name] = tuple(part.strip() for part in said.split('|')) if said else ()
    if not said:
      arrays = [table.column(name, 'categories') for table in tables.values()]
      if any(a.dtype.kind == 'f' and not np.array_equal(a, np.rint(a), True) for a in arrays):
        raise errors.InputError(
          f'data.categories: column {short(name)} has numbers that are not whole; leave it out of '
          'data.categories'
        )
      found = {each for a in arrays for each in _texts(a)} - {''}
      is_text = any(a.dtype.kind == 'U' for a in arrays)
      coded[name] = tuple(sorted(found) if is_text else sorted(found, key=float))
  return coded


def _numbering(tables: Mapping[str, Table], name: str) -> Callable[[np.ndarray], np.ndarray]:
  """Returns how labels become numbers: texts by their order in all files, numbers as they are."""
  arrays = [table.column(name, 'labels') for table in tables.values()]
  if all(array.dtype.kind != 'U' for array in arrays):
    return lambda values: values
  known = sorted({text for array in arrays for text in _texts(array)})
  return lambda values: np.searchsorted(np.array(known), np.array(_texts(values)))


def _texts(values: np.ndarray) -> list[str]:
  """Returns values as text, whole numbers without a point; '' for what is missing."""
  if values.dtype.kind == 'U':
    return values.tolist()
  if values.dtype.kind == 'b':
    return [str(int(v)) for v in values.tolist()]
  return ['' if v != v else f'{v:.0f}' for v in values.tolist()]
