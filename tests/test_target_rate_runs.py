"""Runs with target rates: what their files say, stopped and taken up, lanes in turns."""

import jax
import numpy as np
import pytest
from conftest import small_config, without_estimates, without_parts, without_pictures
from run_files import assert_same_run

import vae_jax
from vae_jax import errors, placement, programs, records, study, weighting
from vae_jax.runs import outcome, training, workdir

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('traced_once', 'no_pictures')]

NAMES = ['b1-z2-s0-r1', 'b2-z2-s0-r0', 'b1-z4-s0-r3']


def targets_config(steps=40):
  """Three lanes, two at a time: targets of 1 and 3 nats, and beta 2 without a target."""
  config = small_config()
  config['lanes'] |= dict(
    combine='zip', beta=(1.0, 2.0, 1.0), latent_size=(2, 2, 4), target_rate=(1.0, 0.0, 3.0)
  )
  config['train'] |= dict(steps=steps, evaluate_every=20, checkpoint_every=20)
  config['program'] |= dict(width=2)
  config['encoder'] |= dict(hidden=(4,))
  config['decoder'] |= dict(hidden=(4,))
  config['evaluation'] |= dict(nll_samples=2, nll_images=5, aggregate_images=5)
  return config


@pytest.fixture(scope='module')
def finished(tmp_path_factory, traced_once):
  directory = tmp_path_factory.mktemp('targets') / 'run'
  with pytest.MonkeyPatch.context() as patch:
    without_pictures(patch)
    without_parts(patch)
    training.run(targets_config(), directory)
  return directory


def test_a_run_that_is_taken_up_has_the_multipliers_that_it_left(finished, tmp_path, monkeypatch):
  """To the bit, with lanes in turns."""
  with monkeypatch.context() as patch:
    without_estimates(patch)
    training.run(targets_config(20), tmp_path)
  without_parts(monkeypatch)
  training.run(targets_config(), tmp_path)
  assert_same_run(finished, tmp_path, targets_config())


def test_the_tables_have_the_multiplier_where_there_is_a_target(finished):
  rows = records.read_results(finished / 'results.csv')
  assert [row['name'] for row in rows] == NAMES
  assert rows[1]['multiplier'] is None
  metrics = records.read_metrics(finished / 'metrics.jsonl')
  assert [line['batch/multiplier'] for line in metrics if line['lane'] == 1] == [2.0] * 4
  for lane in (0, 2):
    row = rows[lane]
    logged = [line['batch/multiplier'] for line in metrics if line['lane'] == lane]
    assert len(set(logged)) == 4 and min(logged) > 0
    assert abs(np.log(row['multiplier'] / logged[-1])) < 0.01 * 10  # of the mean of ten steps
    assert row['beta_normalised'] == pytest.approx(row['multiplier'] * row['latent_size'] / 64)
  assert rows[1]['beta_normalised'] == 2 * 2 / 64


def test_a_run_in_turn_has_a_row_for_each_lane_and_records_its_width(finished):
  rows = records.read_results(finished / 'results.csv')
  assert [row['status'] for row in rows] == ['done'] * 3
  assert workdir.recorded_width(finished) == 2
  for row in rows:
    assert row['test/elbo'] == pytest.approx(-row['test/distortion'] - row['test/rate'], rel=1e-5)
    assert row['test/nll'] < -row['test/elbo'] + 5 * row['test/nll_stderr']


def test_the_objective_of_an_evaluation_is_at_the_multiplier_of_its_state(finished):
  for row in records.read_results(finished / 'results.csv'):
    weight = row['multiplier'] or row['beta']
    for split in ('train', 'test'):
      expected = -row[f'{split}/distortion'] - weight * row[f'{split}/rate']
      assert row[f'{split}/objective'] == pytest.approx(expected, rel=1e-5)


def test_a_loaded_run_knows_its_targets(finished):
  run = vae_jax.load(finished)
  assert [lane.point['target_rate'] for lane in run.lanes] == [1.0, 0.0, 3.0]
  assert [lane.name for lane in run.lanes] == NAMES
  for lane, row in zip(run.lanes, run.results, strict=True):
    assert lane.multiplier == row['multiplier']
    assert lane.beta == (row['multiplier'] or row['beta'])
    assert lane.point['beta'] == row['beta']


def test_a_step_that_diverged_is_repeated_at_its_multiplier():
  """Not at the beta that the lane began with."""
  built = study.from_config(targets_config())
  begun = programs.init(built.training.learner, built.lanes, built.place)
  states = jax.device_get(placement.joined(begun))
  states = states._replace(
    diverged_at=np.array([7, -1, 9], np.int32), multiplier=np.array([0.25, 2.0, 8.0], np.float32)
  )
  seen = []

  def examine(params, lane, images, step, beside):
    del beside
    seen.append((step, float(lane.beta)))
    return programs.Findings(*[np.array(True)] * 4, {}, *[np.array(True)] * 3, np.array(1.0))

  outcome.explained(built, examine, outcome.begun(states, 3))
  assert seen == [(7, 0.25), (9, 8.0)]
  weighed = weighting.weighed(built.lanes, states.multiplier)
  np.testing.assert_array_equal(weighed.beta, [0.25, 2.0, 8.0])


@pytest.mark.parametrize('name', ['iwae', 'beta_tcvae', 'dip_vae_i'])
def test_an_objective_that_is_not_made_of_the_rate_has_no_target(config, tmp_path, name):
  config['bound'] |= dict(name=name, kl='sampled')
  config['lanes'] |= dict(beta=(1.0,), target_rate=(3.0,))
  config['lanes'] |= dict(covariance_weight=(1.0,)) if name == 'dip_vae_i' else {}
  words = rf'lanes\.target_rate: bound\.name=.{name}. has none; set lanes\.target_rate=\(0\.0,\)'
  with pytest.raises(errors.InputError, match=words):
    training.run(config, tmp_path / 'run')
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('key', 'value'), [('patience', 3), ('keep', 'best')])
def test_what_compares_objectives_over_time_goes_with_no_target(config, tmp_path, key, value):
  """The multiplier moves, and a larger objective may be one of a smaller weight."""
  config['lanes'] |= dict(beta=(1.0,), target_rate=(3.0,))
  config['train'] |= {key: value}
  with pytest.raises(errors.InputError, match=rf'train\.{key}={value!r} compares objectives'):
    training.run(config, tmp_path / 'run')
  assert not list(tmp_path.iterdir())
  config['lanes'] |= dict(target_rate=(0.0,))
  study.points_of(config)
