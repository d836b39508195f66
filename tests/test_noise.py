"""Whose noise every figure is made of: which key, fresh for which batch, chunk, image and sample.

The toy model shows its noise: q(z | x) = p(z) = N(0, I), so that z is the noise and the only weight
of a sample is log p(x | z) = x . z. The oracle draws the same noise from `jax.random` alone.
"""

import functools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from jax import random

from vae_jax import (
  bounds,
  densities,
  evaluation,
  lanes,
  learner,
  networks,
  objectives,
  placement,
  programs,
)

pytestmark = pytest.mark.math

SEED, SIZE, OTHER_SIZE, BATCH = 5, 2, 3, 10  # three batches of 23 images, the last of 3
USES = ('init', 'noise', 'evaluation', 'nll', 'prior', 'aggregate')


@pytest.fixture(scope='module')
def images():
  return np.random.default_rng(3).normal(size=(23, SIZE)).astype(np.float32)


@pytest.fixture
def lane():
  stacked = lanes.stack([lanes.point(1.0, SIZE, SEED, 1e-3)], SIZE)
  return jax.tree.map(lambda leaf: leaf[0], stacked)


def transparent(**parts):
  """The model whose z is its noise, and log p(x | z) = x . z."""
  return networks.Model(
    **dict.fromkeys(networks.Model._fields)
    | dict(
      encode=lambda params, x, mask: densities.DiagonalGaussian(0 * mask, jnp.ones(SIZE), mask),
      prior=lambda params, mask: densities.StandardNormal(mask),
      outputs=lambda params, z, mask: z,
      likelihood=lambda params, z: types.SimpleNamespace(log_prob=lambda x: x @ z, mean=lambda: z),
    )
    | parts
  )


def key_of(use, *folded, seed=SEED):
  """The key of a use, by its place among the six of a seed; then of a batch, of a chunk."""
  key = random.split(random.key(seed, impl='threefry2x32'), len(USES))[USES.index(use)]
  for index in folded:
    key = random.fold_in(key, index)
  return key


def drawn(key, num_images, num_samples):
  """[N, L, Z], drawn with the latents first."""
  noise = random.normal(key, (SIZE, num_images, num_samples))
  return np.moveaxis(np.asarray(noise, np.float64), 0, -1)


def in_batches(images, size):
  return [images[first : first + size] for first in range(0, len(images), size)]


def learner_of(num_samples, sampler=learner.draw_noise):
  objective = objectives.beta_elbo()
  estimator = learner.Estimator(
    transparent(), objective, bounds.analytic_kl, bounds.reparameterized
  )
  return learner.make_learner(estimator, num_samples, None, sampler)


def test_every_use_has_a_key_of_its_own(lane):
  """In this order for ever: a stored run is evaluated anew with the noise that it had."""
  assert learner.Keys._fields == USES
  keys = {seed: learner.lane_keys(lane._replace(seed=jnp.uint32(seed))) for seed in (0, SEED)}
  for seed, found in keys.items():
    for use, key in found._asdict().items():
      np.testing.assert_array_equal(random.key_data(key), random.key_data(key_of(use, seed=seed)))
  words = {random.key_data(key).tobytes() for found in keys.values() for key in found}
  assert len(words) == 2 * len(USES)


@pytest.mark.parametrize('step', [0, 7])
def test_a_step_trains_on_the_noise_of_its_number(lane, step):
  found = jax.jit(learner_of(OTHER_SIZE).draw, static_argnums=1)(lane, 4, step)
  np.testing.assert_allclose(found, drawn(key_of('noise', step), 4, OTHER_SIZE), rtol=1e-6)


def test_evaluation_is_on_the_noise_of_its_batch(lane, images):
  """Not that of training, nor that of another batch; what fills the last batch up has no weight."""
  one = learner_of(OTHER_SIZE)
  program = jax.jit(lambda *given: evaluation.evaluate(one, None, *given, 1.0, 0))
  found = program(lane, evaluation.cut(images, BATCH))
  log_p = [
    np.einsum('nd,nld->nl', x, drawn(key_of('evaluation', index), BATCH, OTHER_SIZE)[: len(x)])
    for index, x in enumerate(in_batches(images, BATCH))
  ]
  assert found.metrics['distortion'] == pytest.approx(-np.concatenate(log_p).mean(), rel=1e-5)


