"""The best decoder that ignores z, where training starts beside it, and what is a collapse."""

import functools
import logging
import math
import re

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from conftest import small_config

from vae_jax import config as settings
from vae_jax import data, study
from vae_jax.runs import outcome, training
from vae_jax.study import start
from vae_jax.study.start import Start

pytestmark = pytest.mark.run

EVENT = (4, 5, 1)


@functools.cache
def small_study():
  return study.from_config(small_config())


def start_of(config, train_images, test_images, support, standard=None, **likelihood):
  """Where a config starts on given images, which the model sees as they are."""
  built = small_study()
  config['likelihood'] |= likelihood
  arrays = dict(train=train_images, train_fixed=train_images, test=test_images)
  arrays |= dict(support=support, scale=1.0, dynamic=False, standard=standard)
  dataset = built.dataset._replace(**arrays)
  return study.start_of(settings.complete(config), dataset, test_images)


def test_of_binary_images_it_is_the_cross_entropy_of_independent_pixels(config):
  rng = np.random.default_rng(0)
  rate = rng.uniform(0.05, 0.95, EVENT)
  images = (rng.random((500, *EVENT)) < rate).astype(np.float32)
  start = start_of(config, images[:300], images[300:], 'binary')
  mean, test = images[:300].mean(0), images[300:]
  expected = -(test * np.log(mean) + (1 - test) * np.log1p(-mean)).sum((1, 2, 3)).mean()
  assert start.best == pytest.approx(expected, rel=1e-5)
  assert start.given == pytest.approx(20 * np.log(2), rel=1e-5)
  assert start.advice == ''


@pytest.mark.parametrize('scale', ['fixed', 'shared', 'optimal', 'per_pixel'])
def test_of_real_values_it_is_a_gaussian_of_the_training_mean(config, scale):
  """At its best scale: that of the mean squared distance, within the steps of the search."""
  rng = np.random.default_rng(1)
  images = rng.normal(3.0, 0.2, (600, *EVENT)).astype(np.float32)
  images += rng.normal(size=EVENT).astype(np.float32)
  start = start_of(config, images[:500], images[500:], 'real', name='gaussian', scale=scale)
  square = ((images[500:] - images[:500].mean(0)) ** 2).sum((1, 2, 3)).mean()
  log_scale = 0.0 if scale == 'fixed' else np.log(square / 20) / 2
  expected = 20 * (log_scale + np.log(2 * np.pi) / 2) + square / np.exp(2 * log_scale) / 2
  assert start.best == pytest.approx(expected, abs=0.004 * 20)
  zeros = 20 * np.log(2 * np.pi) / 2 + (images[500:] ** 2).sum((1, 2, 3)).mean() / 2
  assert start.given == pytest.approx(zeros, rel=1e-5)
  bias = "decoder.output_bias='train_mean'"
  learned = 'likelihood.initial_scale=0.2'
  assert bias in start.advice
  assert (learned in start.advice) == (scale != 'fixed')
  assert f'{start.given:,.0f} nats' in start.advice
  assert f'can have {start.best:,.0f}' in start.advice
  config['decoder'] |= dict(output_bias='train_mean')
  nearer = start_of(config, images[:500], images[500:], 'real', initial_scale=0.2)
  assert nearer.advice == ''
  if scale != 'fixed':
    assert nearer.given == pytest.approx(start.best, abs=0.2)


def logistic(test, mean, scale):
  """The distortion of rounded logistics, by SciPy."""
  cdf = scipy.stats.logistic(loc=mean, scale=scale).cdf
  upper = np.where(test == 255, 1.0, cdf(test + 0.5))
  lower = np.where(test == 0, 0.0, cdf(test - 0.5))
  return -np.log(upper - lower).sum((1, 2, 3)).mean()


