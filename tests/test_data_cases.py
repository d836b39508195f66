"""Files as people have them: each is taken as it is meant, or refused once with what to set.

The advice of a refusal is followed as it stands; the next round must be the last, and what the
model then sees must be the picture or the table that was meant.
"""

import ast
import json
import math
import re

import numpy as np
import pytest
from conftest import small_config

from vae_jax import errors, records, study
from vae_jax.runs import training

pytestmark = pytest.mark.run

RNG = np.random.default_rng(0)
N = 60  # 40 to train on


def blobs(n, height, width):
  """Grey images in [0, 1] of one Gaussian blob each, [n, height, width]."""
  y, x = np.mgrid[:height, :width]
  cy, cx, s = (
    RNG.uniform(0, end, (n, 1, 1)) + low for end, low in ((height, 0), (width, 0), (2, 1))
  )
  return np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * s**2))


UNIT = blobs(N, 7, 6)
RGB = np.stack([blobs(N, 8, 8) for _ in range(3)], -1)
TABLE = np.stack(
  [
    RNG.normal(size=N),
    1e4 * RNG.normal(size=N) + 5e4,
    RNG.integers(0, 2, N),
    RNG.uniform(0, 1e-3, N),
  ],
  axis=1,
)
COUNTS = RNG.poisson(2.0 * UNIT.reshape(N, -1)).astype(np.int64)
OVERSHOOT = UNIT.astype(np.float32)
OVERSHOOT[3, 4, 5] = 1.0000002
REAL = {
  'data.binarize': 'none',
  'data.scale_to_unit': False,
  'likelihood.name': 'gaussian',
}
COUNTED = {'data.binarize': 'none', 'likelihood.name': 'negative_binomial'}


def levels(white, dtype):
  return np.round(white * UNIT).astype(dtype)


# Name -> the array, the settings of its refusal ({} where it is taken), and what the model then
# sees, as intensities or real numbers, with the distance that rounding leaves.
CASES = {
  'unit': (UNIT, {}, UNIT, 1e-6),
  'float16': (UNIT.astype(np.float16), {}, UNIT, 1e-3),
  'bytes': (levels(255, np.uint8), {}, UNIT, 1 / 255),
  'bytes in 64 bits': (levels(255, np.int64), {}, UNIT, 1 / 255),
  'bytes as floats': (levels(255, np.float32), {'data.range': (0, 255)}, UNIT, 1 / 255),
  'greys of 4 bits': (levels(16, np.uint8), {'data.range': (0, 16)}, UNIT, 1 / 16),
  '12 bits': (levels(4095, np.uint16), {'data.range': (0, 4095)}, UNIT, 1e-3),
  '12 bits as floats': (levels(4095, np.float32), {'data.range': (0, 4095)}, UNIT, 1e-3),
  '16 bits as floats': (levels(65535, np.float64), {'data.range': (0, 65535)}, UNIT, 1e-3),
  'from -1 to 1': (2 * UNIT - 1, {'data.range': (-1, 1)}, UNIT, 1e-6),
  'divided twice': (UNIT / 255, {'data.range': (0, 1 / 255)}, UNIT, 1e-6),
  'overshoot': (OVERSHOOT, {'data.range': (0, 1)}, np.clip(OVERSHOOT, 0, 1), 0),
  'bool': (UNIT > 0.5, {'data.binarize': 'none'}, UNIT > 0.5, 0),
  'RGBA': (np.concatenate([RGB, np.ones_like(RGB[..., :1])], -1), {}, None, 0),
  'two channels': (RGB[..., :2], {}, RGB[..., :2], 1e-6),
  'odd sizes': (blobs(N, 13, 9), {}, None, 0),
  'spectrum': (blobs(N, 1, 50)[:, 0], {}, None, 0),
  'spectrum as image': (blobs(N, 1, 50)[..., None], {}, None, 0),
  'half constant': (UNIT * (np.arange(7) > 3)[:, None], {}, None, 0),
  'constant': (np.full((N, 4, 4), 0.5), {}, None, 0),
  'series': (RNG.normal(size=(N, 9, 3)).cumsum(1), REAL, None, 0),
  'one number': (RNG.normal(size=(N, 1)), REAL, None, 0),
  'table': (TABLE, REAL | {'data.standardize': 'per_pixel'}, TABLE, 1e-2),
  'small counts': (COUNTS, COUNTED, COUNTS, 0),
  'large counts': (100 * COUNTS, COUNTED, 100 * COUNTS, 0),
  'huge': (TABLE * 1e30, REAL | {'data.standardize': 'per_pixel'}, None, 0),
  'negative integers': (levels(90, np.int64) - 50, REAL | {'data.kind': 'real'}, None, 0),
}

