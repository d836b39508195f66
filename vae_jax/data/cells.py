"""A cell of a table, as text: a number, nothing, or what keeps it from being a number."""

import re

import numpy as np

from vae_jax.data.sources import short

# What stands for no value, in numbers and in text.
MISSING = ('', 'NA', 'N/A', 'n/a', 'NaN', 'nan', 'NULL', 'null', 'None', '?', '#N/A')
_SWAPPED = str.maketrans('.,', ',.')
_COMMA = re.compile(r'\s*[-+]?\d+,\d+\s*')
_POINTS = re.compile(r'\s*[-+]?\d+(,\d+)+(\.\d+)?\s*')
_THOUSANDS = re.compile(r"\s*[-+]?\d{1,3}([ .'_]\d{3})+(,\d+)?\s*")
_UNIT = re.compile(r'\s*[<>~]?\s*[-+$€£]?\d[\d.]*\s*\S{0,3}\s*')


def is_number(text: str, decimal: str) -> bool:
  """Tells whether a cell is a number with this before its decimals, or says that it is missing."""
  try:
    float(text if decimal == '.' else text.translate(_SWAPPED))
  except ValueError:
    return text.strip() in MISSING[1:]
  return True


def why_text(values: np.ndarray, decimal: str) -> str:
  """Returns the first value [n] of a column of text that is no number, and what to do about it.

  Args:
    values: at least one of them no number.
    decimal: what stands before the decimals of the file.
  """
  row, value = next(
    (i, v) for i, v in enumerate(values.tolist(), 1) if v and not is_number(v, decimal)
  )
  shown = f'{short(value)} in row {row}'
  if decimal == ',' and '.' in value:
    return f"{shown}: data.decimal=',' is for decimals with a comma; write no point"
  if _COMMA.fullmatch(value):
    return (
      f"{shown}: set data.decimal=',' if decimals have a comma there, or write thousands without a "
      'separator'
    )
  if _POINTS.fullmatch(value):
    return f'{shown}: write decimals with a point, and thousands without a separator'
  if _THOUSANDS.fullmatch(value):
    return f'{shown}: write thousands without a separator'
  if _UNIT.fullmatch(value):
    return f'{shown}: write numbers alone, without a unit'
  return shown
