"""TFDS data sets read without TensorFlow, and the cache of decoded splits.

Most tests write a tiny data set in TFDS's own format; the last ones read real data, if there is.
"""

import logging
import os
import pathlib
import sys

import numpy as np
import pytest
from tfds_files import IMAGES, write_prepared

from vae_jax import data, errors
from vae_jax.data import cache, records

pytestmark = pytest.mark.math

REAL = pathlib.Path(os.environ.get('TFDS_DATA_DIR') or '~/tensorflow_datasets').expanduser()
needs_mnist = pytest.mark.skipif(
  not (REAL / 'mnist').is_dir(),
  reason=f"no mnist in {REAL}: pip install '.[prepare]' && "
  'tfds build mnist --file_format=array_record, or set TFDS_DATA_DIR',
)


def load(name='tiny', train_split='train', test_split='test', path=''):
  return data.load(
    name, train_split, test_split, (), (), 'auto', (), False, 'none', 'none', 0, path=path
  )


@pytest.fixture
def root(tmp_path, monkeypatch):
  """Returns an empty TFDS_DATA_DIR; the cache is empty too."""
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'tfds'))
  monkeypatch.setenv('VAE_JAX_CACHE', str(tmp_path / 'cache'))
  return tmp_path / 'tfds'


@pytest.fixture
def decoded(monkeypatch):
  """Returns the list of splits that were decoded."""
  splits, decode = [], records.decode

  def counted(directory, name, split):
    splits.append(split)
    return decode(directory, name, split)

  monkeypatch.setattr(records, 'decode', counted)
  return splits


def refused(error=errors.InputError, **changes):
  with pytest.raises(error) as caught:
    load(**changes)
  assert '\n' not in str(caught.value)
  return str(caught.value)


def cached_files(root):
  return sorted((root.parent / 'cache' / 'data').glob('*'))


def test_images_are_decoded_without_tensorflow(root, capfd, caplog):
  imported_before = 'tensorflow' in sys.modules
  write_prepared(root)
  with caplog.at_level(logging.INFO, 'vae_jax'):
    loaded = load()
  assert (loaded.name, loaded.version, loaded.support) == ('tiny', '1.0.0', 'uint8')
  np.testing.assert_array_equal(loaded.train, IMAGES['train'])
  np.testing.assert_array_equal(loaded.test, IMAGES['test'])
  lines = [record.getMessage() for record in caplog.records]
  assert lines == [
    'decoding tiny test (5 images), once',
    'decoding tiny train (9 images), once',
  ]
  assert ('tensorflow' in sys.modules) == imported_before
  assert capfd.readouterr() == ('', '')


def test_second_load_does_not_decode(root, decoded):
  write_prepared(root)
  first, second = load(), load(train_split='train[:50%]')
  assert sorted(decoded) == ['test', 'train']
  np.testing.assert_array_equal(second.train, first.train[:4])
  assert first.sha256 == second.sha256
  paths = cached_files(root)
  assert len(paths) == 2
  assert paths[0].parent.stat().st_mode & 0o777 == 0o700
  for path in paths:  # the end of the name is the checksum of the file
    assert path.name.startswith('tiny-1.0.0-')
    assert path.stem.endswith('-' + cache.files.sha256_of_file(path))


def flip(path):
  content = bytearray(path.read_bytes())
  content[-1] ^= 1
  path.write_bytes(content)


def truncate(path):
  path.write_bytes(path.read_bytes()[:-7])


def misname(path):
  path.rename(path.with_name(path.name[:-68] + '0' * 64 + '.npy'))


def swap_content(path):
  np.save(path, IMAGES['test'] * 0)


@pytest.mark.parametrize('damage', [flip, truncate, misname, swap_content])
def test_damaged_cache_is_rebuilt(root, decoded, damage):
  write_prepared(root)
  load()
  before = cached_files(root)
  damage(next(path for path in before if '-train-' in path.name))
  del decoded[:]
  np.testing.assert_array_equal(load().train, IMAGES['train'])
  assert decoded == ['train']
  assert cached_files(root) == before


