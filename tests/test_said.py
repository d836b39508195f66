"""What a run says of itself: the forecast, what is cut short, what still rises, too few samples.

Each is one line, once. One short run provokes them all; the mathematics is tested without it.
"""

import logging
import math
import types

import numpy as np
import pytest
import scipy.stats
from conftest import small_config, without_images, without_parts, without_pictures

import vae_jax
from vae_jax import config as settings
from vae_jax import lanes, records, study, verdict
from vae_jax.multihost import cut, gathering
from vae_jax.runs import evaluating, training
from vae_jax.runs.outcome import rising, trust

pytestmark = pytest.mark.run


@pytest.fixture(scope='module')
def said(tmp_path_factory):
  """Returns the directory of a study of one process, beta in another unit, and what it logged.

  The second lane ends in the midst of its warm-up.
  """
  directory, lines = tmp_path_factory.mktemp('said'), []
  handler = logging.Handler()
  handler.emit = lambda record: lines.append((record.levelname, record.getMessage()))
  config = small_config()
  points = ((0.03, 2, 0, 2e-3), (0.03, 5, 0, 2e-3, 'linear', 100))
  config['lanes'] |= dict(beta_unit='mean_pixel_and_latent', combine='list', points=points)
  config['lanes'] |= dict(beta=(1.0,), latent_size=(10,), seed=(0,))
  config['train'] |= dict(steps=20, log_every=5, evaluate_every=5)
  config['evaluation'] |= dict(nll_samples=2)
  config = settings.complete(config)
  logger, level = logging.getLogger(), logging.getLogger().level
  with pytest.MonkeyPatch.context() as patch:
    without_pictures(patch)
    without_images(patch)
    without_parts(patch)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
      training.run(cut(config, 0, 1), directory / 'process-0')
      gathering.gather(config, directory, 1)
    finally:
      logger.removeHandler(handler)
      logger.setLevel(level)
  return directory, lines


def the_line(lines, words):
  """Returns the one line with these words, and its level."""
  (found,) = [line for line in lines if words in line[1]]
  return found


def test_all_that_is_recorded_is_in_nats(said):
  """By a share of a study over processes, by what gathers it, and by what loads either."""
  for directory in (said[0] / 'process-0', said[0]):
    run = vae_jax.load(directory)
    assert [name.rpartition('-s0')[0] for name in run.names] == ['b0.96-z2', 'b0.384-z5']
    assert [lane.beta for lane in run] == [row['beta'] for row in run.results] == [0.96, 0.384]
    assert [row['name'] for row in run.results] == run.names
    np.testing.assert_allclose([row['beta_normalised'] for row in run.results], 0.03)
  assert run.config['lanes']['beta_unit'] == 'mean_pixel_and_latent'  # as it was given


def test_the_forecast_is_said_before_the_first_step_and_kept(said):
  directory, lines = said
  level, line = the_line(lines, 'forecast')
  assert level == 'INFO' and 'of 5 latents 5, 5 can be active at beta 0.384, 0.96;' in line
  words = [text for _, text in lines]
  assert words.index(line) < min(i for i, text in enumerate(words) if text.startswith('step '))
  for where in (directory / 'process-0', directory):
    rows = records.read_table(where / 'forecast.csv', records.FORECAST_COLUMNS)
    onsets = [row['beta'] for row in rows]
    assert onsets == sorted(onsets, reverse=True) and f'from beta {onsets[0]:.3g} on' in line
    assert [row['latent'] for row in rows] == list(range(len(rows))) and 40 < len(rows) <= 61


@pytest.mark.slow
def test_an_evaluation_makes_the_forecast_again(said):
  path = said[0] / 'process-0' / 'forecast.csv'
  before = path.read_bytes()
  path.unlink()
  evaluating.evaluate(path.parent)
  assert path.read_bytes() == before


def test_what_the_training_is_too_short_for_is_said_with_the_last_beta(said):
  level, line = the_line(said[1], 'cuts short')
  assert level == 'WARNING'
  # 19 of 100 steps came before the last one.
  assert 'train.steps=20' in line and 'lanes.warmup_steps=100' in line
  assert f'beta is {0.384 * 0.19:.3g}, not 0.384, in b0.384-z5-s0' in line


