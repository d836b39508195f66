"""Warm-up, free bits and capacity against their formulas, and what turns each of them off."""

import functools

import jax
import numpy as np
import pytest

from vae_jax import lanes, weighting

pytestmark = pytest.mark.math

RATES = np.float32([0.1, 0.7, 2.0, 0.0])
MASK = np.float32([1.0, 1.0, 1.0, 0.0])


# In one program each: one operation after the other compiles each.
beta_at = jax.jit(weighting.beta_at)
betas_at = jax.jit(jax.vmap(weighting.beta_at, (None, 0)))
capacity_at = jax.jit(weighting.capacity_at)


def lane_of(**fields):
  point = lanes.point(3.0, 3, 0, 1e-3) | fields
  return jax.tree.map(lambda leaf: leaf[0], lanes.stack([point], 4))


@pytest.mark.parametrize(
  ('warmup', 'expected'),
  [
    ('constant', lambda t: np.ones_like(t)),
    ('linear', lambda t: np.clip(t, 0, 1)),
    ('cosine', lambda t: 0.5 - 0.5 * np.cos(np.pi * np.clip(t, 0, 1))),
    ('cyclical', lambda t: np.where(t % 2 < 1, t % 2, 1.0)),
  ],
)
def test_warm_ups(warmup, expected):
  lane = lane_of(warmup=warmup, warmup_steps=0 if warmup == 'constant' else 20)
  steps = np.arange(0, 101)
  found = betas_at(lane, steps)
  np.testing.assert_allclose(found, 3.0 * expected(steps / 20), rtol=1e-5, atol=1e-6)


def test_a_warm_up_ends_at_beta_and_stays_there():
  """At a step beyond float32's whole numbers, too."""
  for warmup in ('linear', 'cosine'):
    lane = lane_of(warmup=warmup, warmup_steps=1000)
    for step in (1000, 1001, 2**31 - 1):
      assert beta_at(lane, np.int32(step)) == 3.0


@pytest.mark.parametrize('warmup_steps', [1, 3, 1000, 2**20, 2**24 - 1])
def test_a_cycle_keeps_its_phase_to_the_last_step(warmup_steps):
  """Beyond 2^24, where float32 holds no step of its own: Python's integers are the oracle."""
  lane = lane_of(warmup='cyclical', warmup_steps=warmup_steps)
  last = 2**31 - 1
  steps = [2**24, 2**24 + 1, 2**30 + 1, last - 3 * warmup_steps // 2, last - 1, last]
  steps = [step for step in steps if step >= 2**24]
  found = betas_at(lane, np.int32(steps))
  expected = [3.0 * min(step % (2 * warmup_steps) / warmup_steps, 1) for step in steps]
  np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_before_float32_loses_a_step_a_cycle_is_the_quotient_to_the_bit():
  lane = lane_of(warmup='cyclical', warmup_steps=7)
  steps = np.int32([*range(300), 10**6 + 3, 2**24 - 2, 2**24 - 1])
  quotient = steps.astype('f') / np.float32(7)
  found = betas_at(lane, steps)
  np.testing.assert_array_equal(found, np.float32(3.0) * np.minimum(quotient % 2, np.float32(1.0)))


@functools.partial(jax.jit, static_argnames=('per_latent', 'lower_size'))
def penalised(lane, step, rates, per_latent, lower_size):
  groups = weighting.rate_groups(MASK, rates.size, per_latent, lower_size)
  return weighting.penalised_rate(rates, groups, lane, step)


def rate_of(lane, step=0, per_latent=True, lower_size=0, rates=RATES):
  return float(penalised(lane, step, rates, per_latent, lower_size))


def test_without_weighting_the_rate_is_the_sum_of_its_parts():
  assert rate_of(lane_of()) == pytest.approx(2.8, rel=1e-6)
  # A sampled rate may be negative for once; neither floor nor absolute value may touch it.
  assert rate_of(lane_of(), rates=-RATES) == pytest.approx(-2.8, rel=1e-6)


@pytest.mark.parametrize(
  ('arguments', 'expected'),
  [
    (dict(per_latent=True), 0.5 + 0.7 + 2.0),  # the inert latent costs nothing
    (dict(per_latent=False), 2.8),
    (dict(per_latent=False, lower_size=1), 0.5 + 2.7),
    (dict(per_latent=True, rates=np.float32([0.2])), 0.5),  # a rate that does not split
  ],
)
def test_free_bits_are_a_floor_for_each_group(arguments, expected):
  assert rate_of(lane_of(free_bits=0.5), **arguments) == pytest.approx(expected, rel=1e-6)


def test_free_bits_stop_the_gradient_of_a_group_below_the_floor():
  gradient_of = jax.jit(jax.grad(penalised, argnums=2), static_argnums=(3, 4))
  gradient = gradient_of(lane_of(free_bits=0.5), 0, RATES, True, 0)
  np.testing.assert_array_equal(gradient, [0.0, 1.0, 1.0, 0.0])


@pytest.mark.parametrize(
  ('step', 'capacity'), [(0, 0.0), (25, 2.5), (40, 4.0), (100, 10.0), (900, 10.0)]
)
def test_capacity_rises_and_the_rate_is_held_at_it(step, capacity):
  lane = lane_of(capacity=10.0, capacity_steps=100)
  assert capacity_at(lane, step) == pytest.approx(capacity, rel=1e-6)
  assert rate_of(lane, step) == pytest.approx(abs(2.8 - capacity), rel=1e-5)


def test_a_capacity_without_steps_holds_from_the_first():
  assert rate_of(lane_of(capacity=10.0), 0) == pytest.approx(7.2, rel=1e-6)


def test_free_bits_and_capacity_together():
  lane = lane_of(free_bits=0.5, capacity=10.0)
  assert rate_of(lane) == pytest.approx(10 - 3.2, rel=1e-6)
