"""Softplus and its derivatives against NumPy in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from vae_jax.fast.softplus import reference, softplus

pytestmark = pytest.mark.math

GRID = np.concatenate([np.linspace(-80, 80, 160_001), [0.0, 1e-30, -1e-30, 1e4, -1e4]])


@pytest.fixture(params=[False, True], ids=['as it comes', 'by the full compiler'])
def compiled(request):
  return jax.jit if request.param else lambda function: function


def test_values_to_rounding(compiled):
  x = GRID.astype(np.float32)
  values = compiled(softplus)(x)
  np.testing.assert_allclose(values, np.logaddexp(0, x.astype(np.float64)), rtol=4e-7)
  np.testing.assert_allclose(values, reference(x), rtol=1e-6)


def test_the_derivative_is_the_logistic_function(compiled):
  x = GRID.astype(np.float32)
  slopes = compiled(jax.vmap(jax.grad(softplus)))(x)
  np.testing.assert_allclose(slopes, scipy.special.expit(x.astype(np.float64)), rtol=1e-6)
  curvatures = compiled(jax.vmap(jax.grad(jax.grad(softplus))))(x[::1000])
  p = scipy.special.expit(x[::1000].astype(np.float64))
  np.testing.assert_allclose(curvatures, p * (1 - p), rtol=1e-5, atol=1e-7)


def test_the_ends(compiled):
  ends = jnp.array([-jnp.inf, -3e38, 3e38, jnp.inf, jnp.nan])
  values = np.asarray(compiled(softplus)(ends))
  np.testing.assert_array_equal(values, [0, 0, np.float32(3e38), np.inf, np.nan])
  slopes = np.asarray(compiled(jax.vmap(jax.grad(softplus)))(ends))
  np.testing.assert_array_equal(slopes, [0, 0, 1, 1, np.nan])
