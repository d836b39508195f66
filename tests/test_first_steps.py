"""The first steps of a config by hand: which examples, drawn how, with which noise and weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import bounds, data, learner, programs, study

pytestmark = pytest.mark.run

DATA_SEED, SIZE, STEPS = 3, 16, 3


@pytest.fixture
def built(config, tmp_path):
  """Bytes from 0 to 255 that are drawn anew at each step; more of them in training than in test."""
  images = np.random.default_rng(1).integers(0, 256, (50, 3, 3), dtype=np.uint8)
  np.savez(tmp_path / 'bytes.npz', train=images[:40], test=images[40:])
  config['data'] |= dict(name='npz', path=str(tmp_path / 'bytes.npz'), seed=DATA_SEED)
  config['data'] |= dict(train_split='train', test_split='test', binarize='dynamic')
  config['lanes'] |= dict(beta=(0.5, 3.0), latent_size=(2,), seed=(7,))
  config['lanes'] |= dict(warmup=('linear',), warmup_steps=(4,))
  config['train'] |= dict(batch_size=SIZE, steps=20, log_every=4)
  config['encoder'] |= dict(hidden=(4,))
  config['decoder'] |= dict(hidden=(4,))
  return study.from_config(config)


def terms_by_hand(built):
  """(params, lane, x, step) -> the distortion and the rate of a batch, on the noise of the step."""

  @jax.jit
  def terms(params, lane, x, step):
    prior = built.model.prior(params, lane.mask)
    decode = lambda z: built.model.decode(params, z, lane.mask)  # noqa: E731

    def one(x, noise):
      posterior = built.model.encode(params, x, lane.mask)
      terms = bounds.elbo_terms(posterior, prior, decode, x, noise)
      return bounds.distortion(terms), bounds.analytic_kl(terms).sum()

    key = jax.random.fold_in(learner.lane_keys(lane).noise, step)
    noise = learner.draw_noise(key, SIZE, 1, lane.mask.size)
    return [jnp.mean(values) for values in jax.vmap(one)(x, noise)]

  return terms


def test_a_step_is_of_its_own_batch_noise_and_warm_up(built):
  """Step by step, so that the metrics of each stand alone."""
  feed, original = built.feed(), built.training.learner

  def step_of(*arguments):
    assert jax.config.jax_default_matmul_precision == 'highest'
    return original.step(*arguments)

  training = built.training._replace(learner=original._replace(step=step_of))
  chunk = programs.compile_chunk(training, built.lanes, feed.shape)
  states = programs.init(built.training.learner, built.lanes, built.place)
  terms = terms_by_hand(built)
  to_batch = jax.jit(lambda rows, step: data.to_batch(rows, 255.0, True, DATA_SEED, step))
  for step in range(STEPS):
    (rows,) = data.batch_indices(DATA_SEED, step, 1, SIZE, 40)
    x = to_batch(built.dataset.train[rows], step)
    expected = []
    for i, beta in enumerate((0.5, 3.0)):
      both = jax.device_get((built.lanes, states.params))
      lane, params = jax.tree.map(lambda leaf, i=i: leaf[i], both)
      distortion, rate = map(float, terms(params, lane, x, step))
      expected.append((distortion, rate, -distortion - beta * step / 4 * rate))
    states, metrics = programs.take_chunk(
      built.training, chunk, states, built.lanes, feed, step, step + 1
    )
    names = ('batch/distortion', 'batch/rate', 'batch/objective')
    found = np.stack([metrics[name] for name in names], axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    np.testing.assert_allclose(
      metrics['batch/elbo'], -found[:, 0] - found[:, 1], rtol=1e-5, err_msg=str(step)
    )


def test_a_chunk_reads_no_further_than_its_steps(built):
  """The examples of a chunk in the order of its steps, whatever it starts with."""
  assert built.training.schedule == data.Schedule(DATA_SEED, SIZE, 4)
  assert (built.training.scale, built.training.dynamic) == (255.0, True)
  rows, indices = built.feed().read(5, 8)
  np.testing.assert_array_equal(rows.images, built.dataset.train)
  np.testing.assert_array_equal(indices[:3], data.batch_indices(DATA_SEED, 5, 3, SIZE, 40))
