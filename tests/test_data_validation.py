"""The validation split: which images, which draw, what is said of it, and what is refused."""

import numpy as np
import pytest
from conftest import small_config

from vae_jax import config as settings
from vae_jax import data, errors, study
from vae_jax.data import transforms
from vae_jax.study import announcing

pytestmark = pytest.mark.math

IMAGES = np.random.default_rng(0).integers(0, 256, (100, 4, 3), dtype=np.uint8)
SHARES = {'train': IMAGES[:60], 'validation': IMAGES[60:75], 'test': IMAGES[75:]}


@pytest.fixture(scope='module')
def path(tmp_path_factory):
  path = tmp_path_factory.mktemp('data') / 'mine.npz'
  np.savez(path, **SHARES, all=IMAGES)
  return path


def load(path, **changes):
  section = settings.base().to_dict()['data'] | dict(name='npz', path=str(path))
  return data.load(**section | changes)


def test_a_validation_split_is_that_of_the_file(path):
  found = load(path, validation_split='validation')
  for name, images in SHARES.items():
    np.testing.assert_array_equal(found.split(name)[..., 0], images)
  assert found.chosen_on == 'validation'
  sliced = load(path, train_split='all[:60]', validation_split='all[60:75]', test_split='all[75:]')
  np.testing.assert_array_equal(sliced.validation, found.validation)


def test_without_one_everything_is_as_it_was(path):
  found = load(path)
  assert found.validation.shape == (0, 4, 3, 1)
  assert found.chosen_on == 'test'
  # The sha256 of a stored run is that of the splits that it uses.
  assert found.sha256 != load(path, validation_split='validation').sha256
  assert found.sha256 == load(path, validation_split='train[:5]').sha256


@pytest.mark.parametrize('binarize', ['dynamic', 'static'])
def test_its_draw_is_its_own_and_leaves_those_of_the_others_as_they_were(path, binarize):
  """Streams 0, 1 and 2 of the data seed."""
  found = load(path, validation_split='validation', binarize=binarize, seed=3)
  without = load(path, binarize=binarize, seed=3)
  for stream, name in enumerate(('train', 'test', 'validation')):
    generator = np.random.default_rng((3, stream))
    expected = transforms.binarized(SHARES[name][..., None], 255.0, generator)
    np.testing.assert_array_equal(found.split(name), expected)
    if name != 'validation':
      np.testing.assert_array_equal(without.split(name), expected)
  np.testing.assert_array_equal(found.train, without.train)
  assert without.validation.shape == (0, 4, 3, 1)


def test_factors_are_those_of_the_split():
  sliced = dict(train_split='train[:100]', test_split='test[:50]')
  found = load('', name='shapes', validation_split='train[100:130]', **sliced)
  whole = load('', name='shapes')
  np.testing.assert_array_equal(found.factors.validation, whole.factors.train[100:130])
  np.testing.assert_array_equal(found.factors.test, whole.factors.test[:50])
  assert len(whole.factors.validation) == 0


def test_shift_and_spread_are_of_the_training_split_alone(path):
  changes = dict(standardize='per_pixel', kind='real', scale_to_unit=False)
  found = load(path, validation_split='validation', **changes)
  np.testing.assert_allclose(found.standard.shift[..., 0], SHARES['train'].mean(axis=0), rtol=1e-6)


