"""Which images, at which scale, step, seed and lane, stand behind every figure of a run.

The encoder notes each image that it is given, as the program runs. The images of all splits differ,
and so do their scales, so that what was seen tells the split, the number of images and the scale.
Whatever is evaluated is computed at the highest precision: a GPU's TF32 moves the NLL.
"""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from conftest import small_config
from report_run import make_run

from vae_jax import data, disentanglement, evaluation, learner, programs, records, study
from vae_jax.runs import outcome
from vae_jax.runs.outcome import estimates
from vae_jax.runs.outcome import images as saved

pytestmark = pytest.mark.run

TRAIN, TEST, EVENT = 40, 30, (5, 5, 1)
COUNTS = dict(train_images=6, test_images=7, nll_images=9, aggregate_images=4, factor_images=11)
PICTURES = 8


class Dataset(data.Dataset):
  """With a scale of what is fixed that is neither that of training nor 1."""

  fixed_scale = 301.0


class Watched:
  """A study whose encoder notes the images that it sees."""

  def __init__(self, config):
    built = study.from_config(config)
    self.seen, self.encode = set(), built.model.encode

    def encode(params, x, mask):
      assert jax.config.jax_default_matmul_precision == 'highest'
      jax.debug.callback(lambda x: self.seen.add(np.round(np.asarray(x), 4).tobytes()), x)
      return self.encode(params, x, mask)

    one, model = built.training.learner, built.model._replace(encode=encode)
    one = learner.make_learner(one.estimator._replace(model=model), one.num_samples, None)
    dataset = Dataset(*built.dataset)._replace(train_fixed=255 - built.dataset.train)
    self.study = built._replace(
      model=model, training=built.training._replace(learner=one), dataset=dataset
    )
    # Far enough from the start that every image is its own.
    self.state = jax.jit(lambda state: jax.tree.map(lambda leaf: 4 * leaf, state))(
      programs.init(built.training.learner, built.lanes, built.place)
    )

  def counts(self):
    """How many images of each split were seen since the last call; of others, 'not known'."""
    jax.effects_barrier()
    dataset, found, result = self.study.dataset, set(self.seen), {}
    self.seen.clear()
    for split in ('test', 'train_fixed'):
      values = np.float32(getattr(dataset, split)) / np.float32(dataset.fixed_scale)
      own = {image.tobytes() for image in np.round(values, 4)}
      assert len(own) == len(values)
      result |= {split: len(found & own)} if found & own else {}
      found -= own
    return result | ({'not known': len(found)} if found else {})


@pytest.fixture(scope='module')
def images(tmp_path_factory):
  path = tmp_path_factory.mktemp('data') / 'images.npz'
  grey = np.random.default_rng(0).integers(40, 215, (TRAIN + TEST, *EVENT), dtype=np.uint8)
  np.savez(path, train=grey[:TRAIN], test=grey[TRAIN:])
  return path


def config_of(path, **likelihood):
  """Four lanes on these images, half way up their warm-up."""
  config = small_config()
  config['data'] |= dict(name='npz', path=str(path), train_split='train', test_split='test')
  config['data'] |= dict(scale_to_unit=True, binarize='none')
  config['likelihood'] |= dict(name='gaussian', mean='sigmoid') | likelihood
  config['encoder'] |= dict(hidden=(4,))
  config['decoder'] |= dict(hidden=(4,))
  config['lanes'] |= dict(beta=(3.0,), latent_size=(2, 3), seed=(0, 7))
  config['lanes'] |= dict(warmup=('linear',), warmup_steps=(10,))
  config['evaluation'] |= COUNTS | dict(batch_size=5, nll_samples=4, mixture_components=2)
  return config


@pytest.fixture(scope='module')
def watched(images):
  return Watched(config_of(images))


def test_metrics_are_of_the_fixed_images_of_their_split_weighed_as_at_their_step(watched):
  """Each split has its own images and their number; the objective is that of the step."""
  found = outcome.make_evaluate(watched.study)(watched.state, 4)
  assert watched.counts() == {'train_fixed': 6, 'test': 7}
  metrics = outcome.metrics_of(found)
  assert {name.split('/')[0] for name in metrics} == {'train', 'test'}
  for split in ('train', 'test'):
    rate, distortion = metrics[f'{split}/rate'], metrics[f'{split}/distortion']
    objective = -distortion - 3.0 * 4 / 10 * rate
    np.testing.assert_allclose(metrics[f'{split}/objective'], objective, rtol=1e-5)
    np.testing.assert_allclose(metrics[f'{split}/elbo'], -distortion - rate, rtol=1e-5)


def test_the_aggregate_posterior_is_of_its_test_images(watched):
  without_nll = watched.study._replace(is_density=False)
  found = outcome.estimate(without_nll, watched.state)
  assert watched.counts() == {'test': 4, 'train_fixed': 4}  # and to these a mixture is fitted
  assert 'test/nll' not in found.metrics
  assert not found.curve


