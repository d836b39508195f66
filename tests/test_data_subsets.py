"""A sample of a split: each example as likely as any other, nested, in order where it is all."""

import hashlib

import numpy as np
import pytest

from vae_jax import data, evaluation, programs, study
from vae_jax.runs import outcome

pytestmark = pytest.mark.run


def test_a_sample_is_the_beginning_of_a_larger_one_without_repeats():
  order = data.subset(100, 99, 3)
  assert len(set(order.tolist())) == 99
  for count in (1, 7, 50):
    np.testing.assert_array_equal(data.subset(100, count, 3), order[:count])
  assert not np.array_equal(data.subset(100, 50, 4), data.subset(100, 50, 3))


@pytest.mark.parametrize('count', [0, 100, 101, 10**12])
def test_all_of_a_split_stays_in_its_order(count):
  np.testing.assert_array_equal(data.subset(100, count, 3), np.arange(100))


def test_each_example_is_as_likely_as_any_other():
  """Over seeds: chi-squared of how often each of 20 is among 5, 19 degrees, 5 sigma."""
  num_seeds = 4000
  chosen = np.concatenate([data.subset(20, 5, seed) for seed in range(num_seeds)])
  counts, expected = np.bincount(chosen, minlength=20), num_seeds / 4
  # Without replacement a count varies by p (1 - p), and they sum to a constant.
  assert np.sum((counts - expected) ** 2) / (expected * 0.75) * 19 / 20 < 19 + 5 * np.sqrt(38)


def test_a_sample_is_no_order_of_an_epoch():
  """Training and evaluation do not see the same examples first."""
  for step in range(3):
    epoch = data.batch_indices(3, step, 1, 100, 100)[0]
    assert not np.array_equal(epoch[:50], data.subset(100, 50, 3))


@pytest.fixture
def sorted_study(config, tmp_path):
  """Black images before white ones: the first k are black."""
  images = np.zeros((400, 4, 4), np.uint8)
  images[200:] = 1
  np.savez(tmp_path / 'sorted.npz', train=images, test=images[::2])
  config['data'] |= dict(name='npz', path=str(tmp_path / 'sorted.npz'), binarize='none')
  config['lanes'] |= dict(beta=(1.0,), latent_size=(2,))
  config['train'] |= dict(steps=20)
  return config


def test_every_evaluation_takes_a_sample_of_a_sorted_file(sorted_study, tmp_path, monkeypatch):
  """What each is given, caught on its way: both colours, and those of `data.subset`."""
  seen, built = {}, study.from_config(sorted_study)

  class CaughtError(Exception):
    pass

  def catch(name, result=None, place=3):
    def caught(*args):
      seen[name] = getattr(args[place], 'images', args[place])
      if result is None:
        raise CaughtError
      return result

    monkeypatch.setattr(programs, name, caught)

  catch('aggregate', {'mutual_information': np.zeros(1)})
  catch('nll')
  catch('make_pictures', place=1)
  cut = evaluation.cut
  monkeypatch.setattr(
    evaluation,
    'cut',
    lambda images, *rest: seen.setdefault('cut', []).append(images) or cut(images, *rest),
  )
  state = programs.init(built.training.learner, built.lanes, built.place)
  outcome.make_evaluate(built)
  with pytest.raises(CaughtError):
    outcome.estimate(built, state)
  with pytest.raises(CaughtError):
    outcome.save_images(built, tmp_path, state, np.zeros((1, 2)))
  dataset = built.dataset
  settings = sorted_study['evaluation']

  def sample(split, count):
    images = getattr(dataset, split)
    return images[data.subset(len(images), count, sorted_study['data']['seed'])]

  expected = {
    'aggregate': sample('test', settings['aggregate_images']),
    'nll': sample('test', settings['nll_images']),
    'make_pictures': sample('test', 8),
  }
  for name, images in expected.items():
    np.testing.assert_array_equal(seen[name], images)
    assert 0 < images.mean() < 1
  np.testing.assert_array_equal(seen['cut'][0], sample('train', settings['train_images']))
  np.testing.assert_array_equal(seen['cut'][1], sample('test', settings['test_images']))
  recorded = built.sampling()
  rows = data.subset(200, settings['nll_images'], sorted_study['data']['seed'])
  assert recorded['seed'] == sorted_study['data']['seed']
  assert recorded['nll_images'] == dict(
    split='test', count=30, of=200, sha256=hashlib.sha256(rows.tobytes()).hexdigest()
  )


def test_scores_pair_each_image_with_its_own_factors(config, tmp_path, monkeypatch):
  config['data'] |= dict(name='shapes', binarize='none', crop=(4, 4))
  config['likelihood'] |= dict(name='gaussian')
  config['evaluation'] |= dict(factor_images=60)
  built = study.from_config(config)
  seen = {}
  tables = outcome.tables
  monkeypatch.setattr(
    tables.programs, 'encode', lambda *args: seen.update(images=args[3]) or np.zeros((4, 60, 5))
  )
  monkeypatch.setattr(
    tables.disentanglement,
    'scores',
    lambda codes, factors, seed: seen.update(factors=factors) or {},
  )
  monkeypatch.setattr(tables.programs, 'params_of', lambda state: state)
  outcome.write_disentanglement(built, tmp_path, None)
  rows = data.subset(len(built.dataset.test), 60, 0)
  np.testing.assert_array_equal(seen['images'], built.dataset.test[rows])
  np.testing.assert_array_equal(seen['factors'], built.dataset.factors.test[rows])


@pytest.mark.parametrize('count', [0, 9999])
def test_zero_and_too_many_mean_all_with_a_line(config, caplog, count):
  config['evaluation'] |= dict(nll_images=count, test_images=count)
  with caplog.at_level('INFO'):
    built = study.from_config(config)
  assert len(built.sample('test', count)) == 359
  lines = [r.getMessage() for r in caplog.records if 'nll_images' in r.getMessage()]
  more = f'evaluation.test_images={count}, evaluation.nll_images={count}'
  said = f'all 359 examples of the test split are taken for {more}'
  assert lines == ([said] if count else [])
