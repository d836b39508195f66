"""A likelihood p(x | z) of tables: each column has its own; one row, no keys."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, NamedTuple

import distrax
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import checks, errors
from vae_jax.densities.counts import negative_binomial, poisson
from vae_jax.densities.events import drawn, per_example
from vae_jax.densities.gaussians import gaussian
from vae_jax.densities.likelihoods import Likelihood, Outputs, bernoulli
from vae_jax.densities.student import student_t

_MOST_CATEGORIES = 256  # every column has as many outputs as the one that needs most


class Column(NamedTuple):
  """A column of a table.

  Attributes:
    name: its own.
    categories: what its codes 0, 1, 2 ... stand for; () where its values stand for themselves.
  """

  name: str
  categories: tuple[str, ...] = ()


class _Codes(distrax.Categorical):
  """distrax's categorical of codes that are stored as floats."""

  def log_prob(self, value: Array) -> Array:
    return super().log_prob(jnp.asarray(value).astype(jnp.int32))

  def mean(self) -> Array:
    """Returns the likeliest code: codes have no mean."""
    return jnp.argmax(self.logits, axis=-1).astype(jnp.float32)


class _Columns(distrax.Distribution):
  """Independent values [D], of which each group of columns has a distribution of its own."""

  def __init__(self, groups: Sequence[Sequence[int]], parts: Sequence[distrax.Distribution]):
    super().__init__()
    self._groups, self._parts = groups, parts
    self._order = np.argsort(np.concatenate(groups))

  @property
  def event_shape(self) -> tuple[int, ...]:
    """One value."""
    return ()

  @property
  def batch_shape(self) -> tuple[int, ...]:
    """[D]."""
    return self._order.shape

  def log_prob(self, value: Array) -> Array:
    """Returns log p of each value, [D]."""
    pairs = zip(self._parts, self._groups, strict=True)
    return self._joined([part.log_prob(value[np.array(group)]) for part, group in pairs])

  def mean(self) -> Array:
    """Returns the mean of each value, of a category its likeliest code, [D]."""
    return self._joined([part.mean() for part in self._parts])

  def _sample_n(self, key: Array, n: int) -> Array:
    keys = jax.random.split(key, len(self._parts))
    pairs = zip(self._parts, keys, strict=True)
    return self._joined([drawn(part, key, (n,)).astype(jnp.float32) for part, key in pairs])

  def _joined(self, parts: Sequence[Array]) -> Array:
    return jnp.concatenate(parts, axis=-1)[..., self._order]


# The likelihood of a column, and what its values have to be.
_KINDS: Mapping[str, tuple[Callable[[], Likelihood], str]] = {
  'gaussian': (lambda: gaussian('per_pixel'), ''),
  'student_t': (lambda: student_t(scale='per_pixel'), ''),
  'bernoulli': (bernoulli, '0 and 1'),
  'poisson': (poisson, 'whole numbers from 0'),
  'negative_binomial': (lambda: negative_binomial('per_value'), 'whole numbers from 0'),
}
_REAL = ('gaussian', 'student_t')


def by_column(
  event: Sequence[int],
  columns: Sequence[Column] = (),
  columns_as: Annotated[Sequence[str], checks.tuple_of(checks.text(empty=False))] = (),
) -> Likelihood:
  """A likelihood for tables, in which each column has its own.

    log p(x | z) = sum_d log p_d(x_d | z)

  A column is 'gaussian' (its mean and its scale are outputs), 'student_t' (the same, of 4 degrees
  of freedom), 'bernoulli' (0 or 1), 'categorical' (a code 0 .. K - 1, by a softmax of K outputs),
  'poisson' or 'negative_binomial', as the likelihoods of these names are. Nazabal et al. 2020,
  "Handling incomplete heterogeneous data using VAEs", arxiv.org/abs/1807.03653. Real columns are
  densities and the others probabilities, so that the sum compares with that of the same columns
  alone. `data.standardize` concerns the real ones alone; the encoder sees log(1 + x) of counts and
  K numbers, 0 or 1, of a code. Nats per example; higher is better.

  Args:
    event: (D,).
    columns: of the table, where it has names; else they are '0', '1', ...
    columns_as: 'NAME=KIND' of those that are not gaussian, such as 'smokes=bernoulli'; of a column
      whose categories the data do not name 'NAME=categorical:K'.

  Raises:
    InputError: there is no such column or kind; one line.
  """
  names = [column.name for column in columns] or [str(i) for i in range(math.prod(event))]
  kinds = _kinds_of(names, columns, columns_as)
  made = {kind: _likelihood_of(kind) for kind in dict.fromkeys(kinds)}
  groups = {kind: [i for i, other in enumerate(kinds) if other == kind] for kind in made}
  return _by_group(names, kinds, groups, made)