def test_the_nll_is_of_its_test_images_and_samples(watched, monkeypatch, no_parts):
  """Where all weights are 0, q(z | x) = p(z) and x ~ N(1/2, 1) whatever z: K even weights."""
  monkeypatch.setattr(estimates, '_mixtures', lambda *arguments: None)
  state = jax.tree.map(jnp.zeros_like, watched.state)
  found = outcome.estimate(watched.study, state)
  assert watched.counts() == {'test': 9}
  metrics, dataset = found.metrics, watched.study.dataset
  assert list(metrics['test/nll_images']) == [9] * 4
  assert list(metrics['test/nll_samples']) == [4] * 4
  np.testing.assert_allclose(metrics['test/effective_samples'], 4, rtol=1e-5)
  np.testing.assert_allclose(metrics['test/largest_weight'], 1 / 4, rtol=1e-5)
  x = dataset.test[watched.study.sample('test', 9)].reshape(9, -1) / dataset.fixed_scale
  nll = -scipy.stats.norm(0.5, 1).logpdf(x).sum(axis=1)
  np.testing.assert_allclose(metrics['test/nll'], nll.mean(), rtol=1e-5)
  np.testing.assert_allclose(metrics['test/nll_stderr'], nll.std(ddof=1) / 3, rtol=1e-4)
  lines = [(row['lane'], row['name'], row['images'], row['samples']) for row in found.curve]
  names = watched.study.names
  assert lines == [(i, names[i], 9, k) for i in range(4) for k in (1, 4)]
  for row in found.curve:
    assert row['bound'] == pytest.approx(-nll.mean(), rel=1e-5)
    assert row['stderr'] == pytest.approx(nll.std(ddof=1) / 3, rel=1e-4)


def test_codes_and_factors_are_of_the_same_test_images_without_padding(
  watched, monkeypatch, tmp_path
):
  """Scored with the seed of their lane; the factors name the image that they are of."""
  built, asked = watched.study, []

  def named(count, first):
    return np.stack([np.arange(first, first + count), np.zeros(count, int)], axis=1)

  factors = types.SimpleNamespace(train=named(TRAIN, 1000), test=named(TEST, 0))
  built = built._replace(dataset=built.dataset._replace(factors=factors))

  def scores(codes, factors, seed):
    asked.append((codes, factors, seed))
    return dict.fromkeys(disentanglement.NAMES, 0.5)

  monkeypatch.setattr(disentanglement, 'scores', scores)
  outcome.write_disentanglement(built, tmp_path, watched.state)
  assert watched.counts() == {'test': 11}
  params = programs.params_of(watched.state)
  encode = jax.vmap(lambda params, x, mask: watched.encode(params, x, mask).loc, (None, 0, None))
  encode = jax.jit(encode)
  assert [seed for _, _, seed in asked] == [point['seed'] for point in built.points] == [0, 7, 0, 7]
  for i, (codes, named_images, _) in enumerate(asked):
    lane, own = jax.tree.map(lambda leaf, i=i: leaf[i], jax.device_get((built.lanes, params)))
    images = built.dataset.test[named_images[:, 0]]
    loc = encode(own, np.float32(images) / np.float32(built.dataset.fixed_scale), lane.mask)
    assert codes.shape == (11, built.points[i]['latent_size'])
    np.testing.assert_allclose(codes, loc[:, : codes.shape[1]], rtol=1e-5, atol=1e-6)
  table = records.read_table(tmp_path / 'disentanglement.csv', records.DISENTANGLEMENT_COLUMNS)
  assert [row['images'] for row in table] == [11] * 4


def test_pictures_are_of_test_images_by_the_usage_that_is_given(watched, tmp_path, monkeypatch):
  asked = []
  traverse = evaluation.traverse

  def noted(model, params, lane, usage, size):
    jax.debug.callback(lambda usage: asked.append(np.asarray(usage)), usage)
    return traverse(model, params, lane, usage, size)

  monkeypatch.setattr(evaluation, 'traverse', noted)
  usage = jnp.arange(12.0).reshape(4, 3)
  monkeypatch.setattr(saved, '_NUM_CODED', 12)  # of which the images that are shown are some
  pictures = outcome.save_images(watched.study, tmp_path, watched.state, usage)
  assert watched.counts() == {'test': 12}
  np.testing.assert_array_equal(sorted(asked, key=sum), usage)
  values = np.float32(watched.study.dataset.test) / 301
  shown = {np.round(255 * x).astype(np.uint8).tobytes(): x for x in values}
  lane, params = jax.tree.map(
    lambda leaf: leaf[-1],
    jax.device_get((watched.study.lanes, programs.params_of(watched.state))),
  )

  @jax.jit
  def reconstruct(x):
    centre = watched.encode(params, x, lane.mask).loc
    return watched.study.model.decode(params, centre, lane.mask).mean()

  for original, found in zip(pictures.originals, pictures.reconstructions[-1], strict=True):
    np.testing.assert_allclose(found, 255 * reconstruct(shown[original.tobytes()]), atol=1)
  assert len({image.tobytes() for image in pictures.originals}) == PICTURES


