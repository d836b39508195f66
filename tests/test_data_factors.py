"""Known factors of TFDS data: read beside the images, cached and sliced with them.

The files are tiny, their description is the one that TFDS itself writes for dsprites.
"""

import numpy as np
import pytest
from tfds_files import write_prepared

from vae_jax import data, errors
from vae_jax.data import records

pytestmark = pytest.mark.math

NAMES = ('orientation', 'scale', 'shape', 'x_position', 'y_position')
VALUES = (40, 6, 3, 32, 32)
COUNT = 11


def load(name='dsprites', train_split='train[:8]', test_split='train[8:]', **changes):
  settings = {'path': '', 'crop': (), 'pad': (), 'scale_to_unit': False, 'binarize': 'none'}
  settings |= {'kind': 'auto', 'range': (), 'standardize': 'none'}
  return data.load(
    name, train_split=train_split, test_split=test_split, seed=0, **(settings | changes)
  )


def images_of(factors, side=64):
  """Returns images [n, side, side, 1] of 0 and 1 that spell their factors in the first rows."""
  images = np.zeros((len(factors), side, side, 1), np.uint8)
  for image, row in zip(images, factors, strict=True):
    for line, value in enumerate(row):
      image[line, value] = 1
  return images


def spelled(images):
  return images[:, : len(NAMES), :, 0].argmax(axis=2)


@pytest.fixture(scope='module')
def description(tmp_path_factory):
  """Returns the features.json that TFDS writes for dsprites."""
  import tensorflow_datasets as tfds

  folder = tmp_path_factory.mktemp('features')
  tfds.builder_cls('dsprites')(data_dir=str(folder)).info.features.save_config(folder)
  return (folder / 'features.json').read_text()


@pytest.fixture
def prepared(tmp_path, monkeypatch, description):
  """Returns a function that writes dsprites with given factors [n, 5]; returns its directory."""
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'tfds'))
  monkeypatch.setenv('VAE_JAX_CACHE', str(tmp_path / 'cache'))

  def write(factors, name='dsprites', version='2.0.0'):
    labels = {f'label_{key}': column for key, column in zip(NAMES, factors.T, strict=True)}
    directory = write_prepared(
      tmp_path / 'tfds',
      name,
      version,
      images={'train': images_of(factors)},
      labels={'train': labels},
    )
    (directory / 'features.json').write_text(description)
    return directory

  return write


@pytest.fixture
def factors():
  rng = np.random.default_rng(0)
  return np.stack([rng.integers(0, size, COUNT) for size in VALUES], axis=1)


@pytest.fixture
def decoded(monkeypatch):
  """Returns the list of splits that were decoded."""
  splits, decode = [], records.decode

  def counted(directory, name, split):
    splits.append(split)
    return decode(directory, name, split)

  monkeypatch.setattr(records, 'decode', counted)
  return splits


def cached_file(tmp_path):
  (path,) = (tmp_path / 'cache' / 'data').iterdir()
  return path


def test_factors_are_read_beside_the_images(prepared, factors, monkeypatch):
  prepared(factors)
  monkeypatch.setattr(records, '_BATCH', 4)  # the last batch is short
  loaded = load()
  assert (loaded.support, loaded.train.shape) == ('binary', (8, 64, 64, 1))
  assert loaded.factors.names == NAMES
  assert loaded.factors.train.dtype == loaded.factors.test.dtype == np.int32
  np.testing.assert_array_equal(loaded.factors.train, factors[:8])
  np.testing.assert_array_equal(loaded.factors.test, factors[8:])
  np.testing.assert_array_equal(loaded.train, images_of(factors[:8]))


@pytest.mark.parametrize('expression', ['train', 'train[-3:]', 'train[60%:]+train[:2]+train[4:5]'])
def test_factors_are_sliced_with_the_images(prepared, factors, expression):
  prepared(factors)
  loaded = load(train_split=expression, crop=(48, 64), pad=(64, 64))
  np.testing.assert_array_equal(load(train_split=expression).factors.train, loaded.factors.train)
  plain = load(train_split=expression)
  np.testing.assert_array_equal(spelled(plain.train), plain.factors.train)
  np.testing.assert_array_equal(spelled(plain.test), plain.factors.test)


