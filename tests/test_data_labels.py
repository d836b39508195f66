"""Labels in a file of one's own: the class of each example, and what is none."""

import numpy as np
import pytest

from vae_jax import data, errors

pytestmark = pytest.mark.math

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 6, 5), dtype=np.uint8)
CLASSES = RNG.integers(0, 10, 20)


@pytest.fixture(scope='module')
def path(tmp_path_factory):
  """A file of one array of images, and one of two, and labels of many kinds."""
  path = tmp_path_factory.mktemp('labels') / 'faces.npz'
  np.savez(
    path,
    images=IMAGES,
    labels=CLASSES,
    column=CLASSES[:, None].astype(np.float64),
    x_train=IMAGES[:15],
    y_train=CLASSES[:15].astype(np.uint8),
    x_test=IMAGES[15:],
    y_test=CLASSES[15:].astype(np.int64),
    names=np.array(['cat', 'dog'] * 10),
    halves=CLASSES + 0.5,
    unknown=np.where(CLASSES > 4, np.nan, 1.0),
    large=CLASSES + 2**40,
  )
  return path


def load(path, labels, train='images[:15]', test='images[15:]'):
  return data.load(
    'npz', path=str(path), labels=labels, train_split=train, test_split=test, crop=(), pad=(),
    kind='auto', range=(),
    scale_to_unit=False, binarize='none', standardize='none', seed=0,
  )  # fmt: skip


@pytest.mark.parametrize(
  ('labels', 'splits'),
  [
    ('images=labels', {}),
    ('images = column', {}),
    ('x_train=y_train, x_test=y_test', dict(train='x_train', test='x_test')),
  ],
)
def test_each_example_keeps_its_label(path, labels, splits):
  found = load(path, labels, **splits)
  np.testing.assert_array_equal(found.labels['train'], CLASSES[:15])
  np.testing.assert_array_equal(found.labels['test'], CLASSES[15:])
  assert found.factors is None
  assert found.sha256 == load(path, '', **splits).sha256  # nothing is computed of a class


def test_without_the_key_there_are_none(path):
  assert load(path, '').labels is None
  assert load(path, 'x_train=y_train').labels is None


@pytest.mark.parametrize(
  ('labels', 'words'),
  [
    ('labels', "'EXAMPLES=LABELS,...'"),
    ('images=', "'EXAMPLES=LABELS,...'"),
    ('images=labels,images=column', "'EXAMPLES=LABELS,...'"),
    ('images=label', "has no array 'label', only 'images'"),
    ('images=label', "did you mean 'labels'?"),
    ('images=y_train', "'y_train' is [15], and its examples [20, 6, 5]"),
    ('images=names', 'is <U3 and has more than whole numbers'),
    ('images=halves', 'is float64 and has more than whole numbers'),
    ('images=unknown', 'is float64 and has more than whole numbers'),
    ('images=large', 'is int64 and has more than whole numbers'),
  ],
)
def test_what_is_no_label_is_refused_in_one_line(path, labels, words):
  with pytest.raises(errors.InputError) as caught:
    load(path, labels)
  assert words in str(caught.value) and '\n' not in str(caught.value)
