"""The coupling flow against NumPy and brute-force Jacobians, and what its masks keep apart."""

import functools

import jax
import jax.numpy as jnp
import latent_kinds as kinds
import numpy as np
import pytest

from vae_jax import networks

pytestmark = pytest.mark.math

FLOW = networks.CouplingFlow(num_layers=3, hidden=(5, 4))
FEATURES = np.array([0.4, -0.3], 'f')
NONE = np.zeros(0, 'f')
Z = kinds.normal(0, 10, 4)


def params_of(flow, features, mask, seed=0):
  shapes = jax.eval_shape(flow.init, jax.random.key(0), features, mask)
  return kinds.randomized(shapes, seed)


@functools.partial(jax.jit, static_argnums=0)
def forward(flow, params, features, mask, z):
  """y [n, Z], log det [n]."""
  return jax.vmap(flow.make((params, features), mask).forward_and_log_det)(z)


@functools.partial(jax.jit, static_argnums=0)
def inverse(flow, params, features, mask, y):
  return jax.vmap(flow.make((params, features), mask).inverse_and_log_det)(y)


def dense(params, h):
  return h @ np.float64(params['kernel']) + params.get('bias', 0)


def by_hand(variables, features, mask, z):
  """Dinh et al. 2017, eqs. 4 to 8, one latent after the other, in float64."""
  log_det = 0.0
  for i, params in enumerate(variables):
    params = params['params']
    kept = [j for j in range(len(z)) if j % 2 == i % 2]
    seen = np.array([z[j] * mask[j] if j in kept else 0.0 for j in range(len(z))])
    h = dense(params['latents'], seen)
    if features.size:
      h = h + dense(params['x'], features)
    h = np.tanh(h)
    if 'mlp' in params:
      h = np.tanh(dense(params['mlp']['hidden_0'], h))
    output = dense(params['output'], h)
    z = z.copy()
    for j in range(len(z)):
      if j not in kept and mask[j]:
        shift, raw = output[2 * j : 2 * j + 2]
        z[j] = z[j] * np.exp(2 * np.tanh(raw / 2)) + shift
        log_det += 2 * np.tanh(raw / 2)
  return z, log_det


@pytest.mark.parametrize('features', [FEATURES, NONE], ids=['x', 'no x'])
def test_the_flow_is_dinhs_by_hand(features):
  mask = np.array([1, 1, 1, 0], 'f')
  params = params_of(FLOW, features, mask)
  y, log_det = forward(FLOW, params, features, mask, Z)
  expected = [by_hand(params, features, mask, np.float64(z)) for z in Z]
  np.testing.assert_allclose(y, [each[0] for each in expected], rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(log_det, [each[1] for each in expected], rtol=1e-4, atol=1e-5)


def test_the_inverse_undoes_it_and_the_determinant_is_the_jacobians():
  mask = np.ones(4, 'f')
  params = params_of(FLOW, FEATURES, mask, seed=1)
  y, log_det = forward(FLOW, params, FEATURES, mask, Z)
  back, inverse_log_det = inverse(FLOW, params, FEATURES, mask, y)
  np.testing.assert_allclose(back, Z, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(inverse_log_det, -log_det, rtol=1e-4, atol=1e-5)
  one = lambda z: FLOW.make((params, FEATURES), mask).forward(z)  # noqa: E731
  jacobian = np.float64(jax.jit(jax.vmap(jax.jacfwd(one)))(Z))
  sign, expected = np.linalg.slogdet(jacobian)
  assert np.all(sign == 1)
  np.testing.assert_allclose(log_det, expected, rtol=1e-4, atol=1e-5)
  assert np.all(jacobian != 0)  # three layers: every latent has a part in every other


def test_it_starts_at_the_identity_with_layers_that_differ():
  mask = np.ones(4, 'f')

  @jax.jit
  def init(key):
    start = FLOW.init(key, FEATURES, mask)
    outputs = [params['params']['output'] for params in start]
    return outputs, [params['params']['latents']['kernel'] for params in start[:2]]

  outputs, kernels = init(jax.random.key(0))
  params = params_of(FLOW, FEATURES, mask)
  assert len(outputs) == len(params) == 3
  start = [{'params': p['params'] | {'output': o}} for p, o in zip(params, outputs, strict=True)]
  y, log_det = forward(FLOW, start, FEATURES, mask, Z)
  np.testing.assert_array_equal(y, Z)
  np.testing.assert_array_equal(log_det, 0)
  assert np.all(kernels[0] != kernels[1])


def test_inert_latents_stay_where_they_are_and_move_nothing():
  mask = kinds.mask_of(2, 4)
  params = params_of(FLOW, FEATURES, mask, seed=2)
  other = Z + 3 * (1 - mask)
  for go in (forward, inverse):
    (y, log_det), (moved, same) = (go(FLOW, params, FEATURES, mask, z) for z in (Z, other))
    np.testing.assert_array_equal(y[:, 2:], Z[:, 2:])
    np.testing.assert_array_equal(moved, y + 3 * (1 - mask))
    np.testing.assert_array_equal(same, log_det)
    assert np.all(y[:, :2] != Z[:, :2])


def test_features_change_what_the_latents_do_to_each_other():
  """Not only the shift: with one hidden layer, too, dy/dz of two latents depends on x."""
  flow, mask = networks.CouplingFlow(num_layers=1, hidden=(6,)), np.ones(2, 'f')
  params = params_of(flow, FEATURES, mask)

  @jax.jit
  @functools.partial(jax.jacfwd, argnums=0)
  def slope(z, features):
    return flow.make((params, features), mask).forward(z)

  one, other = slope(Z[0, :2], FEATURES), slope(Z[0, :2], FEATURES + 1)
  np.testing.assert_array_equal(one[0], [1, 0])  # the first layer keeps the even latents
  assert abs(one[1, 0] - other[1, 0]) > 1e-2
  assert abs(one[1, 1] - other[1, 1]) > 1e-2


def test_no_layer_scales_by_more_than_exp_2():
  mask = np.ones(4, 'f')
  params = jax.tree.map(lambda leaf: 1e4 * leaf, params_of(FLOW, FEATURES, mask))
  log_det = lambda z: FLOW.make((params, FEATURES), mask).forward_and_log_det(z)[1]  # noqa: E731
  values, gradients = jax.jit(jax.vmap(jax.value_and_grad(log_det)))(jnp.asarray(Z))
  assert np.all(np.abs(values) <= 3 * 2 * 2)  # layers, latents that move, bound
  assert np.all(np.isfinite(gradients))
