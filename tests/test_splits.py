"""A study with a validation split: what is evaluated when, and what every image has."""

import json
import shutil
import types

import numpy as np
import pytest
from conftest import small_config, without_images, without_parts, without_pictures

import vae_jax
from vae_jax import errors, learner, records, study
from vae_jax.figures import points
from vae_jax.multihost import gathering
from vae_jax.records import manifest
from vae_jax.runs import evaluating, outcome, training

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('traced_once')]

SPLITS = dict(train_split='train[:1000]', validation_split='train[1000:1200]', test_split='test')
IMAGES = dict(train_images=25, validation_images=25, test_images=25, nll_images=40, nll_samples=6)


def config_of(**changes):
  """Two lanes of one seed."""
  config = small_config()
  config['data'] |= SPLITS | changes
  config['lanes'] |= dict(beta=(0.5,), latent_size=(2, 3))
  for section in ('encoder', 'decoder'):
    config[section] |= dict(hidden=(4,))
  config['train'] |= dict(steps=5, log_every=2, evaluate_every=2, checkpoint_every=4)
  config['evaluation'] |= IMAGES | dict(aggregate_images=5)
  return config


@pytest.fixture(scope='module')
def trained(tmp_path_factory, traced_once):
  directory = tmp_path_factory.mktemp('runs') / 'chosen'
  with pytest.MonkeyPatch.context() as patch:
    without_rest(patch)
    return training.run(config_of(), directory), directory


def without_rest(patch):
  """Runs leave nothing that nobody here reads."""
  without_pictures(patch)
  without_images(patch)
  without_parts(patch)


def splits_at(directory):
  """Which splits the rows of metrics.jsonl have, by step."""
  rows = [row for row in records.read_metrics(directory / 'metrics.jsonl') if row['lane'] == 0]
  return {row['step']: {name.split('/')[0] for name in row if '/' in name} for row in rows}


def test_the_test_set_is_evaluated_once_at_the_end(trained):
  """Until then what is written, and chosen by, is of the validation set."""
  _, directory = trained
  while_training = {'batch', 'train', 'validation'}
  assert splits_at(directory) == {
    **dict.fromkeys((2, 4), while_training),
    5: while_training | {'test'},
  }


def test_the_rows_have_the_figures_of_both(trained):
  result, _ = trained
  for row in result.rows:
    for split in ('validation', 'test'):
      assert row[f'{split}/elbo'] == pytest.approx(
        -row[f'{split}/rate'] - row[f'{split}/distortion'], rel=1e-5
      )
      assert row[f'{split}/nll_images'] == 40
      assert row[f'{split}/active_units'] in range(4)
    assert row['validation/nll'] != row['test/nll']
  assert records.chosen_on(result.rows) == 'validation'


def test_metrics_are_those_of_the_images_of_their_split(trained):
  """The same state over a study whose test set is the validation set has its figures as `test`."""
  result, directory = trained
  built = study.from_config(config_of())
  dataset, evaluation = built.dataset, built.evaluation
  other = built._replace(
    dataset=dataset._replace(test=dataset.validation, validation=dataset.validation[:0]),
    evaluation=evaluation._replace(test_images=evaluation.validation_images),
  )
  progress = evaluating._newest(built, directory)
  found = outcome.make_evaluate(other)(progress.state, 5)
  assert list(found) == ['train', 'test']
  for name, values in found['test'].metrics.items():
    if f'validation/{name}' in result.rows[0]:
      expected = [row[f'validation/{name}'] for row in result.rows]
      np.testing.assert_allclose(np.asarray(values), expected, rtol=1e-6)


def test_every_image_has_its_nll(trained):
  """Their mean is that of results.csv; L_1 of the same samples is below log p(x) of each image."""
  result, directory = trained
  built = study.from_config(config_of())
  found = records.read_per_image(directory / 'per_image.npz')
  assert list(found) == ['validation', 'test']
  for split, values in found.items():
    assert values.nll.shape == values.elbo.shape == (2, 40)
    assert values.nll.dtype == values.elbo.dtype == np.float32
    np.testing.assert_array_equal(values.indices, built.sample(split, 40))
    means = values.nll.astype(float).mean(axis=1)
    np.testing.assert_allclose(means, [row[f'{split}/nll'] for row in result.rows], rtol=1e-14)
    assert np.all(values.elbo <= -values.nll)
    assert np.all(values.distortion > 0)
    images = built.dataset.split(split)[values.indices]
    assert values.sha256 == records.images_sha256(images, built.dataset.fixed_scale)
  assert found['validation'].sha256 != found['test'].sha256


def test_images_are_the_same_whether_stored_as_bytes_or_floats():
  grey = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1), dtype=np.uint8)
  one = records.images_sha256(grey, 255.0)
  assert one == records.images_sha256(grey.astype(np.float32) / np.float32(255), 1.0)
  assert one != records.images_sha256(grey[::-1], 255.0)
  assert one != records.images_sha256(grey.reshape(3, 16), 255.0)


