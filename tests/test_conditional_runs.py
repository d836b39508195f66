"""Runs that are conditioned on labels: trained, evaluated, loaded, and spoken to by name."""

import numpy as np
import pytest
from conftest import small_config, without_parts, without_pictures

import vae_jax
from vae_jax import data, errors, records

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('traced_once')]


@pytest.fixture(scope='module')
def run(tmp_path_factory):
  config = small_config()
  config['data'] |= dict(conditions=('label',))
  config['lanes'] |= dict(beta=(1.0,), latent_size=(2, 4), learning_rate=(1e-2,))
  config['train'] |= dict(steps=320, log_every=80, evaluate_every=320, checkpoint_every=320)
  config['evaluation'] |= dict(mixture_components=2)
  with pytest.MonkeyPatch.context() as patch:
    without_pictures(patch)
    without_parts(patch)
    return vae_jax.train(config, tmp_path_factory.mktemp('conditional') / 'run')


def test_the_nll_of_the_run_is_that_of_the_front_door(run):
  lane, row = run['b1-z4-s0'], run.results[1]
  settings = run.config['evaluation']
  given = run.given('test', 'nll_images')
  assert set(given) == {'label'}
  assert set(given['label']) <= set(range(10))
  found = lane.log_likelihood(
    run.evaluated('test', 'nll_images'), settings['nll_samples'], given=given
  )
  assert -found.mean() == pytest.approx(row['test/nll'], abs=1e-3)
  others = {'label': (given['label'] + 1) % 10}
  x = run.evaluated('test', 'nll_images')
  assert lane.log_likelihood(x, settings['nll_samples'], given=others).mean() < found.mean()


def test_a_sample_is_of_the_label_that_is_given(run):
  lane = run['b1-z4-s0']
  z = np.zeros((1, 4), np.float32)
  means = np.concatenate([lane.decode(z, given={'label': digit}) for digit in range(10)])
  all_at_once = lane.decode(np.repeat(z, 10, axis=0), given={'label': np.arange(10)})
  np.testing.assert_allclose(all_at_once, means, rtol=1e-5)
  labels, images = run.given('train')['label'], run.train.astype(np.float64)
  centres = np.stack([images[labels == digit].mean(axis=0) for digit in range(10)])
  away = [[np.abs(mean - centre).mean() for centre in centres] for mean in means]
  assert np.mean(np.argmin(away, axis=1) == np.arange(10)) >= 0.7
  assert lane.sample(3, given={'label': 5}).shape == (3, 8, 8, 1)


def test_samples_of_the_codes_are_those_of_the_pictures(run):
  """Of the mixture that is fitted to them, as known as the images that are shown."""
  lane, images = run['b1-z4-s0'], records.read_images(run.directory / 'images.npz', 2)
  chosen = data.subset(len(run.test), 8, run.config['data']['seed'])
  labels = run.given('test')['label'][chosen]
  made = lane.sample(8, given={'label': labels}, of='codes')
  np.testing.assert_allclose(255 * made, images['aggregate_samples'][1], atol=1.01)
  others = lane.sample(8, given={'label': labels})
  np.testing.assert_allclose(255 * others, images['samples'][1], atol=1.01)
  with pytest.raises(errors.InputError, match=r"of='code'"):
    lane.sample(1, given={'label': 1}, of='code')


def test_pictures_under_each_label_are_of_the_codes_of_the_samples(run):
  images = records.read_images(run.directory / 'images.npz', 2)
  assert images['by_condition'].shape == (2, 10, 8, 8, 8, 1)
  assert images['walks_by_condition'].shape == (2, 10, 8, 8, 8, 1)
  assert images['conditions'].tolist() == [f'label {digit}' for digit in range(10)]
  chosen = data.subset(len(run.test), 8, run.config['data']['seed'])
  labels = run.given('test')['label'][chosen]
  same = [images['by_condition'][1][label, i] for i, label in enumerate(labels)]
  np.testing.assert_array_equal(same, images['samples'][1])


@pytest.mark.parametrize(
  ('given', 'line'),
  [
    (None, r"the lane needs given=\{'label': one of 0, 1, 2"),
    ({'label': 12}, r"given\['label'\] has 12, which the training split does not have"),
    ({'label': [1, 2]}, r"given\['label'\] has shape \[2\]; give one value, or 3"),
    ({'label': 1, 'colour': 2}, r"given='colour': the run knows 'label'"),
  ],
)
def test_what_is_given_is_checked(run, given, line):
  with pytest.raises(errors.InputError, match=line):
    run['b1-z4-s0'].encode(run.test[:3], given=given)


def test_a_prior_that_the_encoder_makes_is_refused(config):
  config['data'] |= dict(conditions=('label',))
  config['prior'] = dict(name='vamp', num_components=3)
  with pytest.raises(errors.InputError, match=r"set prior.name='mixture'"):
    vae_jax.train(config, 'runs/none')


def test_a_column_that_is_not_there_is_named(config):
  config['data'] |= dict(conditions=('labels',))
  with pytest.raises(errors.InputError, match=r"no column 'labels'.* did you mean 'label'"):
    vae_jax.train(config, 'runs/none')
