"""What is said of the data at the start: figures by NumPy, alarms by construction."""

import math
import time
import types

import numpy as np
import pytest
from conftest import small_config
from scipy import stats

from vae_jax import data, densities, errors, placement, study
from vae_jax.data import description, kinds
from vae_jax.programs import reviews
from vae_jax.study import announcing, fitting

pytestmark = pytest.mark.math

RNG = np.random.default_rng(0)
SECONDS = 1.7e9 + 1e3 * RNG.normal(size=(60, 6))
PHOTOS = RNG.integers(20, 236, (60, 6, 5, 3), dtype=np.uint8)
DARKEST, BRIGHTEST = int(PHOTOS[:40].min()), int(PHOTOS[:40].max())


def stored(tmp_path, train, test=None, split=('train', 'test'), kind='auto', range=()):
  np.savez(tmp_path / 'mine.npz', train=train, test=train if test is None else test)
  source = data.open_source({'name': 'npz', 'path': str(tmp_path / 'mine.npz')})
  return data.read(source, *split, (), (), kind, range)


def alarms(*arguments, **keywords):
  of = stored(*arguments, **keywords)
  return ' / '.join(data.oddities(of, *data.describe(of)))


def test_a_split_is_described_as_numpy_counts_it(tmp_path):
  train = RNG.integers(0, 200, (50, 4, 3), dtype=np.uint8)
  train[:, 1] = 9  # three constant pixels
  train[40:44] = train[3]  # four repeated
  test = RNG.integers(0, 200, (20, 4, 3), dtype=np.uint8)
  test[5:8] = train[7:10]
  one, two = data.describe(stored(tmp_path, train, test))
  assert one == description.Split(
    'train', (50, 4, 3, 1), 'uint8', train.min(), train.mean(), train.max(), 3, 4, None
  )
  assert (two.shape, two.num_repeated, two.num_shared) == ((20, 4, 3, 1), 0, 3)
  of = stored(tmp_path, train, test)
  said = data.line(one, of, 'levels')
  assert f'50 x [4, 3, 1] uint8, {train.min()} to {train.max()}, mean {train.mean():.4g}' in said
  ends = f'{min(train.min(), test.min())} to {max(train.max(), test.max())}'
  assert f'image (uint8 from {ends}), seen as levels; 3 of 12 values constant, 4 repeated' in said
  assert '3 of them in train' in data.line(two, of, '')


def test_sixty_thousand_images_are_described_in_a_moment(tmp_path):
  images = RNG.integers(0, 256, (60_000, 100), dtype=np.uint8)  # an eighth of MNIST
  of = stored(tmp_path, images, images[:10])
  began = time.process_time()
  assert data.describe(of)[1].num_shared == 10
  assert time.process_time() - began < 1


def test_large_data_are_not_hashed(tmp_path, monkeypatch):
  monkeypatch.setattr(description, '_MOST_HASHED', 100)
  of = stored(tmp_path, PHOTOS)
  split = data.describe(of)[0]
  assert (split.num_repeated, split.num_shared) == (None, None)
  assert 'duplicates not counted' in data.line(split, of, 'unit')


def test_what_is_shared_is_counted_in_examples_of_the_test_split(tmp_path):
  """Each time one stands there: three of six, though they are two images of training."""
  test = np.concatenate([PHOTOS[[0, 0, 7]], PHOTOS[50:53]])
  train = PHOTOS[[0, 0, 0, *range(30)]]
  first, second = data.describe(stored(tmp_path, train, test))
  assert (first.num_repeated, second.num_repeated, second.num_shared) == (3, 1, 3)


