"""Mapped .npy files: the bits of an .npz of the same values, in a fraction of the memory."""

import tracemalloc

import grain  # noqa: F401 (of what it imports no memory is counted below)
import numpy as np
import pytest

from vae_jax import data, errors
from vae_jax.data import blocks, npy

pytestmark = pytest.mark.math

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
HALVES = {'train_split': 'images[:50%]', 'test_split': 'images[50%:]'}
SETTINGS = dict(
  crop=(), pad=(), kind='auto', range=(), scale_to_unit=False, binarize='none', seed=0
)


def load(path, name='npy', standardize='none', **changes):
  settings = HALVES | SETTINGS | {'standardize': standardize} | changes
  return data.load(name, path=str(path), **settings)


def refused(path, *words, error=errors.InputError, **changes):
  with pytest.raises(error) as caught:
    load(path, **changes)
  assert '\n' not in str(caught.value)
  for word in words:
    assert word in str(caught.value)


def is_mapped(array):
  while array is not None and not isinstance(array, np.memmap):
    array = array.base
  return array is not None


@pytest.mark.parametrize(
  'values, mapped',
  {
    'bytes': (BYTES, True),
    'floats': (BYTES.astype(np.float32) / 300, True),
    'bool': (BYTES > 128, True),
    'float64': (BYTES.astype(np.float64), False),
    'int64': (BYTES.astype(np.int64), False),
    'another order of bytes': (BYTES.astype('>f4'), False),
    'Fortran order': (np.asfortranarray(BYTES), False),
  }.values(),
)
def test_it_is_the_data_set_of_an_npz_and_bytes_and_floats_are_not_read(tmp_path, values, mapped):
  np.save(tmp_path / 'x.npy', values)
  np.savez(tmp_path / 'x.npz', images=values)
  mine, other = load(tmp_path / 'x.npy'), load(tmp_path / 'x.npz', 'npz')
  assert mine.sha256 == other.sha256
  for split in ('train', 'test'):
    np.testing.assert_array_equal(mine.split(split), other.split(split))
    assert is_mapped(mine.split(split)) == mapped
  assert mine._replace(train=0, test=0, train_fixed=0, validation=0, name='', version='') == (
    other._replace(train=0, test=0, train_fixed=0, validation=0, name='', version='')
  )


def test_files_are_splits_and_have_labels(tmp_path):
  np.save(tmp_path / 'a.npy', BYTES[:30])
  np.save(tmp_path / 'b.npy', BYTES[30:])
  np.save(tmp_path / 'c.npy', np.arange(30) % 3)
  np.save(tmp_path / 'd.npy', np.zeros(10, int))
  path = f'train={tmp_path}/a.npy, test={tmp_path}/b.npy'
  labels = f'train={tmp_path}/c.npy, test={tmp_path}/d.npy'
  found = load(path, train_split='train', test_split='test', labels=labels, conditions=('label',))
  np.testing.assert_array_equal(found.test, BYTES[30:])
  assert found.labels['train'][:4].tolist() == [0, 1, 2, 0]
  np.testing.assert_array_equal(found.beside['train'].condition[:3], np.eye(3))
  refused(path, 'no split', 'trian', train_split='train', test_split='test', labels='trian=x.npy')


