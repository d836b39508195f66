"""What XLA needs written otherwise, beside its plain reference and NumPy."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax.fast import ahead, carries, finite, gathering, heads, lone, putting, sums
from vae_jax.fast import rows as rows_of_matrix

pytestmark = pytest.mark.math

RNG = np.random.default_rng(0)


@pytest.mark.parametrize('shape', [(), (1,), (28, 28, 1)])
def test_the_sum_of_all_pixels(shape):
  terms = RNG.normal(size=shape).astype('f')
  found = jax.jit(sums.total)(terms)
  np.testing.assert_allclose(found, terms.sum(dtype=float), rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(found, sums.reference(terms), rtol=1e-5, atol=1e-5)
  np.testing.assert_array_equal(jax.jit(jax.grad(sums.total))(terms), np.ones(shape))


@pytest.mark.parametrize(
  ('platform', 'used', 'not_used'),
  [('cpu', 'dot_general', 'stablehlo.reduce'), ('cuda', 'stablehlo.reduce', 'dot_general')],
)
def test_pixels_are_summed_by_what_is_fast_on_the_platform(platform, used, not_used):
  traced = jax.jit(sums.total).trace(jnp.ones((4, 3)))
  program = traced.lower(lowering_platforms=(platform,)).as_text()
  assert used in program
  assert not_used not in program


@jax.jit
def are_in_range(grads):
  return finite.are_in_range(grads), finite.reference(grads)


@pytest.mark.parametrize(
  ('value', 'fine'), [(0.0, True), (-1e18, True), (2e19, False), (np.nan, False), (-np.inf, False)]
)
@pytest.mark.parametrize('shape', [(), (3,), (2, 3), (2, 1, 3)])
def test_gradients_are_in_range_where_their_squares_are_finite(value, fine, shape):
  leaf = np.zeros(shape, np.float32)
  leaf.reshape(-1)[-1] = value
  grads = {'a': leaf, 'b': np.ones((4, 5), np.float32)}
  assert are_in_range(grads) == (fine, fine)


def test_infinities_of_both_signs_are_out_of_range():
  assert not finite.are_in_range({'a': jnp.array([[np.inf, -np.inf]]), 'b': jnp.array([-np.inf])})


def sums_of_squares(function, weights, rows):
  """A loss of rows [N, L, I], each through `function` of its own."""
  mapped = jax.vmap(jax.vmap(lambda row: function(weights, row)))
  return jnp.sum(jnp.square(mapped(rows)))


def affine(weights, row):
  kernel, bias = weights
  return jnp.reshape(row @ kernel + bias, (2, -1))


def test_rows_of_two_axes_have_the_values_and_derivatives_of_nested_maps():
  """By NumPy and by the reference; for one lane, and for lanes that are mapped around it."""
  rng = np.random.default_rng(0)
  kernels, biases, rows = (
    rng.normal(size=size).astype('f') for size in ((3, 5, 4), (3, 4), (6, 2, 5))
  )
  values = rows @ kernels[:, None] + biases[:, None, None]  # [3, 6, 2, 4]
  merged = rows_of_matrix.over_rows(affine)
  grads = jax.grad(functools.partial(sums_of_squares, merged), argnums=(0, 1))
  (of_kernel, of_bias), of_rows = jax.jit(jax.vmap(grads, (0, None)))((kernels, biases), rows)
  np.testing.assert_allclose(of_kernel, 2 * np.einsum('nli,gnlo->gio', rows, values), rtol=1e-4)
  np.testing.assert_allclose(of_bias, 2 * values.sum((1, 2)), rtol=1e-4)
  plain = rows_of_matrix.reference(affine)
  of_plain = jax.grad(lambda kernel: sums_of_squares(plain, (kernel, biases[0]), rows))
  expected = jax.jit(of_plain)(kernels[0])
  np.testing.assert_allclose(of_kernel[0], expected, rtol=1e-4)
  expected = 2 * np.einsum('gnlo,gio->gnli', values, kernels)
  np.testing.assert_allclose(of_rows, expected, rtol=1e-4, atol=1e-5)
  one = jax.jit(jax.vmap(jax.vmap(lambda row: merged((kernels[0], biases[0]), row))))(rows)
  np.testing.assert_allclose(one, values[0].reshape(6, 2, 2, 2), rtol=1e-5)


def test_the_gradient_of_a_kernel_sums_over_one_axis_of_rows():
  weights, rows = (np.ones((5, 4), 'f'), np.ones(4, 'f')), np.ones((6, 2, 5), 'f')

  def summed_axes(function):
    jaxpr = jax.make_jaxpr(jax.grad(functools.partial(sums_of_squares, function)))(weights, rows)
    products = [e for e in jaxpr.jaxpr.eqns if e.primitive.name == 'dot_general']
    return [len(product.params['dimension_numbers'][0][0]) for product in products]

  assert summed_axes(rows_of_matrix.over_rows(affine)) == [1, 1]
  assert summed_axes(affine) == [1, 2]  # else there is nothing to gain


def test_what_rows_share_is_not_mapped():
  merged = rows_of_matrix.over_rows(affine)
  kernels, rows = np.ones((6, 5, 4), 'f'), np.ones((6, 5), 'f')
  with pytest.raises(ValueError, match='rows alone are mapped'):
    jax.vmap(lambda kernel, row: merged((kernel, np.ones(4, 'f')), row))(kernels, rows)


def test_two_layers_of_the_same_inputs():
  inputs = RNG.normal(size=5).astype('f')
  layers = [(RNG.normal(size=(5, 3)).astype('f'), RNG.normal(size=3).astype('f')) for _ in range(2)]
  found = heads.both(inputs, *layers)
  for output, plain, (kernel, bias) in zip(
    found, heads.reference(inputs, *layers), layers, strict=True
  ):
    np.testing.assert_allclose(output, inputs @ kernel + bias, rtol=1e-5)
    np.testing.assert_allclose(output, plain, rtol=1e-5)


@pytest.mark.parametrize('num_lanes', [1, 3])
def test_a_lone_lane_is_a_lane(num_lanes):
  kernels, x = RNG.normal(size=(num_lanes, 4, 2)).astype('f'), RNG.normal(size=(6, 4)).astype('f')

  def layer(kernel, x):
    assert kernel.shape == (4, 2)
    return {'y': x @ kernel}

  found = jax.jit(lone.over_lanes(layer, 1, num_lanes))(kernels, x)['y']
  np.testing.assert_allclose(found, x @ kernels, rtol=1e-5, atol=1e-6)
  plain = jax.jit(lone.reference(layer, 1))(kernels, x)['y']
  np.testing.assert_allclose(found, plain, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('event', [(5,), (4, 3, 2)])
def test_the_examples_of_a_batch(event):
  images = RNG.integers(0, 256, (9, *event), np.uint8)
  indices = jnp.array([3, 3, 0, 8])
  found = gathering.examples_of(jnp.asarray(images))(indices)
  np.testing.assert_array_equal(found, images[[3, 3, 0, 8]])
  np.testing.assert_array_equal(found, gathering.reference(images)(indices))


@functools.partial(jax.jit, static_argnums=2)
def loops(first, stop, most):
  """Of h <- 2 h + draw(step) + step, ahead and by the reference."""

  def draw(step):
    return jnp.stack([step, step * step]).astype(jnp.int32)

  def take(step, carry, drawn):
    return 2 * carry + drawn + step

  arguments = first, stop, draw, take, jnp.zeros(2, jnp.int32), most
  return ahead.loop(*arguments), ahead.reference(*arguments)


@pytest.mark.parametrize('most', [1, 3, 100])
@pytest.mark.parametrize(('first', 'stop'), [(0, 1), (2, 9)])
def test_what_is_drawn_ahead_is_that_of_its_step(most, first, stop):
  """In whatever blocks, whole or not; the order of the steps counts."""
  expected = np.zeros(2, int)
  for step in range(first, stop):
    expected = 2 * expected + [2 * step, step * step + step]
  for found in loops(np.int32(first), np.int32(stop), most):
    np.testing.assert_array_equal(found, expected)


def test_no_more_is_drawn_ahead_than_the_cache_holds():
  drawn = jax.ShapeDtypeStruct((64, 1024), jnp.float32)  # a quarter of a megabyte
  assert ahead.steps_ahead(drawn, 100) == 1
  assert ahead.steps_ahead(jax.ShapeDtypeStruct((64,), jnp.float32), 100) == 100


def test_what_lies_there_is_not_put_again():
  here, there = (jax.sharding.SingleDeviceSharding(jax.devices()[0]), jax.devices()[0])
  tree = {'a': np.arange(3.0), 'b': jnp.ones(2)}
  put = putting.put(tree, here)
  jax.tree.map(np.testing.assert_array_equal, put, tree)
  jax.tree.map(np.testing.assert_array_equal, put, putting.reference(tree, there))
  assert putting.put(put, here) is put


@pytest.mark.parametrize('seed', [0, 7, 2**32 - 1])
def test_sums_begin_at_zero_and_are_a_lanes_own(seed):
  shapes = {'a': jax.ShapeDtypeStruct((3,), jnp.float32), 'b': np.ones((), np.int32)}
  seeds = np.full(2, seed, np.uint32)
  found = jax.vmap(lambda of_lane: carries.zeros(shapes, of_lane))(seeds)
  for name, leaf in carries.reference(shapes).items():
    np.testing.assert_array_equal(found[name], [leaf, leaf])
    assert found[name].dtype == leaf.dtype
  with pytest.raises(ValueError, match='out_axes'):  # as JAX refuses for what is mapped
    jax.vmap(lambda of_lane: carries.zeros(shapes, of_lane), out_axes=None)(seeds)