def _by_group(
  names: Sequence[str],
  kinds: Sequence[str],
  groups: Mapping[str, Sequence[int]],
  made: Mapping[str, Likelihood],
) -> Likelihood:
  def make(outputs: Outputs) -> distrax.Distribution:
    outputs = jnp.asarray(outputs)
    parts = [
      each.make(outputs[: each.num_heads, np.array(groups[kind])]).distribution
      for kind, each in made.items()
    ]
    return per_example(_Columns(list(groups.values()), parts))

  def output_of_mean(mean: Array) -> Array:
    outputs = jnp.zeros(len(names))
    for kind, each in made.items():
      if each.output_of_mean is not None:
        chosen = np.array(groups[kind])
        outputs = outputs.at[chosen].set(each.output_of_mean(jnp.asarray(mean)[chosen]))
    return outputs

  def encoder_input(x: Array) -> Array:
    return jnp.concatenate(
      [_input_of(kind, each)(x[np.array(groups[kind])]) for kind, each in made.items()]
    )

  def sized(size: Array) -> Likelihood:
    found = {kind: each.sized(size) if each.sized else each for kind, each in made.items()}
    return _by_group(names, kinds, groups, found)

  return Likelihood(
    supports=('real',),
    num_heads=max(each.num_heads for each in made.values()),
    make=make,
    output_of_mean=output_of_mean,
    encoder_input=encoder_input,
    sized=sized if any(each.sized for each in made.values()) else None,
    check=lambda values: _wrong(values, names, kinds),
    standardises=tuple(kind in _REAL for kind in kinds),
  )


def _kinds_of(names: Sequence[str], columns: Sequence[Column], texts: Sequence[str]) -> list[str]:
  """Returns the kind of each column, a categorical with its number of categories."""
  categories = {column.name: len(column.categories) for column in columns}
  kinds = dict.fromkeys(names, 'gaussian')
  for text in texts:
    name, equals, kind = text.rpartition('=')
    key = f'likelihood.columns_as: {text!r}'
    if not equals:
      raise errors.InputError(f"{key} is not 'NAME=KIND', such as '{names[0]}=bernoulli'")
    if name not in kinds:
      have = ', '.join(map(repr, names[:20]))
      raise errors.InputError(
        f'{key}: there is no column {name!r}, only {have}'
        + (errors.nearest(name, names) or '; set likelihood.columns_as=() for real numbers alone')
      )
    kind, _, count = kind.partition(':')
    if kind == 'categorical':
      kinds[name] = f'categorical:{_count(key, count, categories.get(name, 0))}'
    elif kind in _KINDS and not count:
      kinds[name] = kind
    else:
      valid = (*_KINDS, 'categorical', 'categorical:K')
      raise errors.InputError(
        f'{key}: valid kinds are {", ".join(valid)}{errors.nearest(kind, valid)}'
      )
  for name, size in categories.items():
    if size and not kinds[name].startswith('categorical'):
      raise errors.InputError(
        f"likelihood.columns_as: column {name!r} has {size} categories; add '{name}=categorical'"
      )
  return list(kinds.values())


def _count(key: str, text: str, known: int) -> int:
  """Returns the number of categories, as it is known or said."""
  if not text and not known:
    raise errors.InputError(f"{key}: how many categories are there? say 'categorical:K'")
  count = int(text) if text.isdecimal() else known
  if (text and not text.isdecimal()) or not 2 <= count <= _MOST_CATEGORIES:
    raise errors.InputError(f'{key}: the number of categories is from 2 to {_MOST_CATEGORIES}')
  if known > count:
    raise errors.InputError(f'{key}: the column has {known} categories; say so')
  return count


def _likelihood_of(kind: str) -> Likelihood:
  name, _, count = kind.partition(':')
  if name != 'categorical':
    return _KINDS[name][0]()

  def make(outputs: Outputs) -> distrax.Distribution:
    logits = jnp.moveaxis(outputs, 0, -1)  # [D, K]
    return per_example(_Codes(logits=logits, dtype=jnp.float32))

  return Likelihood(supports=('real',), num_heads=int(count), make=make)


def _input_of(kind: str, likelihood: Likelihood) -> Callable[[Array], Array]:
  """Returns how columns of a kind enter the encoder, NaN as NaN."""
  name, _, count = kind.partition(':')
  if name != 'categorical':
    return likelihood.encoder_input or (lambda x: x)

  def of_codes(x: Array) -> Array:
    known = jax.nn.one_hot(jnp.nan_to_num(x).astype(jnp.int32), int(count))
    return jnp.where(jnp.isnan(x)[:, None], jnp.nan, known).ravel()

  return of_codes


def _wrong(values: np.ndarray, names: Sequence[str], kinds: Sequence[str]) -> str:
  """Returns which column has other values than its kind, '' where none has."""
  for column, name, kind in zip(values.T, names, kinds, strict=True):
    known = column[~np.isnan(column)]
    base, _, count = kind.partition(':')
    wanted = f'codes from 0 to {int(count) - 1}' if count else _KINDS[base][1]
    high = {'bernoulli': 1, 'categorical': int(count or 1) - 1}.get(base, np.inf)
    if wanted and not ((known >= 0) & (known <= high) & (known == np.rint(known))).all():
      return (
        f'column {name!r} has values from {known.min():g} to {known.max():g}, and {base} is for '
        f"{wanted}: set another kind in likelihood.columns_as, such as '{name}=gaussian'"
      )
  return ''