def test_what_is_looked_at_takes_a_fraction_of_the_file(tmp_path, monkeypatch):
  monkeypatch.setattr(blocks, 'MOST', 2**16)
  size = 2**25  # bytes of a file
  mapped = np.lib.format.open_memmap(
    tmp_path / 'x.npy', 'w+', np.float32, (size // 4 // 192, 8, 8, 3)
  )
  mapped[:] = RNG.normal(size=(8, 8, 3))  # an example, again and again
  mapped[::2] *= 2
  mapped.flush()
  del mapped
  tracemalloc.start()
  source = data.open_source({'name': 'npy', 'path': str(tmp_path / 'x.npy')})
  stored = data.read(source, *HALVES.values(), (), (), 'auto', ())
  found = data.prepare(stored, False, 'none', 'per_pixel', 0)
  monkeypatch.setattr('vae_jax.data.description._MOST_HASHED', 0)
  monkeypatch.setattr('vae_jax.data.description._ORDERED', 256)
  splits = data.describe(stored)
  list(data.oddities(stored, *splits))
  feed = data.streamed(found.train, data.Schedule(0, 16, 4), None)
  gathered, indices = feed.read(0, 4)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  rows = data.batch_indices(0, 0, 4, 16, len(found.train))
  np.testing.assert_array_equal(np.asarray(gathered.images)[indices], found.train[rows])
  assert peak < size / 8, peak


CHANGED = {
  'range, clipped': (BYTES, dict(range=(0, 254.9))),
  'range of bytes': (BYTES, dict(range=(0, 255))),
  'range of floats': (BYTES.astype(np.float32) / 7, dict(range=(-1, 36.5))),
  'declared': (BYTES, dict(kind='real')),
  'crop': (BYTES, dict(crop=(3, 4))),
  'pad': (BYTES, dict(pad=(7, 8))),
  'shuffled': (BYTES, dict(split_order='shuffled')),
  'threshold': (BYTES, dict(binarize='threshold')),
  'static': (BYTES, dict(binarize='static', seed=3)),
  'dynamic': (BYTES, dict(binarize='dynamic', validation_split='images[:10]')),
  'a sum of slices': (BYTES, dict(train_split='images[:9]+images[20:27]')),
}


@pytest.mark.parametrize('name', CHANGED)
def test_what_changes_the_values_leaves_them_on_the_disk_and_has_the_bits_of_an_npz(
  tmp_path, monkeypatch, name
):
  values, changes = CHANGED[name]
  np.save(tmp_path / 'x.npy', values)
  np.savez(tmp_path / 'x.npz', images=values)
  other = load(tmp_path / 'x.npz', 'npz', **changes)
  monkeypatch.setattr(blocks, 'MOST', 630)  # seven examples at a time
  mine = load(tmp_path / 'x.npy', **changes)
  for split in ('train', 'validation', 'test'):
    assert mine.split(split).dtype == other.split(split).dtype
    np.testing.assert_array_equal(mine.split(split), other.split(split))
  np.testing.assert_array_equal(mine.train, other.train)
  assert is_mapped(mine.train) and is_mapped(mine.train_fixed) and not is_mapped(other.train)
  assert mine.scale == other.scale and mine.sha256 == other.sha256


def test_sizes_by_the_sum_of_a_row_are_those_of_an_npz(tmp_path, monkeypatch):
  counts = RNG.poisson(3.0, (50, 11)).astype(np.float32)
  np.save(tmp_path / 'x.npy', counts)
  monkeypatch.setattr(blocks, 'MOST', 77)
  found = load(tmp_path / 'x.npy', kind='count', size_factor='row_sum')
  sums = counts[:25].sum(axis=1)
  np.testing.assert_array_equal(
    found.beside['train'].size, (sums / sums.mean(dtype='f8')).astype('f4')
  )


def test_what_changes_the_values_takes_a_fraction_of_the_file(tmp_path, monkeypatch):
  monkeypatch.setattr(blocks, 'MOST', 2**14)
  size = 2**23  # bytes
  shape = (size // 4 // 192, 8, 8, 3)
  mapped = np.lib.format.open_memmap(tmp_path / 'x.npy', 'w+', np.float32, shape)
  mapped[:] = RNG.integers(1, 4, (8, 8, 3))
  mapped.flush()
  del mapped
  tracemalloc.start()
  binary = load(tmp_path / 'x.npy', range=(0, 5.5), crop=(7, 7), pad=(8, 8), binarize='static')
  counts = load(tmp_path / 'x.npy', kind='count', size_factor='row_sum', split_order='shuffled')
  mapped = np.lib.format.open_memmap(tmp_path / 'x.npy', 'r+')
  mapped[:, 1, 2, 0][::3] = np.nan
  mapped.flush()
  del mapped
  partly = load(tmp_path / 'x.npy', kind='count', missing='left_out')
  refused(tmp_path / 'x.npy', 'NaN', 'the others: 1 to 3', "data.missing='left_out'", kind='count')
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert binary.train.shape == counts.train.shape == (shape[0] // 2, *shape[1:])
  assert partly.has_missing and is_mapped(partly.train)
  assert peak < size / 8, peak


def test_a_disk_that_is_too_small_for_the_copy_is_one_line(tmp_path, monkeypatch):
  np.save(tmp_path / 'x.npy', BYTES)
  usage = blocks.shutil.disk_usage(tmp_path)._replace(free=100)
  monkeypatch.setattr(blocks.shutil, 'disk_usage', lambda folder: usage)
  refused(tmp_path / 'x.npy', 'VAE_JAX_CACHE', error=errors.StorageError, crop=(3, 3))


WRONG = {
  'text': (lambda f: f.write_text('hello'), ['is not an .npy file', 'np.save']),
  'empty': (lambda f: f.write_bytes(b''), ['is not an .npy file', 'np.save']),
  'npz': (lambda f: np.savez(f.open('wb'), a=BYTES), ['is an .npz file', "set data.name='npz'"]),
  'objects': (
    lambda f: np.save(f, np.array([{}, []], object), allow_pickle=True),
    ['holds Python objects', 'store numbers'],
  ),
  'fields': (lambda f: np.save(f, np.zeros(3, [('a', int)])), ['has fields']),
  'text inside': (lambda f: np.save(f, np.full((4, 3), 'a')), ['has type <U1']),
  'a number': (lambda f: np.save(f, np.array(3.0)), ['has shape [1]']),
  'NaN': (lambda f: np.save(f, np.full((4, 3), np.nan, np.float32)), ['12 values', 'NaN']),
}


@pytest.mark.parametrize('name', WRONG)
def test_a_wrong_file_is_one_line_that_says_what_to_do(tmp_path, name):
  make, words = WRONG[name]
  make(tmp_path / 'x.npy')
  refused(tmp_path / 'x.npy', *words)


def test_no_file(tmp_path):
  np.save(tmp_path / 'images.npy', BYTES)
  refused('', "data.name='npy' needs the path")
  refused(tmp_path / 'image.npy', 'there is no file', "did you mean 'images.npy'?")
  refused(tmp_path, 'is a directory', '.npy')
  refused('train=a.npy,train=b.npy', 'is not valid', 'train=FILE')
  refused(tmp_path / 'images.npy', "has only 'images'", train_split='train')


def test_a_file_that_is_cut_off_is_damaged(tmp_path):
  np.save(tmp_path / 'x.npy', BYTES)
  whole = (tmp_path / 'x.npy').read_bytes()
  for damaged in (whole[:-1], whole[:50], whole + b'0'):
    (tmp_path / 'x.npy').write_bytes(damaged)
    refused(tmp_path / 'x.npy', 'is damaged', error=errors.DamagedError)


def test_what_is_converted_is_held_against_the_memory(tmp_path, monkeypatch):
  free = npy.psutil.virtual_memory()._replace(available=100)
  monkeypatch.setattr(npy.psutil, 'virtual_memory', lambda: free)
  np.save(tmp_path / 'x.npy', BYTES.astype(np.float64))
  refused(tmp_path / 'x.npy', 'has float64', 'store it as uint8 or float32')
  for mapped in (BYTES, BYTES.astype(np.float32)):
    np.save(tmp_path / 'x.npy', mapped)
    assert len(load(tmp_path / 'x.npy').train) == 20
  wide = BYTES.astype(np.float64)
  np.save(tmp_path / 'x.npy', wide)
  free = free._replace(available=wide.nbytes - 1)
  refused(tmp_path / 'x.npy', 'has float64')
  free = free._replace(available=wide.nbytes)
  npy.open_npy(str(tmp_path / 'x.npy')).read('images')