def test_half_written_file_is_never_taken(root, decoded, monkeypatch):
  write_prepared(root)

  def killed(file):
    raise KeyboardInterrupt

  with monkeypatch.context() as patch:
    patch.setattr(os, 'fsync', killed)
    with pytest.raises(KeyboardInterrupt):
      load()
  # What a kill -9 leaves: a part under the temporary name.
  folder = root.parent / 'cache' / 'data'
  (folder / f'.tiny-1.0.0-test-{"0" * 16}-{"0" * 64}.npy.x.npy').write_bytes(b'half')
  np.testing.assert_array_equal(load().test, IMAGES['test'])
  assert decoded == ['test', 'test', 'train']


def test_data_prepared_anew_are_decoded_anew(root, decoded):
  directory = write_prepared(root)
  load()
  for path in directory.iterdir():
    path.unlink()
  directory.rmdir()
  changed = IMAGES | {'train': IMAGES['train'][::-1]}
  write_prepared(root, images=changed)
  del decoded[:]
  np.testing.assert_array_equal(load().train, changed['train'])
  assert decoded == ['train']
  assert len(cached_files(root)) == 2, 'the entry of the old files stayed'


def test_data_sets_and_versions_do_not_mix(root, decoded):
  other = {split: 255 - images for split, images in IMAGES.items()}
  write_prepared(root, 'tiny', '1.0.0')
  write_prepared(root, 'tiny', '1.10.0', images=other)
  write_prepared(root, 'tiny', '1.9.0', images=other)
  write_prepared(root, 'tiny_other', images=other)
  for _ in range(2):
    np.testing.assert_array_equal(load('tiny:1.0.0').train, IMAGES['train'])
    np.testing.assert_array_equal(load('tiny_other').train, other['train'])
    newest = load('tiny')
    assert newest.version == '1.10.0'
    np.testing.assert_array_equal(newest.train, other['train'])
  assert len(decoded) == 6
  assert load('tiny:1.0.0').sha256 != newest.sha256 == load('tiny_other').sha256


def test_cached_data_load_when_the_prepared_files_are_gone(root, decoded, monkeypatch):
  write_prepared(root)
  first = load()
  monkeypatch.setenv('TFDS_DATA_DIR', str(root / 'gone'))
  again = load()
  np.testing.assert_array_equal(again.train, first.train)
  assert (again.version, again.sha256) == (first.version, first.sha256)
  assert len(decoded) == 2
  assert load('tiny:1.0.0').sha256 == first.sha256
  assert "data.name='tiny'" in refused(name='tiny:2.0.0')
  damaged = next(path for path in cached_files(root) if '-train-' in path.name)
  truncate(damaged)
  assert "data.name='tiny'" in refused()
  assert not damaged.exists()


def test_cached_data_are_told_apart_when_the_prepared_files_are_gone(root, monkeypatch):
  other = {split: 255 - images for split, images in IMAGES.items()}
  write_prepared(root, 'tiny', '1.0.0')
  write_prepared(root, 'tiny', '2.0.0', images=other)
  write_prepared(root, 'other', '3.0.0')
  write_prepared(root, 'other_tiny', '4.0.0', images=other)
  names = ('tiny:1.0.0', 'tiny:2.0.0', 'other', 'other_tiny')
  before = [load(name) for name in names]
  monkeypatch.setenv('TFDS_DATA_DIR', str(root / 'gone'))
  for name, dataset in zip(names, before, strict=True):
    assert load(name).sha256 == dataset.sha256
  assert "data.name='tiny'" in refused(name='tiny')  # which of the two versions?
  (root / 'gone').mkdir()
  write_prepared(root / 'gone', 'tiny', '1.0.0', images=other)
  np.testing.assert_array_equal(load('tiny').train, other['train'])


def test_cache_that_cannot_be_written_is_one_warning(root, monkeypatch, caplog):
  write_prepared(root)
  (root.parent / 'file').touch()
  monkeypatch.setenv('VAE_JAX_CACHE', str(root.parent / 'file'))
  for _ in range(2):
    np.testing.assert_array_equal(load().train, IMAGES['train'])
  assert [record.levelname for record in caplog.records] == ['WARNING']
  assert 'going on without it' in caplog.text


