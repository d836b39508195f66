"""What `haste.py` leaves out of JAX: the programs of tests are those without it."""

import functools

import flax.linen as nn
import haste
import jax
import jax.numpy as jnp
import pytest

pytestmark = pytest.mark.math


class Net(nn.Module):
  """Two layers."""

  @nn.compact
  def __call__(self, x):
    return nn.Dense(3)(jnp.where(x > 0, x, nn.gelu(nn.Dense(5)(x))[..., :4]))


def descended(params, key, x, steps):
  """Some steps down the gradient of a loss with noise: a loop, of one of several lanes."""

  def loss(params, noise):
    return jnp.mean((Net().apply(params, x + noise) - jax.nn.logsumexp(x)) ** 2)

  def step(i, carry):
    params, total = carry
    value, slope = jax.value_and_grad(loss)(
      params, jax.random.normal(jax.random.fold_in(key, i), x.shape) * jax.random.uniform(key)
    )
    return jax.tree.map(lambda p, s: p - 0.1 * s, params, slope), total + value

  return jax.lax.fori_loop(0, steps, step, (params, 0.0 * params['params']['Dense_0']['bias'][0]))


def lowered():
  """Returns the text of a program of 3 lanes."""
  x = jax.ShapeDtypeStruct((2, 4), jnp.float32)
  keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 3))
  params = jax.eval_shape(jax.vmap(Net().init, (0, None)), keys, x)
  return jax.jit(jax.vmap(descended, (0, 0, None, None))).lower(params, keys, x, 3).as_text()


def test_a_program_is_that_without_haste():
  hasty = lowered()
  with haste.plain():
    assert lowered() == hasty


def test_what_a_function_holds_tells_it_from_others():
  def adds(held, given=1):
    return lambda x, by=given: x + held * by

  power = functools.partial
  assert haste.identity(adds(1)) == haste.identity(adds(1)) != haste.identity(adds(2))
  assert haste.identity(adds(1)) != haste.identity(adds(True))
  assert haste.identity(adds(1)) != haste.identity(adds(1, 2))
  assert haste.identity(power(pow, exp=2)) != haste.identity(power(pow, exp=3))
  assert haste.identity(jax.vmap(jnp.sin)) != haste.identity(jax.vmap(jnp.sin, 1))