@pytest.mark.parametrize(
  ('names', 'validation', 'advised'),
  [
    (('images',), '', ('images[:80%]', 'images[80%:]')),
    (('images',), 'train[75%:]', ('images[:70%]', 'images[70%:85%]', 'images[85%:]')),
    (('a', 'b'), '', ('a', 'b')),
    (('a', 'b'), 'train[75%:]', ('a[:80%]', 'a[80%:]', 'b')),
    (('x_train', 'x_test'), '', ('x_train', 'x_test')),
    (
      ('x_test', 'x_train'),
      'train[75%:]+test[:3]',
      ('x_train', 'x_train[75%:]+x_test[:3]', 'x_test'),
    ),
  ],
)
def test_all_splits_that_a_file_could_have_are_advised_and_taken(
  tmp_path, names, validation, advised
):
  np.savez(tmp_path / 'mine.npz', **{name: np.eye(40, dtype=np.uint8) for name in names})
  keys = ['train_split', *['validation_split'][: len(advised) - 2], 'test_split']
  with pytest.raises(errors.InputError) as caught:
    load(tmp_path / 'mine.npz', train_split='train', validation_split=validation, test_split='test')
  advice = ', '.join(f'data.{key}={text!r}' for key, text in zip(keys, advised, strict=True))
  assert str(caught.value).endswith(f'; set {" and ".join(advice.rsplit(", ", 1))}')
  found = load(tmp_path / 'mine.npz', **dict(zip(keys, advised, strict=True)))
  assert len(found.train) and len(found.test)
  assert bool(len(found.validation)) == (len(advised) == 3)


@pytest.mark.parametrize(
  ('expression', 'words'),
  [
    ('validaton', ("data.validation_split='validaton': ", "; did you mean 'validation'?")),
    ('held_out', ("data.validation_split='held_out': ", "; set data.validation_split='' for none")),
    ('all[60:60]', ("data.validation_split='all[60:60]'", 'the slice 60:60 of it is empty')),
    ('all[60:101]', ("data.validation_split='all[60:101]'", '101 is outside -100 to 100')),
    ('all[', ("data.validation_split='all[' is not a split",)),
    (('validation',), ('data.validation_split=',)),
  ],
)
def test_what_is_no_split_is_refused_in_one_line(path, expression, words):
  config = small_config()
  config['data'] |= dict(name='npz', path=str(path), train_split='train', test_split='test')
  config['data']['validation_split'] = expression
  with pytest.raises(errors.InputError) as caught:
    study.from_config(config)
  (line,) = str(caught.value).splitlines()
  for part in words:
    assert part in line


def said_of(path, **changes):
  section = settings.base().to_dict()['data'] | dict(name='npz', path=str(path), **changes)
  keys = ('train_split', 'validation_split', 'test_split', 'crop', 'pad', 'kind', 'range')
  stored = data.read(data.open_source(section), **{key: section[key] for key in keys})
  return ' / '.join(data.oddities(stored, *data.describe(stored)))


@pytest.mark.parametrize(
  ('splits', 'words'),
  [
    (('train', 'validation', 'test'), ''),
    (('train', 'train[:9]', 'test'), '9 of 9 validation examples are in the training split'),
    (('train', 'all[60:80]', 'test'), '5 of 25 test examples are in the validation split'),
    (('train', 'test', 'test'), '25 of 25 test examples are in the validation split'),
  ],
)
def test_an_overlap_is_said(path, splits, words):
  keys = ('train_split', 'validation_split', 'test_split')
  said = said_of(path, **dict(zip(keys, splits, strict=True)))
  assert words in said
  assert bool(words) == bool(said)


def test_a_line_is_said_of_each_split(path, caplog):
  caplog.set_level('INFO')
  config = small_config()
  config['data'] |= dict(name='npz', path=str(path), train_split='train', test_split='test')
  config['data'] |= dict(validation_split='validation', binarize='threshold')
  built = study.from_config(config)
  lines = [line for line in caplog.messages if ': npz, ' in line or ': mine.npz' in line]
  assert [line.partition(':')[0] for line in lines] == ['train', 'validation', 'test']
  assert [announcing._BINARIZED['threshold'] in line for line in lines] == [True, False, False]
  assert built.chosen_on == 'validation'
  said = built.sampling()
  assert {name: entry['split'] for name, entry in said.items() if name != 'seed'} == {
    'train_images': 'train',
    'validation_images': 'validation',
    'test_images': 'test',
    'nll_images': 'test',
    'validation/nll_images': 'validation',
    'aggregate_images': 'test',
    'train/aggregate_images': 'train',
    'factor_images': 'test',
  }
  assert [said[name]['of'] for name in ('validation_images', 'test_images')] == [15, 25]