def evaluation_of(split, variances):
  """An evaluation of one lane of three latents, whose numbers tell the split."""
  rates = jnp.array([[1.0, 2.0, 0.0]]) + (10 if split == 'train' else 0)
  return evaluation.Evaluation({'elbo': rates.sum(1)}, rates, jnp.array([variances]))


def test_a_review_shows_the_latents_of_the_test_images(watched, tmp_path, monkeypatch):
  """A latent is active above a variance of 0.01, not at it; the traversal goes by the same."""
  given = []
  monkeypatch.setattr(
    outcome, 'save_images', lambda study, directory, state, usage, mixtures: given.append(usage)
  )
  monkeypatch.setattr(outcome, 'write_results', lambda *arguments: [])
  monkeypatch.setattr(outcome, 'write_curve', lambda *arguments: None)
  monkeypatch.setattr(outcome, 'read', lambda *arguments: None)
  monkeypatch.setattr('vae_jax.figures.draw_all', lambda directory: None)
  point = watched.study.points[0] | dict(latent_size=2)
  built = watched.study._replace(
    points=[point], names=['only'], lanes=jax.tree.map(lambda leaf: leaf[:1], watched.study.lanes)
  )
  evaluations = {
    'train': evaluation_of('train', [5.0, 5.0, 5.0]),
    'test': evaluation_of('test', [0.0101, evaluation.ACTIVE_VARIANCE, 5.0]),
  }
  progress = outcome.begun(watched.state, 1)._replace(step=3, seconds=1.0, training_seconds=1.0)
  outcome.review(built, tmp_path, progress, evaluations, outcome.Estimates({}, []), final=True)
  np.testing.assert_array_equal(given[0], evaluations['test'].variances)
  table = records.read_table(tmp_path / 'latents.csv', records.LATENT_COLUMNS)
  found = [(row['latent'], row['rate'], row['active'], row['layer']) for row in table]
  assert found == [(0, 1.0, 1, 1), (1, 2.0, 0, 1)]
  assert evaluation.ACTIVE_VARIANCE == 0.01


def test_the_optimal_scale_is_fitted_to_the_training_images_before_anything_is_evaluated(
  images, monkeypatch, no_parts
):
  """Whatever the last batch left: where all weights are 0, x ~ N(1/2, s^2), s that of training."""
  config = config_of(images, scale='optimal', initial_scale=0.7)
  config['evaluation'] |= dict(test_images=6)  # as many as of training: one program
  watched = Watched(config)
  monkeypatch.setattr(estimates, '_mixtures', lambda *arguments: None)
  state, dataset = jax.tree.map(jnp.zeros_like, watched.state), watched.study.dataset
  x = {
    split: getattr(dataset, array)[watched.study.sample(split, count)] / dataset.fixed_scale
    for split, array, count in (('train', 'train_fixed', 6), ('test', 'test', 9))
  }
  normal = scipy.stats.norm(0.5, np.sqrt(np.mean((x['train'] - 0.5) ** 2)))
  nll = -normal.logpdf(x['test']).reshape(9, -1).sum(axis=1)
  found = outcome.estimate(watched.study, state)
  assert watched.counts() == {'train_fixed': 6, 'test': 9}
  np.testing.assert_allclose(found.metrics['test/nll'], nll.mean(), rtol=1e-4)
  evaluations = outcome.make_evaluate(watched.study)(state, 0)
  assert watched.counts() == {'train_fixed': 6, 'test': 6}
  best = 25 * (np.log(normal.std()) + 0.5 * np.log(2 * np.pi) + 0.5)
  distortion = evaluations['train'].metrics['distortion']
  np.testing.assert_allclose(distortion, best, rtol=1e-4)


def test_pictures_of_some_lanes_of_an_ended_run_are_those_of_all(tmp_path):
  directory = make_run(tmp_path / 'run')
  every = outcome.lane_grids(records.read_images(directory / 'images.npz', 12), range(12))
  some = outcome.grids_of(directory, 12, [7, 2])
  assert some.keys() == every.keys() and all(list(grids) == [7, 2] for grids in some.values())
  for name, grids in some.items():
    for lane, grid in grids.items():
      np.testing.assert_array_equal(grid, every[name][lane])
  (directory / 'images.npz').rename(tmp_path / 'images.npz')
  assert outcome.grids_of(directory, 12, [7]) == {}