def test_unknown_and_unprepared_names(root):
  message = refused(name='mnits')
  assert "data.name='mnits'" in message
  assert "did you mean 'mnist'?" in message
  message = refused(name='cifar10')
  for part in (
    "data.name='cifar10'",
    str(root),
    "pip install '.[prepare]'",
    'tfds build cifar10 --file_format=array_record',
    'TFDS_DATA_DIR',
  ):
    assert part in message
  write_prepared(root)
  message = refused(name='tiny:2.0.0')
  assert "data.name='tiny:2.0.0'" in message
  assert 'only 1.0.0' in message
  message = refused(train_split='trian')
  assert "data.train_split='trian'" in message
  assert "did you mean 'train'?" in message


def test_data_sets_without_fixed_images(root):
  write_prepared(root, 'sound', feature='audio')
  message = refused(name='sound')
  assert "data.name='sound'" in message
  assert 'only audio, label' in message
  write_prepared(root, 'sizes', shape=(-1, -1, 1))
  message = refused(name='sizes')
  assert "data.name='sizes'" in message
  assert 'different sizes' in message


def test_format_that_needs_tensorflow(root):
  path = write_prepared(root) / 'dataset_info.json'
  path.write_text(path.read_text().replace('array_record', 'tfrecord'))
  message = refused()
  assert 'as tfrecord' in message
  assert 'tfds build tiny --file_format=array_record --overwrite' in message


@pytest.mark.parametrize('damage', ['flip', 'truncate', 'empty', 'gone', 'other'])
def test_damaged_records(root, damage):
  path = write_prepared(root) / 'tiny-test.array_record-00000-of-00001'
  content = bytearray(path.read_bytes())
  if damage == 'flip':
    content[content.index(b'PNG') + 20] ^= 1
  elif damage == 'truncate':
    del content[len(content) // 2 :]
  elif damage == 'empty':
    content.clear()
  path.write_bytes(content)
  if damage == 'gone':
    path.unlink()
  if damage == 'other':
    path.write_bytes(b'nothing like records' * 9999)
  message = refused(errors.DamagedError)
  assert str(path.parent if damage == 'gone' else path) in message
  assert "'test'" in message
  assert 'tfds build tiny' in message
  assert cached_files(root) == []


@pytest.mark.parametrize('text', ['{', '[]', '{"splits": [1]}'])
def test_damaged_description(root, text):
  path = write_prepared(root) / 'dataset_info.json'
  path.write_text(text)
  assert str(path) in refused(errors.DamagedError)


def test_images_of_another_data_set_under_a_published_name(root):
  """TFDS has prepared fashion_mnist from the archives of mnist: the sha256 tells."""
  write_prepared(root, 'fashion_mnist', '3.0.1')
  message = refused(errors.DamagedError, name='fashion_mnist')
  assert 'does not hold the published images of fashion_mnist' in message
  assert cached_files(root) == []


@pytest.fixture(scope='module')
def real_cache(tmp_path_factory):
  return tmp_path_factory.mktemp('cache')


@needs_mnist
@pytest.mark.parametrize(
  ('name', 'mean', 'support'),
  [
    ('mnist', 33.791, 'uint8'),
    ('fashion_mnist', 73.147, 'uint8'),
    ('binarized_mnist', 0.13251, 'binary'),
  ],
)
def test_means_of_real_test_images(real_cache, monkeypatch, name, mean, support):
  if not (REAL / name).is_dir():
    pytest.skip(f'no {name} in {REAL}: tfds build {name} --file_format=array_record')
  monkeypatch.setenv('VAE_JAX_CACHE', str(real_cache))
  loaded = load(name, train_split='test')
  assert loaded.test.shape == (10_000, 28, 28, 1)
  assert loaded.support == support
  assert abs(loaded.test.mean() - mean) < 0.5 * 10.0 ** -(5 if mean < 1 else 3)


@needs_mnist
def test_archives_of_one_name_do_not_mix(real_cache, monkeypatch):
  if not (REAL / 'fashion_mnist').is_dir():
    pytest.skip(f'no fashion_mnist in {REAL}: tfds build fashion_mnist --file_format=array_record')
  monkeypatch.setenv('VAE_JAX_CACHE', str(real_cache))
  digits, clothes = (load(name, train_split='test') for name in ('mnist', 'fashion_mnist'))
  assert not np.array_equal(digits.test, clothes.test)
  assert digits.sha256 != clothes.sha256