def test_what_still_rises_is_said(said):
  level, line = the_line(said[1], 'still rises')
  assert level == 'WARNING' and 'in 1 of 2 lanes, most in b0.96-z2-s0' in line


def test_too_few_samples_are_said_once(said):
  level, line = the_line(said[1], 'one sample carries the NLL')
  assert level == 'WARNING' and line.startswith('b0.96-z2-s0') and 'b0.384-z5-s0' in line
  assert 'with 2 samples' in line and 'try evaluation.nll_samples=' in line


# Too short


def cut_short(steps, schedule=(), **axes):
  config = settings.complete({'schedule': dict(schedule), 'train': {'steps': steps}})
  points = lanes.from_axes('product', config['lanes'] | axes, ())
  return study.cut_short(config, lanes.names(points), lanes.stack(points, 10))


def test_what_fits_the_training_is_not_mentioned():
  ramp = dict(warmup=('linear', 'cosine', 'cyclical'), warmup_steps=(100,))
  ramp |= dict(capacity=(5.0,), capacity_steps=(100,))
  schedule = dict(name='cosine', decay_steps=90, factor=0.0, warmup_steps=10)
  assert cut_short(100, schedule, **ramp) == ''
  assert cut_short(100) == ''


@pytest.mark.parametrize(
  ('schedule', 'axes', 'words'),
  [
    ((), dict(warmup=('cosine',), warmup_steps=(200,), beta=(4.0,)), 'beta is 1.97, not 4,'),
    ((), dict(capacity=(6.0,), capacity_steps=(300,)), 'the capacity is 1.98, not 6,'),
    (
      (),
      dict(warmup=('linear',), warmup_steps=(200, 400), seed=(0, 1)),
      'b1-z10-s0-w400 and 3 more',
    ),
    (
      dict(name='linear', decay_steps=200, factor=0.0),
      {},
      'the learning rate is 0.505 of its peak',
    ),
    (dict(name='constant', warmup_steps=400), {}, 'the learning rate is 0.25 of its peak'),
  ],
)
def test_what_does_not_fit_is_said_with_its_last_value(schedule, axes, words):
  """By hand, at 99 steps before the last one: 4 (1 - cos(0.495 pi)) / 2, 6 x 0.33, 1 - 99 / 200."""
  line = cut_short(100, schedule, **axes)
  assert words in line and line.startswith('train.steps=100 cuts short: ')
  assert line.count(';') == 0


# Still rising


def test_a_slope_and_its_error_are_scipys():
  rng = np.random.default_rng(0)
  steps = np.arange(5) * 500 + 1000
  values = 0.003 * steps + rng.normal(size=5)
  expected = scipy.stats.linregress(steps, values)
  slope = verdict.slope_of(steps, values)
  assert slope.mean == pytest.approx(expected.slope, rel=1e-9)
  least = expected.slope - scipy.stats.t(3).ppf(0.99) * expected.stderr
  assert slope.least == pytest.approx(least, rel=1e-9)


def test_of_curves_that_are_level_one_in_a_hundred_is_said_to_rise():
  rng = np.random.default_rng(1)
  draws = 4000
  wrong = sum(verdict.slope_of(range(4), row).least > 0 for row in rng.normal(size=(draws, 4)))
  assert abs(wrong / draws - 0.01) < 5 * math.sqrt(0.01 * 0.99 / draws)


def warnings_of(tmp_path, caplog, curves, **fields):
  """Returns what is said of lanes with these objectives at the steps 100, 200 ..."""
  points = [lanes.point(1.0, 10, seed, **fields) for seed in range(len(curves))]
  lines = [
    {'lane': i, 'step': 100 * (k + 1), 'test/objective': value}
    for i, curve in enumerate(curves)
    for k, value in enumerate(curve)
  ]
  (tmp_path / 'metrics.jsonl').write_bytes(b''.join(map(records.encode, lines)))
  built = types.SimpleNamespace(
    points=points,
    names=lanes.names(points),
    chosen_on='test',
    train=types.SimpleNamespace(steps=100 * max(map(len, curves))),
  )
  caplog.clear()
  rising.warn_of_rising(built, tmp_path)
  return [record.getMessage() for record in caplog.records]