NO_SETTING = {
  'channels first': (np.moveaxis(RGB, -1, 1), 'np.moveaxis(images, 1, -1)'),
  'NaN': (np.where(UNIT[3, 4, 5] == UNIT, np.nan, UNIT), '1 values that are NaN'),
  'volume': (RNG.uniform(size=(N, 4, 4, 4, 1)), 'np.reshape(a, (len(a), -1))'),
  'complex': (UNIT + 1j, 'complex128'),
}


def config_of(path, array):
  np.savez(path, train=array[:40], test=array[40:])
  config = small_config()
  config['data'] |= dict(name='npz', path=str(path))
  config['lanes'] |= dict(beta=(1.0,), latent_size=(2,))
  config['evaluation'] |= dict.fromkeys(
    ('train_images', 'test_images', 'nll_images', 'aggregate_images'), 0
  )
  return config


def advice(message):
  """Returns the settings that a refusal names first."""
  text = message.partition('; set ')[2].partition('; or ')[0]
  pairs = re.findall(r"([a-z]+\.[a-z_]+)=('[^']*'|\([^)]*\)|[\w.+-]+)", text)
  return {key: ast.literal_eval(value) for key, value in pairs}


def follow(config, settings):
  for key, value in settings.items():
    section, name = key.split('.')
    config[section][name] = value


def test_splits_that_are_absent_hide_nothing_else_that_is_wrong(tmp_path):
  """Of a table all is refused at once; and what is advised is taken."""
  path = tmp_path / 'mine.csv'
  header = ','.join('abcdefgh'[: TABLE.shape[1]])
  np.savetxt(path, TABLE, delimiter=',', header=header, comments='')
  config = config_of(tmp_path / 'other.npz', TABLE)
  config['data'] |= dict(name='table', path=str(path), validation_split='validation')
  with pytest.raises(errors.InputError) as caught:
    study.from_config(config)
  splits, values = caught.value.problems
  assert splits.startswith("data.train_split='train', data.validation_split='validation', ")
  assert 'real numbers do not go with' in values
  for line in caught.value.problems:
    text = line.replace(' and data.', ', data.')
    follow(config, advice(text))
  assert study.from_config(config).dataset.support == 'real'


@pytest.mark.parametrize(('array', 'expected', 'meant', 'rounding'), CASES.values(), ids=CASES)
def test_a_file_is_taken_or_refused_once_with_what_to_set(
  tmp_path, array, expected, meant, rounding
):
  config = config_of(tmp_path / 'mine.npz', np.asarray(array))
  if expected:
    with pytest.raises(errors.InputError) as caught:
      study.from_config(config)
    (message,) = caught.value.problems
    found = advice(message)
    assert {k: found.get(k) for k in expected} == expected, message
    assert 'mine.npz' in message
    follow(config, found)
  dataset = study.from_config(config).dataset
  assert np.isfinite(dataset.train).all()
  if dataset.support in ('unit', 'binary'):
    assert dataset.train.min() >= 0 and dataset.train.max() <= dataset.scale
  if meant is not None:
    x = dataset.train.astype(np.float64) / dataset.scale
    meant = np.asarray(meant, np.float64)[:40].reshape(x.shape)
    np.testing.assert_allclose(x, meant, rtol=1e-6, atol=rounding + 1e-9)


