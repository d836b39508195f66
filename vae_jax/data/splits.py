"""Split expressions, one syntax for all sources: 'train', 'images[:80%]', 'train+test[100:]'."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from vae_jax import errors
from vae_jax.data import blocks, orders, sources

_SHOWN = 6  # names of splits in a message
_TERM = re.compile(r'\s*([^\[\]+]+?)\s*(?:\[\s*(-?\d+%?)?\s*:\s*(-?\d+%?)?\s*\])?\s*')


class AbsentError(errors.InputError):
  """A data set has no split by a name."""


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

  def renamed(self, names: Mapping[str, str]) -> str:
    """Returns its text with other names for some of its splits."""
    slices = (
      '' if term.start is term.stop is None else f'[{term.start or ""}:{term.stop or ""}]'
      for term in self.terms
    )
    renamed = (names.get(term.split, term.split) for term in self.terms)
    return '+'.join(name + cut for name, cut in zip(renamed, slices, strict=True))

  @property
  def is_sliced(self) -> bool:
    """Whether it takes a part of a split, so that the order of its examples matters."""
    return any((term.start, term.stop) != (None, None) for term in self.terms)


def parse(texts: Mapping[str, str], source: sources.Source) -> dict[str, Expression]:
  """Returns the split expressions of `texts`, which fit a source.

  Args:
    texts: 'train', 'validation' and 'test' -> for instance 'train[:90%]+extra'; a validation split
      may be '', and is left out then.
    source: the data set.

  Raises:
    InputError: a syntax is wrong; one line that names the key.
    AbsentError: the source has no such split.
  """
  wanted = [name for name, text in texts.items() if text or name != 'validation']
  found = {name: _parsed(texts[name], f'data.{name}_split') for name in wanted}
  expressions = list(found.values())
  problems = [problem for e in expressions for problem in _absent(e, source)]
  if problems:
    have = ', '.join(sources.short(name) for name in source.splits[:_SHOWN]) or 'none'
    more = f' and {len(source.splits) - _SHOWN} more' if len(source.splits) > _SHOWN else ''
    raise AbsentError(
      f'{", ".join(problems)}: {source.where} has only {have}{more}' + _advice(expressions, source)
    )
  return found


def check_order(
  expressions: Iterable[Expression], source: sources.Source, split_order: str
) -> None:
  """Refuses slices in the order of a source that is sorted by what shall be in each of them."""
  sliced = [e for e in expressions if e.is_sliced]
  if source.sorted_by and split_order == 'stored' and sliced:
    raise errors.InputError(
      f'{sliced[0].key}={sources.short(sliced[0].text)}: {source.where} is sorted by '
      f'{source.sorted_by}, and a slice of it would have some alone; set '
      "data.split_order='shuffled'"
    )


def _parsed(text: str, key: str) -> Expression:
  matches = [_TERM.fullmatch(term) for term in text.split('+')]
  if None in matches:
    raise errors.InputError(
      f'{key}={sources.short(text)} is not a split; '
      "valid are 'train', 'train[:1600]', 'train[80%:]', 'train+test'"
    )
  return Expression(key, text, tuple(Term(*match.groups()) for match in matches))


def _absent(expression: Expression, source: sources.Source) -> Iterator[str]:
  """Says which splits of an expression a source does not have."""
  for term in expression.terms:
    if term.split not in source.splits:
      name = '' if term.split == expression.text else f' (split {sources.short(term.split)})'
      yield f'{expression.key}={sources.short(expression.text)}{name}'


# What one array is cut into, by the number of its parts.
_CUTS = {1: ('',), 2: ('[:80%]', '[80%:]'), 3: ('[:70%]', '[70%:85%]', '[85%:]')}


def _advice(expressions: Sequence[Expression], source: sources.Source) -> str:
  """Returns the end of a message: the names that are near, or what all splits may be."""
  names = [name for name in source.splits if source.holds_examples(name)]
  absent = [t.split for e in expressions for t in e.terms if t.split not in source.splits]
  near = {name: close for name in absent if (close := errors.closest(name, names)) is not None}
  if len({*near.values()}) == len({*absent}) > 1:
    return _settings(expressions, [e.renamed(near) for e in expressions])
  if near:
    return ''.join(f'; did you mean {close!r}?' for close in sorted({*near.values()}))
  if all(e.key == 'data.validation_split' for e in expressions if {*absent} & e.names):
    return "; set data.validation_split='' for none"
  if not names or len(absent) < len(expressions):
    return ''
  # Nothing near: what stands in the file, in its order, or parts of the one array.
  test = names[1:2]
  said = [*(names[0] + cut for cut in _CUTS[len(expressions) - len(test)]), *test]
  return _settings(expressions, said)


def _settings(expressions: Sequence[Expression], texts: Sequence[str]) -> str:
  *most, last = (f'{e.key}={text!r}' for e, text in zip(expressions, texts, strict=True))
  return f'; set {", ".join(most)} and {last}'


def take(
  expression: Expression,
  arrays: Mapping[str, np.ndarray],
  by: Mapping[str, orders.Order] | None = None,
) -> np.ndarray:
  """Returns what an expression takes of arrays [n, ...], by split.

  It is a view where it is one slice in the stored order, or the whole of a split. The examples of
  other slices stand in the stored order, too: the order says which ones they are.

  Args:
    expression: what to take.
    arrays: by split.
    by: the order of each split; without, the stored one.

  Raises:
    InputError: a bound lies outside the split, or a slice is empty.
  """
  parts = []
  for term in expression.terms:
    array, order = arrays[term.split], (by or {}).get(term.split, orders.STORED)
    size = len(array)
    where = f'{expression.key}={expression.text!r}: split {term.split!r} has {size:,} examples'
    start, stop = (
      _at_end(_bound(text, default, size, where), order)
      for text, default in ((term.start, 0), (term.stop, size))
    )
    if start >= stop:
      of = '' if order.ends is None else f' in {len(order.ends) - 1:,} groups'
      raise errors.InputError(f'{where}{of}, and the slice {start}:{stop} of it is empty')
    if (start, stop) != (0, size):
      rows = None if order.rows is None else np.sort(order.rows[start:stop])
      array = array[start:stop] if rows is None else blocks.rows_of(array, rows)
    parts.append(array)
  return parts[0] if len(parts) == 1 else blocks.joined(parts)


def _at_end(place: int, order: orders.Order) -> int:
  """Returns the closest place at which a slice may end; of two, the one before."""
  if order.ends is None:
    return place
  return int(order.ends[np.argmin(np.abs(order.ends - place))])


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