def test_a_lane_that_diverged_has_nan(tmp_path):
  state = types.SimpleNamespace(diverged_at=np.array([learner.NOT_DIVERGED, 3]))
  progress = outcome.begun(state, 2)._replace(step=5, seconds=1.0, training_seconds=1.0)
  values = np.ones((2, 4), np.float32)
  given = {'test': records.PerImage(values, -values, 2 * values, np.arange(4), 'abc')}
  outcome.write_per_image(tmp_path, given, progress)
  found = records.read_per_image(tmp_path / 'per_image.npz')['test']
  for array, sign in ((found.nll, 1), (found.elbo, -1), (found.distortion, 2)):
    np.testing.assert_array_equal(array, [[sign] * 4, [np.nan] * 4])


def test_a_changed_bit_of_it_is_seen(trained, tmp_path):
  _, directory = trained
  path = shutil.copytree(directory, tmp_path / 'copy') / 'per_image.npz'
  assert path.name in manifest.read(path.parent)
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)
  with pytest.raises(errors.DamagedError, match=r'per_image\.npz'):
    records.read_per_image(path)


@pytest.mark.slow
def test_evaluate_makes_it_again_of_more_samples(trained, tmp_path, monkeypatch):
  without_rest(monkeypatch)
  copy = shutil.copytree(trained[1], tmp_path / 'copy')
  (copy / 'per_image.npz').unlink()
  rows = evaluating.evaluate(copy, num_samples=9, num_images=10).rows
  found = records.read_per_image(copy / 'per_image.npz')
  assert {split: values.nll.shape for split, values in found.items()} == {
    'validation': (2, 10),
    'test': (2, 10),
  }
  for lane in (0, 1):
    assert found['validation'].nll[lane].mean() == pytest.approx(rows[lane]['validation/nll'])


def test_the_shares_of_processes_are_put_together(tmp_path):
  shares = {tmp_path / 'process-0': 0, tmp_path / 'process-1': 2}
  values = np.random.default_rng(0).normal(size=(3, 3, 5)).astype(np.float32)
  for share, lanes in zip(shares, (np.s_[:2], np.s_[2:]), strict=True):
    share.mkdir()
    one = records.PerImage(*values[:, lanes], np.arange(5), 'abc')
    records.write_per_image(share / 'per_image.npz', {'test': one})
  gathering._merge_per_image(tmp_path, shares)
  (found,) = records.read_per_image(tmp_path / 'per_image.npz').values()
  np.testing.assert_array_equal(found.nll, values[0])
  np.testing.assert_array_equal(found.elbo, values[1])
  np.testing.assert_array_equal(found.distortion, values[2])
  assert found.sha256 == 'abc' and found.indices.tolist() == [0, 1, 2, 3, 4]


def test_the_front_door_has_the_split_and_chooses_by_it(trained):
  result, directory = trained
  run = vae_jax.load(directory)
  built = study.from_config(config_of())
  assert run.chosen_on == built.chosen_on == 'validation'
  np.testing.assert_array_equal(run.validation, built.dataset.validation.astype(bool))
  chosen = run.evaluated('validation', 'validation_images')
  assert len(chosen) == 25
  best = min(result.rows, key=lambda row: row['validation/nll'])
  assert run.best().name == best['name']
  assert run.best('validation/elbo') in run.lanes


def test_choosing_goes_by_the_validation_set_where_rows_have_one():
  rows = [
    {'name': 'a', 'test/elbo': -1.0, 'validation/elbo': -3.0, 'validation/rate': 1.0},
    {'name': 'b', 'test/elbo': -2.0, 'validation/elbo': None, 'validation/rate': None},
  ]
  chosen, split = points.chosen(rows)
  assert (split, chosen[0]['elbo'], chosen[0]['rate'], chosen[1]['elbo']) == (
    'validation',
    -3.0,
    1.0,
    None,
  )
  older = [{'name': 'a', 'test/elbo': -1.0}]
  assert points.chosen(older) == ([{'name': 'a', 'test/elbo': -1.0, 'elbo': -1.0}], 'test')


def test_what_is_recorded_names_the_split(trained):
  provenance = json.loads((trained[1] / 'provenance.json').read_text())
  said = provenance['evaluated_on']
  assert said['validation_images'] | {'sha256': ''} == {
    'split': 'validation',
    'count': 25,
    'of': 200,
    'sha256': '',
  }
  assert said['validation/nll_images']['count'] == said['nll_images']['count'] == 40
  without = study.from_config(config_of(validation_split='')).sampling()
  assert 'validation' not in {said['split'] for name, said in without.items() if name != 'seed'}
