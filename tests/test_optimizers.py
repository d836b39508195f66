"""Schedules in closed form, and Adam with a traced learning rate against its paper."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import errors, optimizers, parts

pytestmark = pytest.mark.math


@pytest.mark.parametrize(
  ('name', 'factor', 'expected'),
  [
    ('constant', 0.5, lambda t: np.ones_like(t)),
    ('linear', 0.5, lambda t: 1 - 0.5 * np.minimum(t / 10, 1)),
    ('cosine', 0.5, lambda t: 0.5 + 0.25 * (1 + np.cos(np.pi * np.minimum(t / 10, 1)))),
    ('exponential', 0.5, lambda t: 0.5 ** (t / 10)),
  ],
)
@pytest.mark.parametrize('warmup', [0, 4])
def test_schedules_warm_up_and_decay(name, factor, expected, warmup):
  settings = {} if name == 'constant' else dict(decay_steps=10, factor=factor)
  schedule = optimizers.warmed_up(getattr(optimizers, name)(**settings), warmup)
  steps = np.arange(30)
  values = np.array([schedule(step) for step in steps])
  np.testing.assert_allclose(values[:warmup], (steps[:warmup] + 1) / 4, rtol=1e-6)
  np.testing.assert_allclose(values[warmup:], expected(steps[warmup:] - warmup), rtol=1e-5)


def test_an_exponential_never_falls_to_0():
  check = parts.parameters('schedule', 'exponential')['factor'].check
  check('schedule.factor', 1e-6)
  with pytest.raises(errors.InputError, match='above 0'):
    check('schedule.factor', 0.0)


def test_adam_is_that_of_its_paper_at_the_scheduled_rate():
  """Kingma & Ba 2015, algorithm 1, in NumPy; the learning rate is traced."""
  b1, b2, eps, rate = 0.8, 0.99, 1e-3, 0.1
  schedule = optimizers.exponential(2, 0.5)
  gradients = np.random.default_rng(0).normal(size=(6, 3))

  @jax.jit
  def run(learning_rate):
    optimizer = optimizers.adam(lambda count: learning_rate * schedule(count), b1, b2, eps)
    params = jnp.zeros(3)
    state = optimizer.init(params)
    for gradient in gradients:
      updates, state = optimizer.update(jnp.asarray(gradient), state, params)
      params = params + updates
    return params

  theta, m, v = np.zeros((3, 3))
  for t, g in enumerate(gradients):
    m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
    m_hat, v_hat = m / (1 - b1 ** (t + 1)), v / (1 - b2 ** (t + 1))
    theta = theta - rate * 0.5 ** (t / 2) * m_hat / (np.sqrt(v_hat) + eps)
  np.testing.assert_allclose(run(rate), theta, rtol=1e-5)


def test_tripling_stages():
  """3^i times the first stage at factor^i each: Burda et al. 2016, section 5."""
  schedule = optimizers.tripling(10, 0.5)
  expected = [1.0] * 10 + [0.5] * 30 + [0.25] * 90 + [0.125] * 5
  np.testing.assert_allclose(jax.vmap(schedule)(jnp.arange(135)), expected)
  assert schedule(jnp.int32(2**31 - 1)) > 0  # no stage ends beyond what a step can be