def test_of_levels_it_is_a_logistic_at_the_best_scale(config):
  """The case that starts nats off in every pixel: `initial_scale` of the whole range, no bias."""
  rng = np.random.default_rng(2)
  centre = rng.uniform(80, 170, EVENT)
  images = np.clip(np.round(rng.logistic(centre, 12, (600, *EVENT))), 0, 255).astype(np.uint8)
  start = start_of(config, images[:500], images[500:], 'uint8', name='discretized_logistic')
  mean, test = images[:500].mean(0), images[500:].astype(float)
  best = scipy.optimize.minimize_scalar(
    lambda s: logistic(test, mean, s), bounds=(3, 60), method='bounded'
  )
  assert start.best == pytest.approx(best.fun, abs=0.004 * 20)
  assert start.given == pytest.approx(logistic(test, 127.5, 255), rel=1e-4)
  advised = re.search('likelihood.initial_scale=([0-9.]+) and', start.advice).group(1)
  assert float(advised) == pytest.approx(best.x / 255, rel=0.1)


def test_a_raw_table_is_told_to_be_standardised(config):
  rng = np.random.default_rng(3)
  table = (rng.normal(size=(600, 3)) * [1.0, 5.0, 400] + [0, 5, 700]).astype(np.float32)
  start = start_of(config, table[:500], table[500:], 'real', name='gaussian', scale='shared')
  assert start.advice.endswith("set data.standardize='per_pixel'")


def test_standardised_values_have_the_distortion_of_those_as_stored(config):
  """By the Jacobian: what a Gaussian of each column's own mean and spread has."""
  rng = np.random.default_rng(3)
  table = (rng.normal(size=(900, 3)) * [1.0, 5.0, 400] + [0, 5, 700]).astype(np.float32)
  shift, spread = table[:500].mean(0), table[:500].std(0)
  config['data'] |= dict(standardize='per_pixel')
  start = start_of(
    config, table[:500], table[500:], 'real',
    standard=data.Standard(shift, spread), name='gaussian', scale='shared',
  )  # fmt: skip
  expected = -scipy.stats.norm(shift, spread).logpdf(table[500:]).sum(1).mean()
  assert start.best == pytest.approx(expected, abs=0.01)
  assert start.given == pytest.approx(expected, abs=0.01)
  assert start.advice == ''


def test_where_no_output_sets_the_mean_the_start_alone_is_known(config):
  images = np.random.default_rng(4).integers(0, 256, (50, *EVENT)).astype(np.uint8)
  start = start_of(config, images, images, 'uint8', name='categorical')
  assert start.best is None
  assert start.given == pytest.approx(20 * np.log(256), rel=1e-5)
  assert not start.has_learned(start.given - 1.9)
  assert start.has_learned(start.given - 2.1)


def test_of_digits_it_is_what_a_collapsed_lane_comes_to(config):
  """26.9 nats, by NumPy."""
  built = study.from_config(config)
  start = study.start_of(config, built.dataset, built.dataset.test)
  mean = np.clip(built.dataset.train.mean(0) / built.dataset.scale, 0.001, 0.999)
  test = built.dataset.test
  expected = -(test * np.log(mean) + (1 - test) * np.log1p(-mean)).sum((1, 2, 3)).mean()
  assert start.best == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
  ('given', 'distortion', 'started', 'learned'),
  [
    (69.0, 69.0, False, False),  # at the start
    (69.0, 44.6, False, False),  # half of the way is 44.5
    (69.0, 44.4, True, False),
    (69.0, 30.1, True, False),  # within 0.1 nats a dimension from 30 on
    (69.0, 29.9, True, True),
    (69.0, 12.0, True, True),  # below the best without z: it uses z
    (24.0, 22.1, False, False),  # a start within 0.1 nats a dimension: half of the way
    (24.0, 21.9, True, True),
    (20.0, 20.9, True, True),  # a start at the best: there is nothing to learn but z
    (20.0, 21.1, False, False),
    (19.0, 20.9, True, True),
  ],
)
def test_a_decoder_has_learned_once_it_is_near_the_best_without_z(
  given, distortion, started, learned
):
  start = Start(given, best=20.0, size=100, advice='')
  assert (start.has_started(distortion), start.has_learned(distortion)) == (started, learned)