@pytest.mark.parametrize(
  ('train', 'test', 'words'),
  [
    (PHOTOS, PHOTOS[:30], '30 of 30 test examples are in the training split'),
    (PHOTOS[:40], PHOTOS[40:], ''),
    (PHOTOS[:40] / 255, PHOTOS[40:] / 255 / 255, 'the splits differ in range'),
    (PHOTOS[:40] * 1.0, PHOTOS[40:] / 255, 'the splits differ in range'),
    (PHOTOS[:40] / 255 - 2, PHOTOS[40:] / 255, 'the splits differ in range'),
    (PHOTOS[:40] // 2, PHOTOS[40:] // 2, 'the largest value is 117 of 255'),
    (PHOTOS[:40] / 600, PHOTOS[40:] / 600, 'set data.range=(0, 0.391667)'),
    (np.full((40, 6), 0.7), np.full((20, 6), 0.6), 'all training examples are the same'),
    (SECONDS[:40], SECONDS[40:], 'than float32 resolves'),
  ],
)
def test_what_is_odd_is_said(tmp_path, train, test, words):
  said = alarms(tmp_path, train, test)
  assert words in said
  assert bool(said) == bool(words)


def by_class(seed):
  """Images of equal mean in five classes, sorted; no pixel sum tells them apart."""
  rng = np.random.default_rng(seed)
  patterns = rng.permuted(np.repeat([0.2, 0.8], 20)[None].repeat(5, 0), axis=1)
  return np.clip(np.repeat(patterns, 40, axis=0) + 0.05 * rng.normal(size=(200, 40)), 0, 1)


@pytest.mark.parametrize('seed', range(5))
def test_files_in_an_order_are_told_from_shuffled_ones(seed):
  rng = np.random.default_rng(seed)
  ordered = by_class(seed)
  assert data.description.neighbours(ordered) > 0.3
  assert data.description.neighbours(rng.permutation(ordered)) == 0.0
  video = rng.normal(size=(300, 30)).cumsum(0)
  assert data.description.neighbours(video) > 0.8
  assert data.description.neighbours(np.ones((50, 3))) == 0.0
  assert data.description.neighbours(video[:1]) == 0.0


def test_an_order_matters_where_a_file_is_sliced(tmp_path):
  halves = ('train[:50%]', 'train[50%:]')
  assert 'the file is in an order' in alarms(tmp_path, by_class(0), split=halves)
  assert 'order' not in alarms(tmp_path, by_class(0), by_class(1))
  assert 'order' not in alarms(tmp_path, RNG.permutation(by_class(0)), split=halves)


FLAT = PHOTOS.reshape(60, -1)


@pytest.mark.parametrize(
  ('array', 'kind', 'expected', 'support'),
  [
    (PHOTOS, 'auto', 'image', 'uint8'),
    (FLAT, 'auto', 'image', 'uint8'),
    (PHOTOS.astype(np.int32), 'auto', 'image', 'uint8'),
    (FLAT.astype(np.int32), 'auto', 'count', 'count'),
    (np.where(FLAT.max() == FLAT, 255, FLAT).astype(np.int32), 'auto', 'image', 'uint8'),
    (FLAT.astype(np.int32), 'image', 'image', 'uint8'),
    (FLAT.astype(np.int32), 'real', 'real', 'real'),
    (FLAT, 'count', 'count', 'count'),
    (FLAT.astype(np.int32) * 9, 'auto', 'count', 'count'),
    (FLAT.astype(np.int32) - 99, 'auto', 'real', 'integers'),
    (PHOTOS.astype(np.int32) * 9, 'auto', 'image', 'integers'),
    (PHOTOS * 1.0, 'auto', 'real', 'real'),
    (PHOTOS * 1.0, 'image', 'image', 'uint8'),
    (PHOTOS / 255, 'auto', 'image', 'unit'),
    (PHOTOS / 255, 'real', 'real', 'real'),
    (PHOTOS > 99, 'auto', 'binary', 'binary'),
    (PHOTOS > 99, 'real', 'real', 'real'),
    ((PHOTOS > 99) * 1.0, 'binary', 'binary', 'binary'),
  ],
)
def test_what_values_are_goes_by_type_shape_range_and_declaration(
  tmp_path, array, kind, expected, support
):
  found = stored(tmp_path, array, kind=kind)
  assert (found.kind, found.support) == (expected, support)
  if support == 'integers':
    with pytest.raises(errors.InputError, match=r"set data\.kind='real'"):
      data.prepare(found, False, 'none', 'none', 0)
  else:
    np.testing.assert_allclose(found.train.reshape(array.shape), array.astype(float), rtol=1e-6)


def test_what_is_missing_has_no_part_in_what_values_are():
  """0 and 1 with gaps are binary, and stay floats: bytes have no NaN."""
  x = np.float32([[0, 1, np.nan], [1, np.nan, 0], [0, 1, 1]])
  found = kinds.known({'x': kinds.canonical(x, 'x', 'left_out')}, [x.dtype], 'auto', (), 'x')
  assert (found.kind, found.support) == ('binary', 'binary')
  np.testing.assert_array_equal(found.arrays['x'], x)
  for rows, columns, words in (
    (1, slice(None), 'all of example 1 is missing everywhere'),
    (slice(None), 2, r'value \[2\] of an example is missing everywhere'),
  ):
    bare = x.copy()
    bare[rows, columns] = np.nan
    with pytest.raises(errors.InputError, match=words):
      kinds.canonical(bare, 'x', 'left_out')


def test_a_signal_has_one_axis_and_channels():
  shapes = {(4, 9): (4, 9, 1), (4, 9, 2): (4, 9, 2)}
  for stored, seen in shapes.items():
    assert kinds.canonical(np.zeros(stored), 'x', kind='signal').shape == seen
  assert kinds.canonical(np.zeros((4, 9, 2)), 'x').shape == (4, 9, 2, 1)  # images
  with pytest.raises(errors.InputError, match=r"data.kind='signal': x has shape \[4, 9, 2, 1\]"):
    kinds.canonical(np.zeros((4, 9, 2, 1)), 'x', kind='signal')


@pytest.mark.parametrize('dtype', [np.uint8, np.int64, np.float64])
def test_counts_lie_on_the_device_as_they_are(tmp_path, dtype):
  counts = RNG.poisson(3.0, (60, 7)).astype(dtype)
  counts[0, 0] = 255 if dtype == np.uint8 else 2**24
  of = stored(tmp_path, counts, kind='count')
  dataset = data.prepare(of, True, 'none', 'none', 0)
  assert dataset.support == 'count'
  assert dataset.scale == 1
  assert dataset.train.dtype == (np.uint8 if dtype == np.uint8 else np.float32)
  np.testing.assert_array_equal(dataset.train.astype(np.int64), counts)
  with pytest.raises(errors.InputError, match=r"data\.binarize='dynamic'"):
    data.prepare(of, False, 'dynamic', 'none', 0)


@pytest.mark.parametrize(
  ('array', 'words'),
  [
    (np.array([[0.5, 1.0]]), 'not whole numbers from 0'),
    (np.array([[-1, 3000]]), 'not whole numbers from 0'),
    (np.array([[0, 2**24 + 1]]), 'float32 tells whole numbers apart up to 16,777,216; set data.k'),
  ],
)
def test_what_cannot_be_counts_is_refused(tmp_path, array, words):
  with pytest.raises(errors.InputError, match=words):
    stored(tmp_path, array, kind='count')


@pytest.mark.parametrize(
  ('array', 'changes', 'words'),
  [
    (PHOTOS, {'kind': 'binary'}, 'not 0 and 1 alone'),
    (PHOTOS, {'range': (0, 100)}, 'lie outside'),
    (PHOTOS, {'range': (9, 2)}, 'nearest: (2.0, 9.0)'),
    (PHOTOS, {'range': (0, 255), 'kind': 'real'}, 'set data.range=()'),
  ],
)
def test_a_false_declaration_is_refused(tmp_path, array, changes, words):
  with pytest.raises(errors.InputError) as caught:
    stored(tmp_path, array, **changes)
  assert words in str(caught.value)


@pytest.mark.parametrize(
  ('array', 'settings', 'expected'),
  [
    (PHOTOS, (False, 'none', 'none'), (0, 255)),
    (PHOTOS, (True, 'none', 'none'), (0, 1)),
    (PHOTOS, (True, 'none', 'all'), (0, 1)),
    (PHOTOS, (False, 'none', 'all'), (0, 255)),
    (PHOTOS, (True, 'dynamic', 'none'), (0, 1)),
    (PHOTOS / 300, (False, 'none', 'none'), (0, 1)),
    (
      PHOTOS - 300.0,
      (False, 'none', 'none'),
      (int(PHOTOS[:40].min()) - 300, int(PHOTOS[:40].max()) - 300),
    ),
  ],
)
def test_pictures_show_the_range_of_the_data_set(tmp_path, monkeypatch, array, settings, expected):
  """The very bytes come back, whichever images are shown: [179, 66, 48] is [179, 66, 48]."""
  array = array.copy()
  if array.min() < 0:
    array[41] += 99  # brighter than any training image: clipped
  dataset = data.prepare(stored(tmp_path, array[:40], array[40:]), *settings, 0)
  assert dataset.range == expected
  if dataset.support == 'binary':
    return
  names = 'reconstructions', 'samples', 'traversals', 'units', 'interpolations'
  made = lambda x: (dict.fromkeys(names, x[None, :3]), x[None, :3, :2])  # noqa: E731
  program = types.SimpleNamespace(program=lambda *args: made(args[-1]))
  monkeypatch.setattr(reviews, 'lanewise', lambda *args, **options: program)
  pictures = reviews.make_pictures(
    None,
    reviews.Shown(dataset.test[:3], dataset.test[3:]),
    dataset.fixed_scale,
    dataset.range,
    8,
    placement.of_width(1, 1),
  )
  shown = pictures(*[np.zeros(1)] * 3)
  black, white = expected if array.min() < 0 else (0, 255 if array.max() > 1 else 1)
  levels = np.round(255 * (array[40:43] - np.float64(black)) / (np.float64(white) - black))
  levels = np.clip(levels, 0, 255)
  assert np.abs(shown.originals - levels).max() <= (0 if array.dtype == np.uint8 else 1)
  np.testing.assert_array_equal(shown.reconstructions[0], shown.originals)


def announced(tmp_path, caplog, array, **sections):
  np.savez(tmp_path / 'mine.npz', train=array[:40], test=array[40:])
  config = small_config()
  config['data'] |= dict(name='npz', path=str(tmp_path / 'mine.npz'))
  for name, changes in sections.items():
    config[name] |= changes
  with caplog.at_level('INFO'):
    study.from_config(config)
  return '\n'.join(record.getMessage() for record in caplog.records)


REAL = dict(binarize='none', scale_to_unit=False)


@pytest.mark.parametrize(
  ('array', 'sections', 'words'),
  [
    (PHOTOS, {}, 'makes 0 and 1 of colours; to model the values, set'),
    (PHOTOS[..., 0], {}, 'makes 0 and 1 of greys'),
    ((PHOTOS[..., 0] > 99) * 0.9 + 0.05, {}, ''),
    (PHOTOS[..., :2], dict(data=dict(binarize='none')) | dict(
      likelihood=dict(name='gaussian')), 'images of 2 channels: pictures show the first alone'),
    (PHOTOS * 1.0, dict(data=REAL, likelihood=dict(name='gaussian')),
     "values from 20 to 235 are far from the size 1"),
    (PHOTOS * 1.0, dict(data=REAL | dict(standardize='all'), likelihood=dict(name='gaussian')), ''),
  ],
)  # fmt: skip
def test_what_is_odd_under_a_config_is_said(tmp_path, caplog, array, sections, words):
  said = announced(tmp_path, caplog, array, **sections)
  assert words in said
  warned = [r for r in caplog.records if r.levelname == 'WARNING']
  assert bool(warned) == bool(words), said
  assert said.count('\ntrain: ') + said.startswith('train: ') == 1
  assert said.count('test: npz') == 1


def test_a_gaussian_on_the_unit_interval_says_what_lies_outside(tmp_path, caplog):
  sections = dict(data=dict(binarize='none'), likelihood=dict(name='gaussian'))
  said = announced(tmp_path, caplog, PHOTOS, **sections)
  lost = -90 * np.log(stats.norm(0.5, 1).cdf(1) - stats.norm(0.5, 1).cdf(0))
  assert f'(of {lost:,.0f} nats at least)' in said
  of_scale_one = densities.gaussian(scale='fixed', initial_scale=1.0).lost_on_unit
  assert '983 nats' in announcing._beyond_unit(of_scale_one, 1024)
  # Of all means, one half loses the least.
  means = np.linspace(0, 1, 101)
  outside = -np.log(stats.norm(means, 1).cdf(1) - stats.norm(means, 1).cdf(0))
  assert outside.argmin() == 50
  assert 1024 * outside.min() == pytest.approx(983, abs=0.5)
  assert math.isfinite(outside.max())


@pytest.mark.parametrize('largest', [1e30, 3e38])
def test_what_float32_cannot_square_is_refused_or_standardised(tmp_path, caplog, largest):
  array = RNG.uniform(-largest, largest, (60, 5))
  sections = dict(data=REAL, likelihood=dict(name='gaussian'))
  with pytest.raises(errors.InputError, match=r"beyond float32; set data\.standardize='per_pixel'"):
    announced(tmp_path, caplog, array, **sections)
  sections['data'] = REAL | dict(standardize='per_pixel')
  announced(tmp_path, caplog, array, **sections)
  of = data.prepare(stored(tmp_path, array), False, 'none', 'per_pixel', 0)
  x = (of.train - of.standard.shift) / of.standard.spread
  assert np.isfinite(x).all()
  assert np.abs(x.std(0) - 1).max() < 1e-3


@pytest.mark.parametrize('scaled', [True, False])
def test_a_declared_range_is_seen_from_0_to_1_whatever_else_is_set(tmp_path, scaled):
  of = data.prepare(stored(tmp_path, PHOTOS, range=(0, 255)), scaled, 'none', 'none', 0)
  assert (of.support, of.scale, of.levels) == ('unit', 255.0, 255.0)
  other = data.prepare(stored(tmp_path, PHOTOS, range=(0, 240)), scaled, 'none', 'none', 0)
  assert (other.support, other.scale, other.levels) == ('unit', 240.0, None)


@pytest.mark.parametrize(
  ('count', 'said'),
  [(1, False), (2, True)],  # more than one in a hundred
)
def test_a_few_shared_examples_are_chance(tmp_path, count, said):
  images = np.random.default_rng(1).integers(0, 256, (220, 5), dtype=np.uint8)
  images[120 : 120 + count] = images[:count]
  found = alarms(tmp_path, images[:120], images[120:])
  assert (f'{count} of 100 test examples are in the training split' in found) == said


@pytest.mark.parametrize(
  ('factor', 'shift', 'size', 'said'),
  [
    (1.9, 0.0, 20, False),
    (2.1, 0.0, 20, True),
    (1.0, 0.4, 20, False),
    (1.0, 0.6, 20, True),
    (2.1, 0.6, 9, False),  # of so few the range says nothing
  ],
)
def test_ranges_differ_from_twice_the_span_on_or_half_a_span_apart(
  tmp_path, factor, shift, size, said
):
  train = np.random.default_rng(2).uniform(0, 1, (50, 6))
  train[0], train[1] = 0, 1
  test = train[:size] * factor + shift - 3
  found = alarms(tmp_path, train - 3, test)
  assert ('the splits differ in range' in found) == said


def test_what_is_dark_in_one_split_alone_has_a_white(tmp_path):
  for train, test in ((PHOTOS[:40] // 2, PHOTOS[40:]), (PHOTOS[:40], PHOTOS[40:] // 2)):
    assert 'the largest value is' not in alarms(tmp_path, train, test)


def test_grey_is_measured_between_the_black_and_the_white_that_are_declared(tmp_path):
  x = RNG.integers(0, 16, (60, 6, 5, 1), dtype=np.uint8)
  of = stored(tmp_path, x, range=(0, 15))
  assert data.greyness(of) == pytest.approx(np.mean(4 * (x / 15) * (1 - x / 15)))
  assert data.greyness(stored(tmp_path, 15 * (x > 7), range=(0, 15))) == 0


@pytest.mark.parametrize(('outside', 'is_taken'), [(0.0009, True), (0.0011, False)])
@pytest.mark.parametrize('sign', [-1, 1])
def test_what_resizing_leaves_outside_of_a_declared_range_is_clipped(
  tmp_path, outside, is_taken, sign
):
  """A thousandth of the range, below black or above white: here from 2 to 4."""
  x = RNG.uniform(2, 4, (60, 6, 5, 1))
  x[3, 2, 1] = (2 if sign < 0 else 4) + sign * 2 * outside
  if not is_taken:
    with pytest.raises(errors.InputError, match=r'2 values of .* lie outside'):
      stored(tmp_path, x, range=(2, 4))
    return
  of = stored(tmp_path, x, range=(2, 4))
  np.testing.assert_allclose(of.train, np.clip((x - 2) / 2, 0, 1), atol=1e-6)
  assert '2 values' in of.reason  # it stands in either split


@pytest.mark.parametrize(
  ('types', 'support'),
  [
    ((np.uint8, np.uint8), 'uint8'),
    ((np.uint16, np.uint16), 'count'),
    ((np.uint8, np.int64), 'count'),
    ((np.int64, np.uint8), 'count'),
  ],
)
def test_vectors_are_bytes_where_every_split_is_stored_in_bytes(tmp_path, types, support):
  train, test = (RNG.integers(0, 200, (30, 5)).astype(dtype) for dtype in types)
  assert stored(tmp_path, train, test).support == support


@pytest.mark.parametrize(('largest', 'dark'), [(15, True), (17, True), (18, False), (60, False)])
def test_greys_of_four_bits_in_bytes_are_dark_and_a_dim_photograph_is_not(
  tmp_path, config, largest, dark
):
  """Up to a fifteenth of white, 17 of 255; the warning of a distant maximum goes further."""
  x = RNG.integers(0, largest + 1, (60, 6, 5, 1), dtype=np.uint8)
  x[:, 0, 0] = largest
  assert fitting.is_dark(config, densities.bernoulli(), stored(tmp_path, x)) == dark
