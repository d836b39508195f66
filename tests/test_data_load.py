"""Sources, split expressions, transformations and the declared support; oracle: NumPy."""

import pathlib

import numpy as np
import pytest
from sklearn import datasets

from vae_jax import data, errors

pytestmark = pytest.mark.math

GREY = np.random.default_rng(0).integers(0, 256, (20, 6, 5), dtype=np.uint8)


def load(name='npz', path='', **changes):
  settings = {
    'train_split': 'images[:12]',
    'test_split': 'images[12:]',
    'crop': (),
    'pad': (),
    'kind': 'auto',
    'range': (),
    'standardize': 'none',
    'scale_to_unit': False,
    'binarize': 'none',
    'seed': 0,
  }
  return data.load(name, path=str(path), **(settings | changes))


@pytest.fixture
def npz(tmp_path):
  """Returns a function that writes named arrays and returns the file's path."""

  def write(**arrays):
    path = tmp_path / 'mine.npz'
    np.savez(path, **arrays)
    return path

  return write


@pytest.fixture
def refused(npz):
  """Returns a function that gives the message with which a load is refused."""

  def message(path=None, name='npz', images=GREY, **changes):
    path = npz(images=images) if path is None else path
    with pytest.raises(errors.InputError) as caught:
      load(name, path, **changes)
    assert '\n' not in str(caught.value)
    return str(caught.value)

  return message


def test_digits_have_their_classes_and_the_checksum_that_they_had_without():
  digits = load('digits', train_split='train[:75%]', validation_split='train[75%:]',
                test_split='test')  # fmt: skip
  target = datasets.load_digits().target
  np.testing.assert_array_equal(digits.labels['test'], target[4::5])
  rest = np.delete(target, np.s_[4::5])
  assert len(digits.labels['train']) == len(digits.train)
  np.testing.assert_array_equal(
    np.concatenate([digits.labels['train'], digits.labels['validation']]), rest
  )
  assert digits.factors is None
  assert digits.sha256.startswith('ee9678f78d5ce775')


def test_digits_are_split_as_declared():
  images = datasets.load_digits().images[..., None]
  digits = load('digits', train_split='train', test_split='test')
  assert (digits.support, digits.scale, digits.dynamic) == ('unit', 1.0, False)
  assert digits.train.dtype == np.float32
  np.testing.assert_array_equal(digits.test * 16, images[4::5])
  rest = [i for i in range(len(images)) if i % 5 != 4]
  np.testing.assert_array_equal(digits.train * 16, images[rest])
  assert digits.train_fixed is digits.train
  assert digits.version.startswith('sklearn')


@pytest.mark.parametrize(
  ('expression', 'expected'),
  [
    ('a', range(10)),
    ('a[:4]', range(4)),
    ('a[4:]', range(4, 10)),
    ('a[2:5]', range(2, 5)),
    ('a[-3:]', range(7, 10)),
    ('a[:-3]', range(7)),
    ('a[:]', range(10)),
    ('a[80%:]', range(8, 10)),
    ('a[:80%]', range(8)),
    ('a[25%:55%]', range(2, 6)),  # 2.5 -> 2, 5.5 -> 6: to the closest, halves to even
    ('a[-20%:]', range(8, 10)),
    ('a+b', [*range(10), *range(20, 26)]),
    ('b[:2] + a[ 8 : ]', [20, 21, 8, 9]),
  ],
)
def test_split_expressions(npz, expression, expected):
  def rows(start, stop):
    return np.repeat(np.arange(start, stop, dtype=np.uint8)[:, None], 3, axis=1)

  path = npz(a=rows(0, 10), b=rows(20, 26))
  loaded = load('npz', path, train_split=expression, test_split='b')
  np.testing.assert_array_equal(loaded.train[:, 0], list(expected))
  np.testing.assert_array_equal(loaded.test[:, 0], range(20, 26))


