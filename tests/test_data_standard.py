"""Standardised data: the model of the hand-transformed file, figures of the values as stored."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from vae_jax import data, densities, programs, study
from vae_jax.runs import outcome

pytestmark = pytest.mark.run

RNG = np.random.default_rng(0)
SCALES = np.array([1.0, 1e4, 1e-3, 30.0, 1.0], np.float32)
SHIFTS = np.array([0.0, 5e4, 1.0, -7.0, 0.0], np.float32)
TABLE = (RNG.normal(size=(90, 5)) * SCALES + SHIFTS).astype(np.float32)
TABLE[:, 4] = 2.5  # a column that never varies


@pytest.fixture
def built(config, tmp_path):
  """Returns a function that builds a study of one lane on a table; 60 rows to train on."""

  def build(table, standardize, **sections):
    path = tmp_path / f'{standardize}.npz'
    np.savez(path, train=table[:60], test=table[60:])
    config['data'] |= dict(name='npz', path=str(path), scale_to_unit=False, binarize='none')
    config['data'] |= dict(standardize=standardize)
    config['likelihood'] |= dict(name='gaussian', scale='shared', initial_scale=0.5)
    config['lanes'] |= dict(beta=(0.5,), latent_size=(2,))
    for name, changes in sections.items():
      config[name] |= changes
    return study.from_config(config)

  return build


def test_a_rescaled_density_is_scipys():
  mean, scale, x = RNG.normal(size=(3, 5))
  scale = np.exp(scale)
  shift, spread = RNG.normal(size=5), scale

  @jax.jit
  def computed(mean, shift, spread, x):
    y = densities.gaussian('fixed', 0.7, 0.1, 'identity').make((mean,))
    found = densities.rescaled(y, shift, spread)
    draws = found.sample(seed=jax.random.key(0), sample_shape=(4000,))
    return found.log_prob(x), found.mean(), draws

  log_prob, found, draws = computed(*map(np.float32, (mean, shift, spread, x)))
  expected = stats.norm(shift + spread * mean, spread * 0.7)
  assert log_prob == pytest.approx(expected.logpdf(x).sum(), rel=1e-5)
  np.testing.assert_allclose(found, expected.mean(), rtol=1e-5)
  errors = (np.mean(draws, axis=0) - expected.mean()) / (expected.std() / np.sqrt(4000))
  assert np.abs(errors).max() < 5


@pytest.mark.parametrize('mode', ['per_pixel', 'all'])
@pytest.mark.parametrize('dtype', [np.float32, np.uint8])
def test_shift_and_spread_are_numpys_of_the_training_split(mode, dtype, monkeypatch):
  monkeypatch.setattr(data.blocks, 'MOST', 70)  # several blocks
  x = RNG.integers(0, 256, (49, 3, 2, 1)).astype(dtype)
  x[:, 1, 1] = 7 if dtype == np.uint8 else 0.1  # of which a mean is not exact
  found = data.standard.standard_of(x, 255.0, mode)
  axis = 0 if mode == 'per_pixel' else None
  values = x / 255.0
  np.testing.assert_allclose(
    found.shift, np.broadcast_to(values.mean(axis), x.shape[1:]), rtol=1e-6
  )
  spread = np.broadcast_to(values.std(axis), x.shape[1:]).copy()
  if mode == 'per_pixel':
    spread[1, 1] = 1.0
  np.testing.assert_allclose(found.spread, spread, rtol=1e-6)
  assert found.spread.dtype == np.float32


def test_nothing_of_the_test_split_is_known(built):
  one = built(TABLE, 'per_pixel').dataset.standard
  other = TABLE.copy()
  other[60:] *= 9
  two = built(other, 'per_pixel').dataset.standard
  np.testing.assert_array_equal(one.shift, two.shift)
  np.testing.assert_array_equal(one.spread, two.spread)


def steps_of(of_study, count=3):
  """The first lane after some steps on the first rows, and the metrics of the last."""
  lane = jax.tree.map(lambda leaf: leaf[0], of_study.lanes)
  one = of_study.training.learner
  x = jnp.asarray(of_study.dataset.train[:20])

  @jax.jit
  def take(lane):
    def step(state, number):
      return one.step(state, lane, x, one.draw(lane, 20, number), number)

    state, metrics = jax.lax.scan(step, one.init(lane), jnp.arange(count))
    return state, jax.tree.map(lambda leaf: leaf[-1], metrics)

  return jax.device_get(take(lane))


@pytest.mark.parametrize(
  'sections',
  [
    dict(likelihood=dict(scale='optimal')),
    dict(likelihood=dict(scale='per_pixel'), decoder=dict(output_bias='train_mean')),
    pytest.param(
      dict(
        prior=dict(name='vamp', num_components=4),
        bound=dict(name='iwae', kl='sampled', num_samples=2),
        likelihood=dict(scale='shared'),
        lanes=dict(beta=(1.0,)),
      ),
      marks=pytest.mark.slow,
    ),
  ],
  ids=['optimal', 'per_pixel', 'shared, vamp, iwae'],
)
def test_it_trains_as_the_hand_transformed_file_and_adds_the_jacobian(built, sections):
  """Same parameters to rounding; ELBO, distortion and objective differ by sum_d log s_d.

  The objective of importance weights is the NLL of so many samples.
  """
  ours = built(TABLE, 'per_pixel', **sections)
  m, s = TABLE[:60].astype(np.float64).mean(0), TABLE[:60].astype(np.float64).std(0)
  s[4] = 1.0
  by_hand = built(((TABLE - m) / s).astype(np.float32), 'none', **sections)
  volume = np.log(s).sum()
  (state, metrics), (hand_state, hand_metrics) = steps_of(ours), steps_of(by_hand)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-3, atol=2e-4),
    state.params,
    hand_state.params,
  )
  assert metrics['rate'] == pytest.approx(float(hand_metrics['rate']), rel=1e-3, abs=1e-3)
  for name, sign in (('elbo', -1), ('objective', -1), ('distortion', 1)):
    assert metrics[name] == pytest.approx(hand_metrics[name] + sign * volume, abs=5e-3)


def test_pictures_and_bits_are_those_of_the_bytes(config, tmp_path, no_parts):
  """Scaled to [0, 1] first or not, standardised bytes are one model: bits on 8 bits agree."""
  images = RNG.integers(30, 226, (50, 4, 4, 3)).astype(np.uint8)
  np.savez(tmp_path / 'bytes.npz', train=images[:40], test=images[40:])
  config['data'] |= dict(name='npz', path=str(tmp_path / 'bytes.npz'), binarize='none')
  config['data'] |= dict(standardize='all')
  config['likelihood'] |= dict(name='gaussian')
  config['lanes'] |= dict(beta=(1.0,), latent_size=(2,))
  config['evaluation'] |= dict(nll_samples=4, nll_images=0, aggregate_images=3)
  found = {}
  for scaled in (True, False):
    config['data'] |= dict(scale_to_unit=scaled)
    of_study = study.from_config(config)
    state = programs.init(of_study.training.learner, of_study.lanes, of_study.place)
    found[scaled] = outcome.estimate(of_study, state).metrics
    usage = jnp.zeros((1, 2))
    pictures = outcome.save_images(of_study, tmp_path, state, usage)
    rows = data.subset(10, 8, 0)
    np.testing.assert_array_equal(pictures.originals, images[40:][rows])
    found[scaled]['pictures'] = pictures
  eight, density = 'test/bits_per_dim_8bit', 'test/bits_per_dim_density'
  np.testing.assert_allclose(found[True][eight], found[False][eight], rtol=1e-5)
  np.testing.assert_allclose(found[True][density] + np.log2(255), found[False][density], rtol=1e-5)
  np.testing.assert_allclose(
    found[True][density], found[True]['test/nll'] / 48 / np.log(2), rtol=1e-6
  )
  for one, other in zip(
    *(jax.tree.leaves(each['pictures']) for each in found.values()), strict=True
  ):
    assert np.abs(one.astype(int) - other).max() <= 1  # rounding