@pytest.mark.parametrize(('array', 'words'), NO_SETTING.values(), ids=NO_SETTING)
def test_what_no_setting_mends_says_what_to_do_with_the_file(tmp_path, array, words):
  with pytest.raises(errors.InputError) as caught:
    study.from_config(config_of(tmp_path / 'mine.npz', array))
  assert words in str(caught.value)
  assert '\n' not in str(caught.value)


def test_channels_moved_as_advised_are_taken(tmp_path):
  moved = np.moveaxis(np.moveaxis(RGB, -1, 1), 1, -1)
  assert study.from_config(config_of(tmp_path / 'mine.npz', moved)).event == (8, 8, 3)


@pytest.mark.parametrize(
  ('changes', 'expected'),
  [
    ({'likelihood.name': 'discretized_logistic', 'data.binarize': 'none'},
     {'data.kind': 'image', 'data.scale_to_unit': False}),
    ({'likelihood.name': 'bernoulli', 'data.binarize': 'none'},
     {'data.range': (0, 255), 'data.binarize': 'dynamic'}),
    ({'likelihood.name': 'continuous_bernoulli'},
     {'data.range': (0, 255), 'data.binarize': 'none'}),
    ({'likelihood.name': 'gaussian', 'likelihood.mean': 'sigmoid'},
     {'data.range': (0, 255), 'data.binarize': 'none'}),
  ],
)  # fmt: skip
def test_the_advice_goes_with_the_likelihood(tmp_path, changes, expected):
  config = config_of(tmp_path / 'mine.npz', levels(255, np.float32))
  follow(config, changes)
  with pytest.raises(errors.InputError) as caught:
    study.from_config(config)
  found = advice(str(caught.value))
  assert found == expected
  follow(config, found)
  study.from_config(config)


def test_real_numbers_have_no_mean_from_0_to_1(tmp_path):
  config = config_of(tmp_path / 'mine.npz', CASES['series'][0])
  config['likelihood'] |= dict(name='gaussian', mean='sigmoid')
  with pytest.raises(errors.InputError) as caught:
    study.from_config(config)
  found = advice(str(caught.value))
  assert found['likelihood.mean'] == 'identity'
  follow(config, found)
  study.from_config(config)


@pytest.mark.parametrize('standardize', ['all', 'per_pixel'])
def test_standardising_what_a_bernoulli_sees_is_refused_once(tmp_path, standardize):
  config = config_of(tmp_path / 'mine.npz', UNIT)
  config['data'] |= dict(standardize=standardize)
  with pytest.raises(errors.InputError) as caught:
    study.from_config(config)
  found = advice(str(caught.value))
  assert found == {'data.binarize': 'none', 'likelihood.name': 'gaussian'}
  follow(config, found)
  assert study.from_config(config).dataset.support == 'real'


@pytest.mark.usefixtures('no_pictures')
def test_what_was_advised_trains_and_is_reported_in_the_units_of_the_file(tmp_path, no_estimates):
  """metrics.jsonl and results.csv agree; provenance.json has what was subtracted."""
  array, settings, _, _ = CASES['table']
  config = config_of(tmp_path / 'mine.npz', array)
  follow(config, settings)
  config['train'] |= dict(steps=20, log_every=20, evaluate_every=20)
  config['evaluation'] |= dict(nll_samples=5)
  (row,) = training.run(config, tmp_path / 'run').rows
  assert row['status'] == 'done'
  # Near that of independent normals of these spreads, in the units of the file.
  volume = np.log(TABLE[:40].std(0)).sum()
  assert -row['test/elbo'] == pytest.approx(volume + 2 * math.log(2 * math.pi * math.e), abs=8)
  (logged,) = records.read_metrics(tmp_path / 'run' / 'metrics.jsonl')
  assert logged['test/elbo'] == pytest.approx(row['test/elbo'])
  assert logged['batch/distortion'] == pytest.approx(volume, abs=40)  # far from that of raw values
  recorded = json.loads((tmp_path / 'run' / 'provenance.json').read_text())['data_seen']
  assert recorded['standardize']['mode'] == 'per_pixel'
  np.testing.assert_allclose(recorded['standardize']['shift'], TABLE[:40].mean(0), rtol=1e-5)