@pytest.mark.parametrize(
  ('images', 'support', 'stored'),
  [
    (GREY, 'uint8', np.uint8),
    (GREY.astype(np.int64), 'uint8', np.uint8),
    (GREY > 100, 'binary', np.uint8),
    ((GREY > 100).astype(np.uint8), 'binary', np.uint8),
    ((GREY > 100).astype(np.float64), 'binary', np.uint8),
    ((GREY / 255), 'unit', np.float32),
    ((GREY / 255).astype(np.float16), 'unit', np.float32),
    ((GREY / 254), 'real', np.float32),
    ((GREY / 255 - 0.01), 'real', np.float32),
  ],
)
def test_support_is_declared_from_the_values(npz, images, support, stored):
  loaded = load('npz', npz(images=images))
  assert (loaded.support, loaded.scale) == (support, 1.0)
  assert loaded.train.dtype == loaded.test.dtype == stored
  np.testing.assert_array_equal(loaded.train[..., 0], images[:12].astype(stored))


def test_support_is_that_of_all_splits_together(npz):
  train, test = np.zeros((4, 2), np.uint8), np.full((4, 2), 7, np.uint8)
  loaded = load('npz', npz(train=train, test=test), train_split='train', test_split='test')
  assert loaded.support == 'uint8'


@pytest.mark.parametrize(
  ('shape', 'event'),
  [((20, 6), (6,)), ((20, 6, 5), (6, 5, 1)), ((20, 6, 5, 3), (6, 5, 3))],
)
def test_events_are_vectors_or_images_with_channels(npz, shape, event):
  loaded = load('npz', npz(images=np.full(shape, 7, np.uint8)))
  assert loaded.train.shape == (12, *event)
  assert loaded.test.shape == (8, *event)


def test_crop_then_pad_against_numpy(npz):
  images = np.random.default_rng(1).integers(0, 256, (20, 7, 6, 2), dtype=np.uint8)
  loaded = load('npz', npz(images=images), crop=(4, 5), pad=[9, 5])
  expected = np.zeros((20, 9, 5, 2), np.uint8)
  expected[:, 2:6, :] = images[:, 1:5, 0:5]  # odd rests go after: (7-4)//2, (6-5)//2, (9-4)//2
  np.testing.assert_array_equal(np.concatenate([loaded.train, loaded.test]), expected)


def test_scale_to_unit(npz):
  loaded = load('npz', npz(images=GREY), scale_to_unit=True)
  assert (loaded.support, loaded.scale, loaded.fixed_scale) == ('unit', 255.0, 255.0)
  np.testing.assert_array_equal(loaded.train[..., 0], GREY[:12])
  for images, support in [(GREY / 255, 'unit'), (GREY > 100, 'binary')]:
    same = load('npz', npz(images=images), scale_to_unit=True)
    assert (same.support, same.scale) == (support, 1.0)


@pytest.mark.parametrize('images', [GREY, GREY / 255])
def test_threshold_is_half_of_the_intensity(npz, images):
  loaded = load('npz', npz(images=images), binarize='threshold')
  assert (loaded.support, loaded.scale, loaded.dynamic) == ('binary', 1.0, False)
  assert loaded.train is loaded.train_fixed
  assert loaded.train.dtype == np.uint8
  binary = np.concatenate([loaded.train, loaded.test])[..., 0]
  np.testing.assert_array_equal(binary, GREY.astype(int) * 2 > 255)


def test_threshold_of_exactly_one_half_is_zero(npz):
  images = np.array([[0, 0.5, np.nextafter(np.float32(0.5), 1)]] * 2, np.float32)
  loaded = load(path=npz(a=images), train_split='a', test_split='a', binarize='threshold')
  np.testing.assert_array_equal(loaded.train, [[0, 0, 1]] * 2)


def ramp(num_examples):
  """Returns images that hold each grey level once: the intensities of the draws are k / 255."""
  return np.tile(np.arange(256, dtype=np.uint8), (2 * num_examples, 1)).reshape(-1, 16, 16)


@pytest.mark.parametrize('scale', [1, 255])
def test_static_draw_is_fixed_and_has_the_intensity(npz, scale):
  images = ramp(2000) if scale == 1 else (ramp(2000) / 255).astype(np.float32)
  path = npz(images=images)
  splits = {'train_split': 'images[:50%]', 'test_split': 'images[50%:]'}
  first = load('npz', path, binarize='static', **splits)
  assert (first.support, first.scale, first.dynamic) == ('binary', 1.0, False)
  assert first.train is first.train_fixed
  assert first.train.dtype == first.test.dtype == np.uint8
  p = np.arange(256).reshape(16, 16, 1) / 255
  stderr = np.sqrt(p * (1 - p) / 2000)
  for draw in (first.train, first.test):
    assert set(np.unique(draw)) == {0, 1}
    assert np.all(np.abs(draw.mean(axis=0) - p) <= 5 * stderr)  # exact at 0 and 1
  again = load('npz', path, binarize='static', **splits)
  np.testing.assert_array_equal(first.train, again.train)
  np.testing.assert_array_equal(first.test, again.test)
  other = load('npz', path, binarize='static', seed=1, **splits)
  assert not np.array_equal(first.train, other.train)
  assert not np.array_equal(first.test, other.test)
  assert not np.array_equal(first.train, first.test), 'one stream for train and test'


