"""Runs of lanes with an average of their parameters: evaluated, kept, resumed and loaded."""

import weakref

import jax
import numpy as np
import pytest
from conftest import small_config, without_pictures
from run_files import results_without_times, state_digest

import vae_jax
from vae_jax import programs, records
from vae_jax.runs import checkpoint, states, training

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('traced_once', 'no_pictures')]


def config_of(**train):
  config = small_config()
  config['lanes'] |= dict(beta=(1.0,), latent_size=(3,), ema_decay=(0.0, 0.9))
  config['lanes'] |= dict(weight_decay=(0.01,), clip_norm=(4.0,), learning_rate=(1e-2,))
  config['train'] |= dict(steps=40, evaluate_every=20, checkpoint_every=20) | train
  return config


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  with pytest.MonkeyPatch.context() as patch:
    without_pictures(patch)
    return vae_jax.train(config_of(), tmp_path_factory.mktemp('averaged') / 'run')


def leaves_of(run, prefix):
  stored = checkpoint.read_newest(run.directory / 'checkpoints', (prefix,))
  return {name.removeprefix(prefix): leaf for name, leaf in stored.leaves.items()}


def test_a_loaded_lane_has_the_average_and_the_figures_are_of_it(run):
  """A lane without one has its parameters there, to the bit."""
  average, params = leaves_of(run, '.average'), leaves_of(run, '.params')
  assert average.keys() == params.keys()
  for name, leaf in average.items():
    np.testing.assert_array_equal(leaf[0], params[name][0])
  assert any(not np.array_equal(leaf[1], params[name][1]) for name, leaf in average.items())
  for i, lane in enumerate(run):
    found = checkpoint.flat(lane.params)
    assert all(np.array_equal(leaf, average[name][i]) for name, leaf in found.items())
    elbo = lane.elbo(run.evaluated('test', 'test_images')).mean()
    assert elbo == pytest.approx(run.results[i]['test/elbo'], rel=1e-5)


def test_the_part_of_clipped_steps_is_logged(run):
  rows = records.read_metrics(run.directory / 'metrics.jsonl')
  parts = [row['batch/clipped'] for row in rows]
  assert 0 < min(parts) <= max(parts) <= 1
  assert min(parts) < 1


def test_a_resumed_run_has_the_bits_of_one_that_was_not_stopped(run, tmp_path, monkeypatch):
  """And trains without the arrays that were read: the first steps take their copy over."""
  training.run(config_of(steps=20), tmp_path / 'run')
  restore, take_chunk, read, left = states.restored, programs.take_chunk, [], []

  def restored(*arguments):
    found = restore(*arguments)
    read.extend(map(weakref.ref, jax.tree.leaves(found.state)))
    return found

  def chunk(*arguments):
    left.append(sum(leaf() is not None for leaf in read))
    return take_chunk(*arguments)

  monkeypatch.setattr(states, 'restored', restored)
  monkeypatch.setattr(programs, 'take_chunk', chunk)
  training.run(config_of(), tmp_path / 'run')
  assert read and len(left) == 2 and left[-1] == 0
  assert state_digest(tmp_path / 'run', config_of()) == state_digest(run.directory, config_of())
  assert results_without_times(tmp_path / 'run') == results_without_times(run.directory)