def test_lanes_that_rise_are_counted_and_the_steepest_is_named(tmp_path, caplog):
  level = [-100 - 50 * 0.5**k + 0.01 * (-1) ** k for k in range(12)]
  slow, fast = ([-100 + slope * k for k in range(12)] for slope in (0.2, 0.5))
  (line,) = warnings_of(tmp_path, caplog, [level, slow, fast])
  assert (
    'at step 1200 in 2 of 3 lanes, most in b1-z10-s2: test/objective by 5 nats in 1,000' in line
  )
  # 120 steps more would bring 0.06 nats; of a lane that diverged nothing is known.
  little = [-100 + 0.05 * k for k in range(12)]
  assert warnings_of(tmp_path, caplog, [level, little, fast[:9]]) == []
  assert warnings_of(tmp_path, caplog, [fast[:3]]) == []  # three points are no curve


def test_a_warm_up_is_no_curve(tmp_path, caplog):
  rise = [-100.0 + k for k in range(9)] + [-91.0, -91.1, -91.0, -91.1]
  ramp = dict(warmup='linear', warmup_steps=900)
  assert warnings_of(tmp_path, caplog, [rise], **ramp) == []
  fast = [-100.0 + k for k in range(12)]
  for fields in (
    dict(warmup='cyclical', warmup_steps=100),
    dict(capacity=1.0, capacity_steps=900),
    dict(target_rate=5.0),
  ):
    assert warnings_of(tmp_path, caplog, [fast], **fields) == []
  assert len(warnings_of(tmp_path, caplog, [fast], **ramp | dict(warmup_steps=800))) == 1


# Too few samples


def found(lonely, gap, mean=(100.0,)):
  """Of an NLL what is looked at."""
  curve = np.stack([np.zeros(len(gap)), np.asarray(gap)], axis=1)
  return types.SimpleNamespace(mean=np.asarray(mean), lonely=np.asarray(lonely), curve=curve)


def test_only_lanes_whose_images_hang_on_one_sample_are_named(caplog):
  few = found([0.0, 0.3, 0.1, 0.4, 0.2], [1.0, 5.0, 9.0, np.nan, 3.0], [100.0] * 3 + [np.nan, 1.0])
  trust.warn_of_few_samples(list('abcde'), few, 100, 'test')
  (record,) = caplog.records
  line = record.getMessage()
  assert line.startswith('b, e: with 100 samples') and '30 % of the test examples' in line
  assert '5.0 nats' in line and line.endswith('try evaluation.nll_samples=1000')  # 4 e^5 = 594
  caplog.clear()
  trust.warn_of_few_samples(['a'], found([0.1], [9.0]), 100, 'test')
  assert not caplog.records
  trust.warn_of_few_samples(['a'], found([1.0], [90.0]), 100, 'test')
  assert 'no number of samples' in caplog.records[0].getMessage()


def test_the_number_to_try_is_round_and_larger():
  gaps = {0.0: 200, 3.0: 200, 3.92: 500, 4.0: 500, 6.2: 2000, 7.0: 5000}
  assert {gap: trust.samples_to_try(gap, 100) for gap in gaps} == gaps
  assert trust.samples_to_try(1e9, 100) > 10**40


@pytest.mark.parametrize('gap', [2.0, 4.0, 6.0])
def test_with_the_number_to_try_few_images_hang_on_one_sample(gap):
  """By simulation of log weights that are normal, whose gap is half of their variance."""
  rng = np.random.default_rng(0)
  images, wanted = 400, trust.samples_to_try(gap, 1)
  log_w = math.sqrt(2 * gap) * rng.normal(size=(images, wanted))
  weights = np.exp(log_w - log_w.max(axis=1, keepdims=True))
  effective = weights.sum(axis=1) ** 2 / np.square(weights).sum(axis=1)
  assert np.mean(effective < 2) < 0.1
  few = weights[:, : math.ceil(wanted / 20)]
  assert np.mean(few.sum(axis=1) ** 2 / np.square(few).sum(axis=1) < 2) > 0.1