def test_dynamic_keeps_intensities_for_training_and_fixes_the_rest(npz):
  path = npz(images=GREY)
  first, again = (load('npz', path, binarize='dynamic') for _ in range(2))
  assert (first.support, first.scale, first.fixed_scale) == ('binary', 255.0, 1.0)
  assert first.dynamic
  np.testing.assert_array_equal(first.train[..., 0], GREY[:12])
  static = load('npz', path, binarize='static')
  for dataset in (first, again):
    np.testing.assert_array_equal(dataset.test, static.test)
    np.testing.assert_array_equal(dataset.train_fixed, static.train)
  unit = load('npz', npz(images=GREY / 255), binarize='dynamic')
  assert (unit.scale, unit.train.dtype, unit.dynamic) == (1.0, np.float32, True)


def test_the_draw_of_a_large_set_does_not_depend_on_the_blocks(npz):
  """A prefix of the test set keeps its draw: the stream is consumed in the order of examples."""
  images = np.full((3000, 64, 64), 128, np.uint8)  # several blocks
  path = npz(images=images)
  whole = load('npz', path, binarize='static', train_split='images[:1]', test_split='images')
  part = load('npz', path, binarize='static', train_split='images[:1]', test_split='images[:2000]')
  np.testing.assert_array_equal(whole.test[:2000], part.test)
  assert abs(whole.test.mean() - 128 / 255) < 5 * 0.5 / np.sqrt(images.size)


def test_sha256_is_that_of_the_decoded_arrays(npz):
  first = load('npz', npz(images=GREY))
  sliced = load('npz', npz(images=GREY), test_split='images[:3]', binarize='static', crop=(2, 2))
  assert first.sha256 == sliced.sha256
  assert len(first.sha256) == 64
  changed = GREY.copy()
  changed[3, 2, 1] ^= 1
  assert load('npz', npz(images=changed)).sha256 != first.sha256
  assert load('npz', npz(images=GREY[:, :, ::-1])).sha256 != first.sha256
  assert load('npz', npz(images=GREY.reshape(20, 5, 6))).sha256 != first.sha256


