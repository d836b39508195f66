"""Batches are a function of (seed, step); oracles: permutation law, exact integers, Bernoulli."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import data

pytestmark = pytest.mark.math

indices = data.batch_indices


@pytest.mark.parametrize(
  ('batch_size', 'num_examples'),
  [(4, 12), (5, 12), (7, 12), (12, 12), (30, 12), (1, 3), (3, 1)],
)
def test_each_example_exactly_once_a_pass(batch_size, num_examples):
  num_steps = 4 * num_examples  # batch_size * 4 whole passes
  rows = indices(3, 0, num_steps, batch_size, num_examples)
  assert rows.shape == (num_steps, batch_size)
  assert rows.dtype == np.int32
  passes = rows.reshape(-1, num_examples)
  np.testing.assert_array_equal(
    np.sort(passes, axis=1), np.tile(np.arange(num_examples), (len(passes), 1))
  )


def test_passes_have_different_orders():
  passes = indices(0, 0, 20, 50, 50)
  assert len({tuple(row) for row in passes}) == 20


def test_order_is_random():
  """The place of one example over many passes is uniform: chi-squared with 9 degrees, 5 sigma."""
  passes = indices(1, 0, 2000, 10, 10)
  place = np.argmax(passes == 4, axis=1)
  counts = np.bincount(place, minlength=10)
  assert np.sum((counts - 200) ** 2 / 200) < 9 + 5 * np.sqrt(18)


@pytest.mark.parametrize(('batch_size', 'num_examples'), [(5, 12), (30, 12)])
def test_steps_do_not_depend_on_the_chunk(batch_size, num_examples):
  whole = indices(7, 0, 24, batch_size, num_examples)
  for first_step, num_steps in [(0, 1), (2, 3), (5, 7), (17, 7), (23, 1)]:
    chunk = indices(7, first_step, num_steps, batch_size, num_examples)
    np.testing.assert_array_equal(chunk, whole[first_step : first_step + num_steps])


def test_seeds_differ_and_the_same_seed_agrees():
  first = indices(0, 0, 3, 8, 100)
  np.testing.assert_array_equal(first, indices(0, 0, 3, 8, 100))
  assert not np.array_equal(first, indices(1, 0, 3, 8, 100))


@pytest.mark.parametrize(
  ('step', 'batch_size', 'num_examples'),
  [(10_000_000, 512, 1000), (10_000_000, 100, 64), (2**31 - 10, 77, 1797)],
)
def test_huge_steps_read_the_right_examples(step, batch_size, num_examples):
  num_steps = 3
  epoch, offset = divmod(step * batch_size, num_examples)
  num_epochs = (offset + num_steps * batch_size - 1) // num_examples + 1
  # With batches of n examples, step e is the whole of epoch e.
  passes = [indices(5, epoch + e, 1, num_examples, num_examples) for e in range(num_epochs)]
  expected = np.concatenate(passes, axis=None)[offset : offset + num_steps * batch_size]
  rows = indices(5, step, num_steps, batch_size, num_examples)
  np.testing.assert_array_equal(rows.ravel(), expected)


def test_a_global_generator_setting_does_not_change_the_batches():
  images = np.full((3, 50), 0.5, np.float32)
  before = data.to_batch(images, 1.0, True, 0, 9)
  with jax.default_prng_impl('rbg'):
    after = data.to_batch(images, 1.0, True, 0, 9)
  np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(('dtype', 'scale'), [(np.uint8, 255.0), (np.float32, 1.0)])
def test_to_batch_scales(dtype, scale):
  images = np.array([[0, 1], [51, 255]], dtype)
  x = data.to_batch(images, scale, False, 0, 0)
  assert x.dtype == jnp.float32
  np.testing.assert_allclose(x, images.astype(np.float64) / scale, rtol=1e-6)


def dynamic_batches(images, scale, seed, num_steps):
  draw = functools.partial(data.to_batch, images, scale, True, seed)
  return np.asarray(jax.jit(jax.vmap(draw))(jnp.arange(num_steps)))


def test_dynamic_binarisation_has_the_mean_of_the_intensity():
  images = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
  num_steps = 4000
  draws = dynamic_batches(images, 255.0, 0, num_steps)
  assert set(np.unique(draws)) == {0.0, 1.0}
  p = images / 255
  stderr = np.sqrt(p * (1 - p) / num_steps)
  assert np.all(np.abs(draws.mean(axis=0) - p) <= 5 * stderr)  # exact at 0 and 1: stderr 0
  # Pixels and steps are independent: the total of a batch has the variance of a sum.
  totals = draws.sum(axis=(1, 2, 3, 4))
  variance = np.sum(p * (1 - p))
  assert abs(totals.var() / variance - 1) < 5 * np.sqrt(2 / num_steps)
  lagged = np.corrcoef(totals[:-1], totals[1:])[0, 1]
  assert abs(lagged) < 5 / np.sqrt(num_steps)


def test_dynamic_binarisation_is_a_function_of_seed_and_step():
  images = np.full((3, 50), 0.5, np.float32)
  first = np.asarray(data.to_batch(images, 1.0, True, 0, 9))
  np.testing.assert_array_equal(first, dynamic_batches(images, 1.0, 0, 10)[9])
  assert not np.array_equal(first, data.to_batch(images, 1.0, True, 0, 10))
  assert not np.array_equal(first, data.to_batch(images, 1.0, True, 1, 9))


@pytest.mark.parametrize('shape', [(1,), (3, 5), (2, 2, 2)])
def test_binary_draws_have_any_shape_and_are_exact_at_the_ends(shape):

  @jax.jit
  def drawn(mean):
    keys = jax.random.split(jax.random.key(1, impl='threefry2x32'), 2000)
    return jax.vmap(data.draw_binary, (0, None))(keys, jnp.full(shape, mean))

  for mean in (0.0, 1.0, 0.3):
    draws = np.asarray(drawn(mean))
    assert draws.shape == (2000, *shape)
    stderr = np.sqrt(mean * (1 - mean) / 2000)
    assert np.all(np.abs(draws.mean(axis=0) - mean) <= 5 * stderr)


def test_values_that_share_a_word_are_independent():
  """The two halves of each word, by the correlation of every pair of values."""
  keys = jax.random.split(jax.random.key(2, impl='threefry2x32'), 4000)
  draws = np.asarray(jax.jit(jax.vmap(lambda k: data.draw_binary(k, jnp.full(6, 0.5))))(keys))
  correlation = np.corrcoef(draws.T) - np.eye(6)
  assert np.abs(correlation).max() < 5 / np.sqrt(4000)


def test_binarisation_draws_from_other_keys_than_a_lane_of_the_same_seed():
  """Neither its key nor those of its first steps are keys that a lane derives from the seed."""
  images = np.full((1, 64), 0.5, np.float32)

  @jax.jit
  def of_a_lane():
    root = jax.random.key(0, impl='threefry2x32')
    keys = [*jax.random.split(root, 5), *(jax.random.fold_in(root, i) for i in range(8))]
    return jax.vmap(data.draw_binary, (0, None))(jnp.stack(keys), jnp.asarray(images))

  others = np.asarray(of_a_lane())
  for draw in dynamic_batches(images, 1.0, 0, 8):
    assert not any(np.array_equal(draw, other) for other in others)
