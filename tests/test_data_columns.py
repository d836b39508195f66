"""What an .npz file has beside its examples, and which of their values it says are missing."""

import numpy as np
import pytest

from vae_jax import data, errors

pytestmark = pytest.mark.math

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (20, 6, 5), dtype=np.uint8)
MASK = RNG.random(IMAGES.shape) < 0.7
AGES = RNG.integers(20, 80, 20)
ALL = ('images[:15]', 'images[15:]', (), (), 'image', ())


@pytest.fixture(scope='module')
def path(tmp_path_factory):
  """Images with ages, classes and masks."""
  path = tmp_path_factory.mktemp('columns') / 'faces.npz'
  np.savez(
    path,
    images=IMAGES,
    images_age=AGES,
    images_city=np.array(['Oslo', 'Rome'] * 10),
    images_pairs=RNG.normal(size=(20, 2)),
    seen=MASK,
    flat=MASK.reshape(20, -1),
    shades=MASK * 0.5,
    labels=np.arange(20) % 3,
  )
  return path


def read(path, beside=(), masks='', missing='refused'):
  settings = {'name': 'npz', 'path': str(path), 'labels': '', 'masks': masks}
  return data.read(data.open_source(settings), *ALL, '', beside, missing)


def test_an_array_by_the_name_of_a_split_is_a_column_of_it(path):
  found = read(path, ('age', 'city'))
  np.testing.assert_array_equal(found.beside['train']['age'], AGES[:15])
  np.testing.assert_array_equal(found.beside['test']['age'], AGES[15:])
  assert found.beside['test']['city'].tolist() == ['Rome', 'Oslo'] * 2 + ['Rome']


def test_a_column_is_read_when_it_is_asked_for(path, monkeypatch):
  read_names = []
  array = data.stored.parts.resolve('data', 'npz').__globals__['_read_array']
  monkeypatch.setitem(
    array.__globals__, '_read_array', lambda *args: read_names.append(args[2]) or array(*args)
  )
  read(path, ('age',))
  assert read_names == ['images', 'images_age']


@pytest.mark.parametrize(
  ('beside', 'words'),
  [
    (('agee',), "has no column 'agee' beside its examples, only 'age', 'city', 'pairs'; did you"),
    (('pairs',), "column 'pairs' is [20, 2], and there are 20 examples"),
  ],
)
def test_what_is_no_column_is_refused_in_one_line(path, beside, words):
  with pytest.raises(errors.InputError) as caught:
    read(path, beside)
  assert words in str(caught.value) and '\n' not in str(caught.value)


def test_what_a_mask_does_not_show_is_missing_and_the_rest_stays(path):
  found = read(path, masks='images=seen', missing='left_out')
  whole = np.concatenate([found.train, found.test])[..., 0]
  assert found.support == 'uint8' and found.has_missing and whole.dtype == np.float32
  np.testing.assert_array_equal(np.isnan(whole), ~MASK)
  np.testing.assert_array_equal(whole[MASK], IMAGES[MASK])
  assert found.sha256 != read(path).sha256


@pytest.mark.parametrize(
  ('masks', 'missing', 'words'),
  [
    ('images=seen', 'refused', "or set data.missing='left_out'"),
    ('images=mask', 'left_out', "data.masks='images=mask': data.path="),
    ('seen', 'left_out', "'EXAMPLES=MASKS,...', an array of masks"),
    ('images=flat', 'left_out', 'is [20, 30], and its examples [20, 6, 5]'),
    ('images=shades', 'left_out', 'has more than 0 and 1'),
  ],
)
def test_what_is_no_mask_is_refused_in_one_line(path, masks, missing, words):
  with pytest.raises(errors.InputError) as caught:
    read(path, masks=masks, missing=missing)
  assert words in str(caught.value) and '\n' not in str(caught.value)


def test_other_data_keep_the_labels_and_masks_that_they_have(path, tmp_path):
  """A file of images alone can be evaluated by a run whose own file has more."""
  other = tmp_path / 'others.npz'
  np.savez(other, images=IMAGES, labels=np.arange(20) % 3)
  settings = {'name': 'npz', 'path': str(path), 'labels': 'images=labels', 'masks': 'images=seen'}
  assert data.moved_to(settings, str(path)) == settings
  moved = data.moved_to(settings, str(other))
  assert moved == settings | {'path': str(other), 'masks': ''}
  assert set(data.open_source(moved).read('images').factors['label']) == {0, 1, 2}
  two = settings | {'labels': 'images=labels, train=y', 'masks': ''}
  assert data.moved_to(two, str(other))['labels'] == 'images=labels'
  absent = data.moved_to(settings, str(tmp_path / 'none.npz'))
  assert absent == settings | {'path': str(tmp_path / 'none.npz')}  # reading it says so
