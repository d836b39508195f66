"""The order that the slices of a split go by: which examples 'images[:80%]' takes.

In the stored order it takes the first ones, which is right of a series whose end is to be foretold.
Of independent examples a random part is wanted, whatever the file is sorted by; and of several
examples of one subject, all or none, or the test set would have the subjects of the training set.
"""

import itertools
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from vae_jax import errors
from vae_jax.data.sources import short

GROUP = 'group:'
_ORDER = 0x6F72646572  # 'order': no epoch of `batch_indices`, nor the sample of `subsets`


class Order(NamedTuple):
  """The order of a split's n examples.

  Attributes:
    rows: [n], the example at each place; None for the stored order.
    ends: places from 0 to n at which a slice may begin and end, ascending; None for all.
  """

  rows: np.ndarray | None = None
  ends: np.ndarray | None = None


STORED = Order()


def column_of(mode: str) -> str:
  """Returns the column that 'group:COLUMN' names; '' where the order needs none."""
  return mode.removeprefix(GROUP) if mode.startswith(GROUP) else ''


def order_of(mode: str, size: int, seed: int, groups: np.ndarray | None = None) -> Order:
  """Returns the order of a split's examples; splits of one size and seed have the same.

  As for the batches, from raw words of a counter-based generator, whose stream NumPy guarantees.

  Args:
    mode: 'stored', 'shuffled', or 'group:COLUMN': group after group, the groups shuffled.
    size: n, the examples of the split.
    seed: the data seed.
    groups: [n], the column of 'group:COLUMN'.

  Raises:
    InputError: an example has no group.
  """
  if mode == 'stored':
    return STORED
  if groups is None:
    return Order(_shuffled(size, seed))
  absent = np.isnan(groups) if groups.dtype.kind == 'f' else groups == np.zeros((), groups.dtype)
  if groups.dtype.kind in 'fU' and absent.any():
    raise errors.InputError(
      f'data.split_order={mode!r}: the column is empty at example {int(np.argmax(absent))}; '
      'give each a group, or leave it out of the file'
    )
  _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
  drawn = _shuffled(len(counts), seed)  # the group at each place
  ends = np.concatenate([[0], np.cumsum(counts[drawn])])
  return Order(np.argsort(np.argsort(drawn)[group], kind='stable'), ends)


def _shuffled(count: int, seed: int) -> np.ndarray:
  key = np.array([seed, _ORDER], np.uint64)
  return np.argsort(np.random.Philox(key=key).random_raw(count), kind='stable')


def check_apart(mode: str, groups: Mapping[str, np.ndarray], where: str) -> None:
  """Refuses a group that is in two splits, as where each split is a file of its own.

  Args:
    mode: 'group:COLUMN'.
    groups: split -> [n], the column.
    where: the config key and value that point to the data set, for messages.

  Raises:
    InputError: there is one.
  """
  for one, other in itertools.combinations(groups, 2):
    shared = sorted({*groups[one].tolist()} & {*groups[other].tolist()})
    if shared:
      raise errors.InputError(
        f'data.split_order={short(mode)}: {len(shared):,} groups of {where} are in both the {one} '
        f'and the {other} split, such as {shared[0]!r}; take slices of one split, or set '
        "data.split_order='stored'"
      )