def test_a_collapse_is_said_once_and_never_of_what_is_not_known(caplog):
  caplog.set_level(logging.WARNING)
  start = Start(69.0, best=20.0, size=100, advice='')
  names = ['collapsed', 'before', 'again', 'not begun', 'unknown', 'uses z', 'diverged', 'no D']
  evaluated = {
    'test/active_units': [0, 0, 3, 0, None, 0, 0, 0],
    'test/distortion': [20.1, 20.1, 18.0, 68.0, 20.1, 60.0, 20.1, None],
  }
  evaluated['test/active_units'][5] = 2
  evaluated['test/distortion'][5] = 12.0
  before = [None, 20, 20, None, None, None, None, None]
  reasons = [None] * 6 + ['overflow', None]
  found = outcome.collapsed(names, start, before, 40, evaluated, reasons, last=False)
  assert found == [40, 20, None, None, None, None, None, None]
  (said,) = [record.getMessage() for record in caplog.records]
  assert said == 'collapsed: posterior collapse at step 40, no unit is active'
  caplog.clear()
  assert outcome.collapsed(names, start, found, 60, evaluated, reasons, last=True) == found
  (said,) = [record.getMessage() for record in caplog.records]
  assert said == (
    'not begun: has not started to learn at step 60: a distortion of 68.00 nats beside the 20.00 '
    'of the best decoder that ignores z'
  )


@pytest.mark.usefixtures('traced_once', 'no_estimates')
def test_a_small_learning_rate_is_no_collapse_and_a_large_beta_is_one(config, tmp_path, caplog):
  """By a run: 1e-9 learns nothing, beta = 1000 collapses, beta = 0 has no reason to."""
  caplog.set_level(logging.WARNING)
  config['lanes'] |= dict(
    combine='zip', beta=(1.0, 1e3, 0.0), latent_size=(5,), seed=(0,),
    learning_rate=(1e-9, 2e-2, 2e-2),
  )  # fmt: skip
  config['train'] |= dict(steps=200, evaluate_every=100, checkpoint_every=200)
  config['program'] |= dict(width=2)
  slow, large, zero = training.run(config, tmp_path / 'run').rows
  assert (slow['collapsed_at'], zero['collapsed_at']) == (None, None)
  assert large['collapsed_at'] in (100, 200)
  assert large['test/distortion'] == pytest.approx(26.9, abs=1.5)
  said = [record.getMessage() for record in caplog.records]
  assert sum('posterior collapse' in line for line in said) == 1
  (line,) = [line for line in said if 'has not started' in line]
  assert line.startswith(f'{slow["name"]}: has not started to learn at step 200')


@pytest.mark.parametrize('binarize', ['none', 'dynamic'])
def test_bytes_start_where_their_intensities_do(config, tmp_path, binarize):
  """Divided by 255 for the model, or in the file: it is the same start."""
  images = np.random.default_rng(5).integers(0, 256, (90, *EVENT)).astype(np.uint8)
  starts = []
  for stored in (images, (images / 255).astype(np.float32)):
    path = tmp_path / f'{stored.dtype}.npz'
    np.savez(path, train=stored[:60], test=stored[60:])
    config['data'] |= dict(name='npz', path=str(path), binarize=binarize)
    config['data'] |= dict(train_split='train', test_split='test', scale_to_unit=True)
    config['likelihood'] |= dict(name='bernoulli' if binarize == 'dynamic' else 'cross_entropy')
    built = study.from_config(config)
    starts.append(study.start_of(config, built.dataset, built.dataset.test))
  assert starts[0].given == pytest.approx(starts[1].given, rel=1e-5)
  assert starts[0].best == pytest.approx(starts[1].best, rel=1e-5)
  mean, test = images[:60].mean(axis=0) / 255, built.dataset.test
  expected = -(test * np.log(mean) + (1 - test) * np.log1p(-mean)).sum((1, 2, 3)).mean()
  assert starts[0].best == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(('value', 'text'), [(-0.3, '0'), (1292.4, '1,292'), (math.inf, 'inf')])
def test_nats_of_a_start_are_whole_and_never_minus_zero(value, text):
  assert start._whole(value) == text