@pytest.mark.parametrize(
  ('changes', 'parts'),
  [
    ({'train_split': 'image'}, ["data.train_split='image'", "did you mean 'images'?"]),
    ({'test_split': 'zzz'}, ["data.test_split='zzz'", "only 'images'"]),
    ({'train_split': 'images[80%'}, ["data.train_split='images[80%'", "'train[80%:]'"]),
    ({'train_split': ''}, ["data.train_split=''", "'train+test'"]),
    ({'train_split': 'images[5:5]'}, ["data.train_split='images[5:5]'", 'empty']),
    ({'test_split': 'images+images[9:3]'}, ['data.test_split', '9:3', 'empty']),
    ({'test_split': 'images[:21]'}, ["data.test_split='images[:21]'", '20 examples', '-20 to 20']),
    ({'test_split': 'images[120%:]'}, ["data.test_split='images[120%:]'", '-100% to 100%']),
    ({'crop': (7, 5)}, ['data.crop=(7, 5)', '(6, 5)', 'data.pad']),
    ({'pad': (6, 4)}, ['data.pad=(6, 4)', '(6, 5)', 'data.crop']),
    ({'crop': (4,)}, ['data.crop=(4,)', '(height, width)']),
    ({'pad': (0, 9)}, ['data.pad=(0, 9)', '(height, width)']),
    ({'images': np.ones((20, 6)), 'crop': (2, 2)}, ['data.crop=(2, 2)', 'vectors', '()']),
    ({'binarize': 'dynmaic'}, ["data.binarize='dynmaic'", "did you mean 'dynamic'?"]),
    ({'binarize': 'static', 'images': GREY > 9}, ["data.binarize='static'", 'binary already']),
    ({'binarize': 'dynamic', 'images': GREY / 9}, ["data.binarize='dynamic'", "='none'"]),
    ({'scale_to_unit': True, 'images': GREY / 9}, ['data.scale_to_unit=True', '=False']),
    ({'seed': -1}, ['data.seed=-1', 'from 0']),
    ({'images': GREY.astype(int) * 2}, ['data.path', '0 to 510', "data.kind='real'"]),
    ({'images': GREY.astype(int) - 9}, ['data.path', '-9 to 246', "data.kind='real'"]),
    ({'images': np.array(['a', 'b'])[:, None]}, ['data.path', "'images'", '<U1']),
    ({'images': np.ones((20, 3), complex)}, ['data.path', "'images'", 'complex128']),
    ({'images': np.arange(20)}, ['data.path', "'images'", '[20]', '[n, D]']),
    ({'images': np.ones((0, 3))}, ['data.path', "'images'", '[0, 3]']),
    ({'images': np.array([[1, None]])}, ['data.path', "'images'", 'Python objects']),
    ({'images': np.array([[1, np.nan], [-np.inf, 1e300]])}, ['data.path', "'images'", '3 values']),
    ({'path': ''}, ["data.path=''", 'npz']),
    (
      {'path': 'absent.npz'},
      ["data.path='absent.npz'", str(pathlib.Path('absent.npz').absolute())],
    ),
    ({'name': 'nqz', 'path': ''}, ["data.name='nqz'", "did you mean 'npz'?"]),
    ({'name': 'csv', 'path': ''}, ["data.name='csv'", "did you mean 'table'?"]),
    ({'name': 'ImageFolder', 'path': ''}, ["data.name='ImageFolder'", "did you mean 'folder'?"]),
    ({'name': 'DIGITS', 'path': ''}, ["data.name='DIGITS'", "did you mean 'digits'?"]),
    (
      {'name': '../x', 'path': ''},
      ["data.name='../x'", 'valid are digits, digit_counts, shapes, '],
    ),
  ],
)
def test_bad_input_is_one_line_that_names_the_key(refused, changes, parts):
  message = refused(**changes)
  for part in parts:
    assert part in message, message


def test_splits_of_different_types_are_refused(npz, refused):
  path = npz(train=GREY, test=GREY / 255)
  message = refused(path=path, train_split='train', test_split='test')
  assert 'uint8 [6, 5, 1]' in message
  assert 'float32 [6, 5, 1]' in message


def test_files_that_are_not_npz_are_refused(tmp_path, refused):
  np.save(tmp_path / 'a.npy', GREY)
  (tmp_path / 'b.npz').write_text('not an archive')
  (tmp_path / 'c.npz').touch()
  none = 'is not an .npz file; write one with np.savez(path, train=..., test=...)'
  for name, words in {
    'a.npy': "is one .npy array; set data.name='npy', or np.savez(path, images=np.load(...)) makes "
    'an .npz',
    'b.npz': none,
    'c.npz': none,
  }.items():
    assert refused(path=tmp_path / name) == f'data.path={str(tmp_path / name)!r} {words}'
  assert "is a directory; name the .npz file in it, or of images set data.name='folder'" in refused(
    path=tmp_path
  )


def truncate(path):
  path.write_bytes(path.read_bytes()[:300])


def flip_value(path):
  content = bytearray(path.read_bytes())
  content[500] ^= 1
  path.write_bytes(content)


def garble(path):
  content = bytearray(path.read_bytes())
  content[200:260] = b'\xff' * 60
  path.write_bytes(content)


def flip_header(path):
  content = path.read_bytes()
  path.write_bytes(content.replace(b'NUMPY', b'MUMPY'))


@pytest.mark.parametrize(
  ('save', 'damage'),
  [
    (np.savez, truncate),
    (np.savez, flip_value),
    (np.savez, flip_header),
    (np.savez_compressed, truncate),
    (np.savez_compressed, flip_value),
    (np.savez_compressed, garble),
  ],
)
def test_damaged_npz(tmp_path, save, damage):
  path = tmp_path / 'mine.npz'
  save(path, images=GREY)
  damage(path)
  with pytest.raises(errors.DamagedError, match=r'mine\.npz.* damaged') as caught:
    load('npz', path)
  assert '\n' not in str(caught.value)
