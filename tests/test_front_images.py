"""Images at the front door pass the transforms of training; `data.prepare` is the oracle."""

import types

import numpy as np
import pytest

from vae_jax import config as settings
from vae_jax import data, errors, study
from vae_jax.front import images
from vae_jax.runs import model_file

pytestmark = pytest.mark.run

RNG = np.random.default_rng(0)
GREYS = RNG.integers(0, 256, (20, 6, 5), np.uint8)
WIDE = RNG.integers(0, 4096, (20, 6, 5), np.uint16)
TABLE = (3 * RNG.normal(size=(20, 4)) + 1).astype('f')
ANY_BATCH = types.SimpleNamespace(smallest_batch=1, largest_batch=None)

# What the file holds, and what of the section `data` is set.
CASES = {
  'bytes scaled': (GREYS, dict(scale_to_unit=True)),
  'bytes': (GREYS, dict(scale_to_unit=False)),
  'bytes cropped and padded': (GREYS, dict(crop=(4, 4), pad=(8, 9))),
  'bytes of 7 bits': (GREYS // 2, dict(range=(0, 127))),
  'bytes standardised': (GREYS, dict(standardize='per_pixel')),
  'greys': ((GREYS / 255).astype('f'), dict()),
  'of 12 bits': (WIDE, dict(range=(0, 4095))),
  'around zero': (2 * (GREYS / 255).astype('f') - 1, dict(range=(-1, 1))),
  'binary': (GREYS > 99, dict()),
  'binary as bytes': ((GREYS > 99).astype(np.uint8), dict()),
  'a table': (TABLE, dict(kind='real', scale_to_unit=False, standardize='all')),
  'at one half': (GREYS, dict(binarize='threshold')),
}


def loaded(stored, path, **changes):
  """Returns config section, data set and facts of an .npz file."""
  np.savez(path, train=stored, test=stored[:8])
  section = settings.base().data.to_dict() | dict(name='npz', path=str(path)) | changes
  dataset = study.dataset_of(settings.base().to_dict() | {'data': section})
  # As they are read again, so that what is written is enough.
  facts = model_file._facts(model_file._plain(model_file.facts_of(dataset, ANY_BATCH)))
  return section, dataset, facts


@pytest.mark.parametrize('case', CASES)
def test_the_images_of_the_file_become_what_was_trained_on(case, tmp_path):
  stored, changes = CASES[case]
  section, dataset, facts = loaded(stored, tmp_path / 'a.npz', **changes)
  made = images.prepare(stored[:8], facts, section)
  np.testing.assert_array_equal(made, dataset.test)
  assert made.dtype == dataset.test.dtype
  if facts.standard is not None:
    np.testing.assert_array_equal(facts.standard.shift, dataset.standard.shift)
    np.testing.assert_array_equal(facts.standard.spread, dataset.standard.spread)


@pytest.mark.parametrize('case', CASES)
def test_what_a_run_hands_out_comes_in_again(case, tmp_path):
  stored, changes = CASES[case]
  section, dataset, facts = loaded(stored, tmp_path / 'a.npz', **changes)
  out = images.split(dataset, 'test', section, facts)
  np.testing.assert_allclose(images.prepare(out, facts, section), dataset.test, rtol=1e-6)
  if not (changes.get('crop') or changes.get('binarize')):
    np.testing.assert_allclose(out.reshape(stored[:8].shape), stored[:8], rtol=1e-5, atol=1e-6)
  # What is decoded is in the same units: here of x itself.
  x = dataset.test / np.float32(dataset.fixed_scale)
  np.testing.assert_allclose(images.as_stored(x, facts, section), out, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('binarize', ['dynamic', 'static'])
def test_greys_are_drawn_by_image_and_bool_images_are_as_they_are(binarize, tmp_path):
  section, dataset, facts = loaded(GREYS, tmp_path / 'a.npz', binarize=binarize)
  out = images.split(dataset, 'test', section, facts)
  assert out.dtype == bool
  np.testing.assert_array_equal(images.prepare(out, facts, section), dataset.test)
  drawn = images.prepare(GREYS, facts, section)
  np.testing.assert_array_equal(images.prepare(GREYS[7:9], facts, section), drawn[7:9])
  other = images.prepare(GREYS, facts, section | {'seed': 1})
  assert (other != drawn).mean() > 0.1
  # Of many draws of one grey the mean is the grey: 5 standard errors.
  many = np.full((400, 6, 5), 64, np.uint8)
  many[:, 0, 0], many[:, 0, 1] = np.arange(400) % 256, np.arange(400) // 256  # each another image
  ones = images.prepare(many, facts, section)[:, 1:, :]
  assert abs(ones.mean() - 64 / 255) < 5 * np.sqrt(0.25 * 0.75 / ones.size)


@pytest.mark.parametrize(
  'case, wrong, message',
  [
    ('bytes scaled', GREYS / 255, r'values from 0 to 1, .*levels from 0 to 255; give x \* 255'),
    ('bytes', GREYS + 0.5, 'whole levels'),
    ('at one half', (GREYS > 9).astype(np.uint8), 'binary images as bool'),
    ('greys', GREYS, r'\[0, 1\]; give x / 255'),
    ('binary', GREYS, '0 and 1 alone'),
    ('of 12 bits', WIDE * 4, r'data.range=\(0, 4095\)'),
    ('bytes cropped and padded', GREYS[:, :3], 'larger than the images'),
    ('a table', TABLE[:, :3], r'shape \[20, 3\]; the run has examples \[N, 4\]'),
    ('a table', TABLE[0], r'one image is x\[None\]'),
    ('a table', TABLE[:0], r'shape \[0, 4\]'),
    ('a table', TABLE * np.inf, 'NaN or infinite'),
  ],
)
def test_other_images_are_refused_in_one_line(case, wrong, message, tmp_path):
  stored, changes = CASES[case]
  section, _, facts = loaded(stored, tmp_path / 'a.npz', **changes)
  with pytest.raises(errors.InputError, match=message) as caught:
    images.prepare(wrong, facts, section)
  assert '\n' not in str(caught.value)


def test_the_split_of_a_run_is_that_of_the_data(tmp_path):
  section, dataset, facts = loaded(GREYS, tmp_path / 'a.npz', binarize='dynamic')
  train = images.split(dataset, 'train', section, facts)
  np.testing.assert_array_equal(train, dataset.train_fixed)
  assert isinstance(dataset, data.Dataset)
