"""Split expressions, one syntax for all sources: 'train', 'images[:80%]', 'train+test[100:]'."""

import re
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from vae_jax import errors
from vae_jax.data import sources

_TERM = re.compile(r'\s*([^\[\]+]+?)\s*(?:\[\s*(-?\d+%?)?\s*:\s*(-?\d+%?)?\s*\])?\s*')


class Term(NamedTuple):
  """A slice of one named split; a bound is None, a count '100' or a percentage '80%'."""

  split: str
  start: str | None
  stop: str | None


class Expression(NamedTuple):
  """A parsed split expression: the concatenation of its terms; key and text are for messages."""

  key: str
  text: str
  terms: tuple[Term, ...]

  @property
  def names(self) -> set[str]:
    """The named splits that it takes from."""
    return {term.split for term in self.terms}


def parse(text: str, key: str, source: sources.Source) -> Expression:
  """Returns a split expression that fits a source.

  Args:
    text: for instance 'train[:90%]+extra'.
    key: the config key that holds it.
    source: the data set.

  Raises:
    InputError: the syntax is wrong, or the source has no such split.
  """
  where = f'{key}={text!r}'
  matches = [_TERM.fullmatch(term) for term in text.split('+')]
  if None in matches:
    raise errors.InputError(
      f"{where} is not a split; valid are 'train', 'train[:1600]', 'train[80%:]', 'train+test'"
    )
  terms = tuple(Term(*match.groups()) for match in matches)
  for term in terms:
    if term.split not in source.splits:
      raise errors.InputError(
        f'{where}: {source.where} has no split {term.split!r}, only '
        f'{", ".join(source.splits) or "none"}{sources.nearest(term.split, source.splits)}'
      )
  return Expression(key, text, terms)


def take(expression: Expression, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
  """Returns what an expression takes of arrays [n, ...], by split; a view where it is one slice.

  Raises:
    InputError: a bound lies outside the split, or a slice is empty.
  """
  parts = []
  for term in expression.terms:
    size = len(arrays[term.split])
    where = f'{expression.key}={expression.text!r}: split {term.split!r} has {size:,} examples'
    start, stop = _bound(term.start, 0, size, where), _bound(term.stop, size, size, where)
    if start >= stop:
      raise errors.InputError(f'{where}, and the slice {start}:{stop} of it is empty')
    whole = (start, stop) == (0, size)
    parts.append(arrays[term.split] if whole else arrays[term.split][start:stop])
  return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _bound(text: str | None, default: int, size: int, where: str) -> int:
  """Returns a bound as an index from 0 to size; percentages are rounded to the closest example."""
  if text is None:
    return default
  percent = text.endswith('%')
  value, limit = (int(text[:-1]), 100) if percent else (int(text), size)
  if abs(value) > limit:
    unit = '%' if percent else ''
    raise errors.InputError(f'{where}; bound {text} is outside -{limit}{unit} to {limit}{unit}')
  index = round(value * size / 100) if percent else value
  return size + index if text.startswith('-') else index