@functools.partial(jax.jit, static_argnums=(2, 3))
def evidence(lane, batches, num_samples, chunk):
  return evaluation.evidence(transparent(), None, lane, batches, 1.0, num_samples, chunk)


def weights_by_hand(images, size, num_samples, chunk, seed=SEED):
  """log w [n, K] of batches of `size` images and chunks of samples."""
  log_w = []
  for index, x in enumerate(in_batches(images, size)):
    parts = range(-(-num_samples // chunk))
    noise = [drawn(key_of('nll', index, part, seed=seed), size, chunk)[: len(x)] for part in parts]
    log_w.append(np.einsum('nd,nkd->nk', x, np.concatenate(noise, axis=1)[:, :num_samples]))
  return np.concatenate(log_w)


def bounds_by_hand(log_w):
  """L_K, L_1 and the effective sample size of every image [n]."""
  bound = scipy.special.logsumexp(log_w, axis=1) - np.log(log_w.shape[1])
  effective = 1 / np.sum(scipy.special.softmax(log_w, axis=1) ** 2, axis=1)
  return bound, log_w.mean(axis=1), effective


@pytest.mark.parametrize(('num_samples', 'chunk'), [(7, 3), (20, 20)])
def test_importance_samples_are_on_the_noise_of_their_batch_and_chunk(
  lane, images, num_samples, chunk
):
  """Every image's bound, from the weights that NumPy makes of it."""
  batches = evaluation.cut(images, BATCH)
  found = evidence(lane, batches, num_samples, chunk)
  shown = np.asarray(batches.weights) > 0
  expected = bounds_by_hand(weights_by_hand(images, BATCH, num_samples, chunk))
  of_images = (found.curve[shown][:, -1], found.curve[shown][:, 0], found.effective[shown])
  for values, by_hand in zip(of_images, expected, strict=True):
    np.testing.assert_allclose(values, by_hand, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('width', [1, 2])
def test_the_nll_of_every_lane_is_on_the_noise_of_its_seed_batch_and_chunk(images, width):
  """Of two lanes, at once or in turn: 4 batches of 6 images, 5 and then 2 of 7 samples."""
  seeds = (SEED, SEED + 1)
  stacked = lanes.stack([lanes.point(1.0, SIZE, seed, 1e-3) for seed in seeds], SIZE)
  place = placement.of_width(width, BATCH)
  found = programs.nll(transparent(), np.zeros(2), stacked, images, 1.0, 7, 30, place)
  for i, seed in enumerate(seeds):
    bound, first, effective = bounds_by_hand(weights_by_hand(images, 6, 7, 5, seed))
    np.testing.assert_allclose(found.mean[i], -bound.mean(), rtol=1e-5)
    np.testing.assert_allclose(found.nlls[i], -bound, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.elbos[i], first, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.curve[i], [first.mean(), bound.mean()], rtol=1e-4)
    np.testing.assert_allclose(found.effective[i], effective.mean(), rtol=1e-5)
    np.testing.assert_allclose(found.stderr[i], bound.std(ddof=1) / np.sqrt(23), rtol=1e-4)


def test_importance_samples_are_as_many_as_they_should_be(lane):
  """log w ~ N(0, s^2): L_K scatters by sqrt((exp(s^2) - 1) / K), the law of K and no fewer.

  The tolerance comes from the law, not from the scatter that is seen: noise that repeats in every
  chunk scatters as the samples of one chunk do. No two batches have one noise.
  """
  num_samples, chunk, size, num_batches, spread = 600, 20, 40, 10, 0.5
  images = np.full((size * num_batches, SIZE), spread / np.sqrt(SIZE), np.float32)
  batches = evaluation.cut(images, size)
  found = evidence(lane, batches, num_samples, chunk)
  error = np.asarray(found.curve, np.float64)[..., -1] - spread**2 / 2  # log E w = s^2 / 2
  law = np.sqrt(np.expm1(spread**2) / num_samples)
  assert np.mean(error**2) == pytest.approx(law**2, rel=5 * np.sqrt(2 / error.size))
  assert len(np.unique(error, axis=0)) == num_batches


@pytest.mark.parametrize('size', [1, 2])
def test_prior_samples_are_of_the_key_of_the_prior(lane, size):
  """Split in two: normal numbers, and the uniform ones that choose a component of a mixture."""
  asked = {}

  def sample(noise, uniform):
    asked['uniform'] = uniform
    return noise + 100 * uniform

  prior = lambda params, mask: types.SimpleNamespace(sample=sample)  # noqa: E731
  model = transparent(prior=prior)
  found = jax.jit(lambda lane: evaluation.sample_prior(model, None, lane, size))(lane)
  noise_key, uniform_key = random.split(key_of('prior'))
  expected = drawn(noise_key, size, 1)[:, 0] + 100 * random.uniform(uniform_key, (size,))[:, None]
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_every_lane_draws_from_its_own_seed(images):
  """Through the programs of all lanes: each is the lane of its seed alone."""
  points = [lanes.point(1.0, SIZE, seed, 1e-3) for seed in (SEED, SEED + 1)]
  stacked, place = lanes.stack(points, SIZE), placement.of_width(2, BATCH)
  evaluate = programs.make_evaluate(learner_of(1), 1.0, place)
  found = evaluate(np.zeros(2), stacked, evaluation.cut(images, len(images)), np.int32(0))
  for seed, distortion in zip((SEED, SEED + 1), found.metrics['distortion'], strict=True):
    noise = drawn(key_of('evaluation', 0, seed=seed), len(images), 1)[:, 0]
    assert distortion == pytest.approx(-np.mean(np.sum(images * noise, axis=1)), rel=1e-4)


def test_lanes_of_one_seed_have_one_importance_noise_whatever_their_latent_size(images):
  """So that their difference on an image is without most of it. Another seed has another noise."""
  points = [lanes.point(1.0, size, seed, 1e-3) for size, seed in ((1, SEED), (2, SEED), (2, 0))]
  stacked, place = lanes.stack(points, SIZE), placement.of_width(3, BATCH)
  seen = images * np.float32([1, 0])  # the second latent adds nothing to x . z
  found = programs.nll(transparent(), np.zeros(3), stacked, seen, 1.0, 7, 20, place).nlls
  assert found.shape == (3, len(images))
  np.testing.assert_array_equal(found[0], found[1])
  assert np.all(found[0] != found[2])


def test_the_aggregate_posterior_is_drawn_from_a_key_of_its_own(lane, images, monkeypatch):
  """One code of each image, once for all batches."""
  asked, original = [], learner.draw_noise

  def draw_noise(key, *sizes):
    asked.append((random.key_data(key), sizes))
    return original(key, *sizes)

  monkeypatch.setattr(learner, 'draw_noise', draw_noise)
  encode = lambda params, x, mask: densities.DiagonalGaussian(x, jnp.ones(SIZE), mask)  # noqa: E731
  batches = evaluation.cut(images[:4], 2)

  @jax.jit
  def keys(lane):
    evaluation.aggregate(transparent(encode=encode), None, lane, batches, 1.0)
    return [words for words, _ in asked]

  (words,) = keys(lane)
  np.testing.assert_array_equal(words, random.key_data(key_of('aggregate')))
  assert [sizes for _, sizes in asked] == [(4, 1, SIZE)]


def test_padding_changes_no_part_of_the_rate():
  """Not by the noise of what is inert either, which a lane of its own size does not have."""
  found, images = [], np.random.default_rng(0).normal(size=(200, SIZE)).astype(np.float32)
  for width in (1, 3):
    stacked = lanes.stack([lanes.point(1.0, 1, SEED, 1e-3)], width)
    lane = jax.tree.map(lambda leaf: leaf[0], stacked)
    encode = lambda params, x, mask: densities.DiagonalGaussian(  # noqa: E731
      mask * x[0], 0.5**mask, mask
    )
    batches = evaluation.cut(images, 50)
    model = transparent(encode=encode)
    program = lambda *given, model=model: evaluation.aggregate(model, None, *given, 1.0)  # noqa: E731
    found.append(jax.jit(program)(lane, batches))
  for name, value in found[0].items():
    np.testing.assert_allclose(found[1][name], value, rtol=1e-4, atol=1e-6, err_msg=name)
