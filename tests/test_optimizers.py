"""Schedules in closed form, and optimisers with a traced learning rate against their papers."""

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


B1, B2, EPS, RATE = 0.8, 0.9, 1e-3, 0.1


def adam(t, g, m, v):
  """Kingma & Ba 2015, algorithm 1."""
  m, v = B1 * m + (1 - B1) * g, B2 * v + (1 - B2) * g**2
  return m / (1 - B1**t) / (np.sqrt(v / (1 - B2**t)) + EPS), m, v


def adamax(t, g, m, u):
  """Kingma & Ba 2015, algorithm 2; eps stands beside the gradient."""
  m, u = B1 * m + (1 - B1) * g, np.maximum(B2 * u, np.abs(g) + EPS)
  return m / (1 - B1**t) / u, m, u


def adabelief(t, g, m, s):
  """Zhuang et al. 2020, algorithm 2, with eps once."""
  m = B1 * m + (1 - B1) * g
  s = B2 * s + (1 - B2) * (g - m) ** 2
  return m / (1 - B1**t) / (np.sqrt(s / (1 - B2**t)) + EPS), m, s


def nadam(t, g, m, v):
  """Dozat 2016, with one decay for all steps."""
  _, m, v = adam(t, g, m, v)
  ahead = B1 * m / (1 - B1 ** (t + 1)) + (1 - B1) * g / (1 - B1**t)
  return ahead / (np.sqrt(v / (1 - B2**t)) + EPS), m, v


def radam(t, g, m, v):
  """Liu et al. 2020, algorithm 2; optax begins to rectify at a length of 5, the paper above 4."""
  whole, m, v = adam(t, g, m, v)
  longest = 2 / (1 - B2) - 1
  length = longest - 2 * t * B2**t / (1 - B2**t)
  if length < 5:
    return m / (1 - B1**t), m, v
  above = (length - 4) * (length - 2) * longest
  return whole * np.sqrt(above / ((longest - 4) * (longest - 2) * length)), m, v


@pytest.mark.parametrize('by_hand', [adam, adamax, adabelief, nadam, radam])
def test_an_optimizer_is_that_of_its_paper_at_the_scheduled_rate(by_hand):
  """In NumPy; the learning rate is traced."""
  schedule = optimizers.exponential(2, 0.5)
  gradients = np.random.default_rng(0).normal(size=(12, 3))

  @jax.jit
  def run(learning_rate):
    make = getattr(optimizers, by_hand.__name__)
    optimizer = make(lambda count: learning_rate * schedule(count), B1, B2, EPS)

    def step(carry, gradient):
      params, state = carry
      updates, state = optimizer.update(gradient, state, params)
      return (params + updates, state), params + updates

    params = jnp.zeros(3)
    return jax.lax.scan(step, (params, optimizer.init(params)), jnp.asarray(gradients))[1]

  theta, m, v = np.zeros((3, 3))
  for t, (g, found) in enumerate(zip(gradients, run(RATE), strict=True), 1):
    update, m, v = by_hand(t, g, m, v)
    theta = theta - RATE * 0.5 ** ((t - 1) / 2) * update
    np.testing.assert_allclose(found, theta, rtol=1e-4, atol=1e-6)


def test_tripling_stages():
  """3^i times the first stage at factor^i each: Burda et al. 2016, section 5."""
  schedule = optimizers.tripling(10, 0.5)
  expected = [1.0] * 10 + [0.5] * 30 + [0.25] * 90 + [0.125] * 5
  np.testing.assert_allclose(jax.vmap(schedule)(jnp.arange(135)), expected)
  eighth = 10 * (3**8 - 1) // 2  # where the last of the eight stages of the paper ends
  assert schedule(eighth - 1) == 0.5**7 and schedule(eighth) == 0.5**8
  assert schedule(jnp.int32(2**31 - 1)) > 0  # no stage ends beyond what a step can be