def test_factors_are_cached_with_the_images(prepared, factors, decoded, tmp_path, monkeypatch):
  prepared(factors)
  first, second = load(), load()
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'gone'))
  third = load()
  assert decoded == ['train']
  for loaded in (second, third):
    assert loaded.factors.names == NAMES
    assert loaded.sha256 == first.sha256
    np.testing.assert_array_equal(loaded.factors.train, factors[:8])
    np.testing.assert_array_equal(spelled(loaded.test), factors[8:])


@pytest.mark.parametrize('place', [-1, -5 * 4 * COUNT, 200])
def test_damaged_cache_is_rebuilt(prepared, factors, decoded, tmp_path, place):
  """One bit: in the last factor, the first one, an image."""
  prepared(factors)
  load()
  path = cached_file(tmp_path)
  content = bytearray(path.read_bytes())
  content[place] ^= 1
  path.write_bytes(content)
  np.testing.assert_array_equal(load().factors.train, factors[:8])
  assert decoded == ['train', 'train']
  assert cached_file(tmp_path) == path


def test_cache_without_factors_is_not_taken(prepared, factors, decoded, tmp_path, monkeypatch):
  """As a version of this package wrote it that did not read them."""
  prepared(factors)
  with monkeypatch.context() as patch:
    patch.setattr(records, '_factor_features', lambda directory, name: [])
    assert load().factors is None
  np.testing.assert_array_equal(load().factors.train, factors[:8])
  assert decoded == ['train', 'train']
  assert cached_file(tmp_path).stat().st_size > COUNT * 64 * 64 + 5 * 4 * COUNT


def test_sha256_tells_other_factors_of_the_same_images(prepared, factors):
  prepared(factors)
  first = load()
  directory = prepared(factors, version='2.1.0')
  wrong = {f'label_{key}': column for key, column in zip(NAMES, 1 - factors.T % 2, strict=True)}
  for path in directory.glob('*'):
    path.unlink()
  directory.rmdir()
  write_prepared(
    directory.parent.parent,
    'dsprites',
    '2.1.0',
    images={'train': images_of(factors)},
    labels={'train': wrong},
  )
  second = load()
  np.testing.assert_array_equal(first.train, second.train)
  assert second.version == '2.1.0'
  assert first.sha256 != second.sha256


def test_one_label_is_a_class_not_factors(prepared, factors, tmp_path):
  for name, keys in {'one': ['label_shape'], 'other': ['label', 'category']}.items():
    labels = {'train': {key: factors[:, 0] % 3 for key in keys}}
    write_prepared(tmp_path / 'tfds', name, images={'train': images_of(factors)}, labels=labels)
    assert load(name).factors is None
  np.testing.assert_array_equal(load('other').labels['train'], factors[:8, 0] % 3)
  assert load('one').labels is None
  assert load('digits', train_split='train', test_split='test').factors is None
  np.savez(tmp_path / 'mine.npz', a=images_of(factors))
  mine = load('npz', path=str(tmp_path / 'mine.npz'), train_split='a', test_split='a')
  assert mine.factors is None


@pytest.mark.parametrize('text', ['{', '[]', '{"featuresDict": {"features": [1]}}'])
def test_damaged_description_of_the_features(prepared, factors, text):
  path = prepared(factors) / 'features.json'
  path.write_text(text)
  with pytest.raises(errors.DamagedError) as caught:
    load()
  assert str(path) in str(caught.value)
  assert 'tfds build dsprites' in str(caught.value)
  assert '\n' not in str(caught.value)


def test_the_order_of_tfds_is_random(description):
  """TFDS stores examples in the order of a hash of their keys, so slices are random samples."""
  from tensorflow_datasets.core import hashing

  size = 8_000
  order = np.array(sorted(range(size), key=hashing.Hasher('train').hash_key))
  head = order[: size * 4 // 5]
  counts = np.bincount(head * 8 // size, minlength=8)  # of the eight parts of the grid
  stderr = np.sqrt(len(head) / 8 * 7 / 8 * 0.2)
  assert np.all(np.abs(counts - len(head) / 8) < 5 * stderr)
