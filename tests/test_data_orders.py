"""Which examples a slice takes: in their order, shuffled by the seed, or group by group."""

import pathlib

import numpy as np
import pytest

from vae_jax import data, errors
from vae_jax.data import orders, sources, splits

pytestmark = pytest.mark.math

ROWS = np.arange(60, dtype=np.float32)[:, None] * np.ones(4, np.float32)  # row n holds n
SUBJECTS = np.repeat(np.arange(14), [1, 2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5, 1])
SLICES = ('rows[:70%]', 'rows[70%:85%]', 'rows[85%:]')
SEEDS = range(8)
SOURCE = sources.Source('', '', '', ('a',), lambda split: None)


@pytest.fixture(scope='module')
def path(tmp_path_factory):
  """Rows of 14 subjects, in their order."""
  path = tmp_path_factory.mktemp('orders') / 'rows.npz'
  rng = np.random.default_rng(0)
  np.savez(
    path,
    rows=ROWS,
    rows_subject=SUBJECTS,
    rows_city=np.array(['Oslo', 'Rome', 'Lima'])[SUBJECTS % 3],
    rows_visit=np.where(SUBJECTS > 5, np.nan, 1.0),
    rows_ward=np.where(SUBJECTS > 3, '', 'A2'),
    more=rng.normal(size=(20, 4)).astype(np.float32),
    more_subject=np.arange(20) + 10,
  )
  return path


def read(path: pathlib.Path, order: str, seed: int = 0, texts=SLICES, beside=()):
  source = data.open_source({'name': 'npz', 'path': str(path), 'labels': ''})
  train, validation, test = texts
  return data.read(
    source, train, test, (), (), 'real', (), validation, beside, split_order=order, seed=seed
  )


def rows_of(stored: data.Stored) -> dict[str, list[int]]:
  return {split: images[:, 0].astype(int).tolist() for split, images in stored.splits.items()}


def test_the_stored_order_is_that_of_the_file_and_copies_nothing(path):
  found = rows_of(read(path, 'stored'))
  assert found == {
    'train': list(range(42)),
    'validation': list(range(42, 51)),
    'test': list(range(51, 60)),
  }
  (expression,) = splits.parse({'train': 'a[10:20]'}, SOURCE).values()
  assert np.shares_memory(splits.take(expression, {'a': ROWS}), ROWS)


@pytest.mark.parametrize('seed', SEEDS)
def test_shuffled_slices_are_disjoint_and_are_all_of_the_examples(path, seed):
  found = rows_of(read(path, 'shuffled', seed))
  assert sorted(row for rows in found.values() for row in rows) == list(range(60))
  assert [len(rows) for rows in found.values()] == [42, 9, 9]
  assert found == rows_of(read(path, 'shuffled', seed))
  assert found != rows_of(read(path, 'shuffled', seed + 1))
  assert found['train'] != list(range(42))


def test_the_order_is_the_same_on_any_machine():
  """A stored run finds its test set by it; other draws of the same seed go otherwise."""
  assert orders.order_of('shuffled', 8, 3).rows.tolist() == [6, 0, 2, 1, 7, 3, 5, 4]


def test_every_example_is_as_often_in_a_slice_as_its_share():
  """Of 2,000 seeds the first half has each of 20 examples half of the times: 5 standard errors."""
  count = np.zeros(20)
  for seed in range(2000):
    count[orders.order_of('shuffled', 20, seed).rows[:10]] += 1
  assert np.abs(count / 2000 - 0.5).max() < 5 * np.sqrt(0.25 / 2000)


@pytest.mark.parametrize('seed', SEEDS)
@pytest.mark.parametrize('column', ['subject', 'city'])
def test_a_group_is_in_one_slice(path, column, seed):
  texts = SLICES if column == 'subject' else ('rows[:50%]', '', 'rows[50%:]')
  stored = read(path, f'group:{column}', seed, texts, beside=(column,))
  found = rows_of(stored)
  assert sorted(row for rows in found.values() for row in rows) == list(range(60))
  groups = [set(stored.beside[split][column]) for split in found]
  assert not any(one & other for i, one in enumerate(groups) for other in groups[:i])
  if column == 'subject':  # a bound moves by half a group at most
    assert abs(len(found['train']) - 42) <= SUBJECTS.tolist().count(8) / 2


def test_groups_are_shuffled_by_the_seed(path):
  first = {min(rows_of(read(path, 'group:subject', seed))['train']) for seed in SEEDS}
  assert len(first) > 1


def test_a_whole_split_is_the_array_itself_whatever_the_order():
  (expression,) = splits.parse({'train': 'a'}, SOURCE).values()
  order = {'a': orders.order_of('shuffled', 60, 0)}
  assert splits.take(expression, {'a': ROWS}, order) is ROWS


def test_columns_and_labels_go_with_their_examples(path):
  stored = read(path, 'shuffled', 3, beside=('subject',))
  for split, rows in rows_of(stored).items():
    np.testing.assert_array_equal(stored.beside[split]['subject'], SUBJECTS[rows])


@pytest.mark.parametrize(
  ('order', 'texts', 'words'),
  [
    ('group:person', SLICES, "has no column 'person' beside its examples, only 'subject', 'city'"),
    ('group:visit', SLICES, 'the column is empty at example 21'),
    ('group:ward', SLICES, 'the column is empty at example 10'),
    ('group:city', ('rows[:5%]', '', 'rows[5%:]'), 'has 60 examples in 3 groups, and the slice'),
    (
      'group:subject',
      ('rows', '', 'more'),
      "4 groups of data.path='{path}' are in both the train and the test split, such as 10",
    ),
  ],
)
def test_what_is_no_split_by_groups_is_refused_in_one_line(path, order, texts, words):
  with pytest.raises(errors.InputError) as caught:
    read(path, order, texts=texts)
  assert words.format(path=path) in str(caught.value) and '\n' not in str(caught.value)


def test_no_two_of_three_splits_share_a_group():
  groups = {'train': np.arange(3), 'validation': np.array([5, 6]), 'test': np.array([7, 6])}
  line = '1 groups of x are in both the validation and the test split, such as 6'
  with pytest.raises(errors.InputError, match=line):
    orders.check_apart('group:subject', groups, 'x')


def test_two_splits_of_one_expression_share_their_groups(path):
  """As an evaluation on other data has it."""
  found = rows_of(read(path, 'group:subject', texts=('rows[:50%]', '', 'rows[:50%]')))
  assert found['train'] == found['test']
