"""A lane with a target rate: a step of its multiplier, and what else it changes."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vae_jax import (
  bounds,
  densities,
  errors,
  lane_fields,
  lanes,
  learner,
  networks,
  objectives,
  weighting,
)

pytestmark = pytest.mark.math


def lane_of(target, beta=2.0):
  stacked = lanes.stack([lanes.point(beta, 1, 0, 1e-3, target_rate=target)], 1)
  return jax.tree.map(lambda leaf: leaf[0], stacked)


@pytest.mark.parametrize(
  ('rate', 'target', 'error'),
  [
    (6.0, 4.0, 0.5),
    (1.0, 4.0, -0.75),
    (4.0, 4.0, 0.0),
    (0.4, 0.1, 0.3),  # below a nat in nats
    (0.0, 4.0, -1.0),
    (9.0, 4.0, 1.0),
    (np.inf, 1e-30, 1.0),
    (0.0, 1e30, -1.0),
  ],
)
def test_a_step_of_the_multiplier(rate, target, error):
  lane, rate, multiplier = lane_of(target), np.float32(rate), np.float32(3.0)
  pace = 0.01 if error < 1 else 0.001  # an encoder that far off is not trained yet
  moved = jax.jit(weighting.next_multiplier)(multiplier, rate, lane)
  assert moved == pytest.approx(3 * np.exp(pace * error), rel=1e-6)
  held = jax.jit(weighting.held)(lane, multiplier, rate)
  assert held.beta == pytest.approx(3 * np.exp(3 * error), rel=1e-5)


def test_the_multiplier_stays_within_its_range():
  low, high = map(np.float32, lane_fields.MULTIPLIERS)
  assert weighting.next_multiplier(low, jnp.float32(0), lane_of(9.0)) == low
  assert weighting.next_multiplier(high, jnp.float32(99.0), lane_of(9.0)) == high


def test_without_a_target_nothing_moves():
  lane, multiplier = lane_of(0.0), jnp.float32(2.0)
  assert weighting.next_multiplier(multiplier, jnp.float32(50.0), lane) == 2
  assert weighting.held(lane, multiplier, jnp.float32(50.0)).beta == 2
  assert weighting.held(lane, None, jnp.float32(50.0)) is lane
  assert weighting.weighed(lane, None) is lane


def test_no_gradient_goes_through_what_weighs():
  """Else the objective would be another: its gradient is -beta dR."""
  lane = lane_of(4.0)
  slope = jax.grad(lambda rate: weighting.held(lane, jnp.float32(2.0), rate).beta * 1.0)(3.0)
  assert slope == 0


def one_step(w=0.0, **changes):
  """A step at the target 3 and beta 2 of a model whose rate is 2, and whose log p(x | z) is w."""
  params = {'w': jnp.float32(w)}
  model = networks.Model(
    **dict.fromkeys(networks.Model._fields)
    | dict(
      init=lambda key, mask: params,
      encode=lambda params, x, mask: densities.DiagonalGaussian(2 * mask, jnp.ones(1), mask),
      prior=lambda params, mask: densities.StandardNormal(mask),
      outputs=lambda params, z, mask: z,
      likelihood=lambda params, z: types.SimpleNamespace(log_prob=lambda x: params['w']),
    )
  )
  estimator = learner.Estimator(
    model, objectives.beta_elbo(), bounds.analytic_kl, bounds.reparameterized
  )
  one = learner.make_learner(estimator, 1, lambda rate: optax.sgd(1.0), has_targets=True)
  lane = lane_of(3.0)
  state = one.init(lane)._replace(**changes)
  after, metrics = one.step(state, lane, jnp.ones((2, 1)), one.draw(lane, 2, 3), jnp.int32(3))
  return jax.device_get((state, after, metrics))


def test_a_lane_begins_at_its_beta():
  state, _, _ = one_step()
  assert state.multiplier == 2


def test_a_step_is_of_the_multiplier_of_its_state_and_moves_it():
  """The objective is -D - beta R at the beta that holds the rate; what is logged is lambda."""
  state, after, metrics = one_step(w=-7.0, multiplier=jnp.float32(0.3))
  assert metrics['rate'] == 2
  weight = 0.3 * np.exp(3 * (2 - 3) / 3)
  assert metrics['objective'] == pytest.approx(-7 - weight * 2, rel=1e-6)
  assert metrics['multiplier'] == state.multiplier == np.float32(0.3)
  assert after.multiplier == pytest.approx(0.3 * np.exp(0.01 * (2 - 3) / 3), rel=1e-6)


@pytest.mark.parametrize('state', [dict(w=np.nan), dict(diverged_at=jnp.int32(1))])
def test_a_lane_that_diverges_keeps_its_multiplier(state):
  before, after, _ = one_step(**state)
  assert after.diverged_at in (1, 3)
  assert after.multiplier == before.multiplier == 2


def from_point(**fields):
  axes = {name: (value,) for name, value in lane_fields.DEFAULTS.items()}
  return lanes.from_axes('product', axes | {k: (v,) for k, v in fields.items()}, ())


@pytest.mark.parametrize(
  ('fields', 'words'),
  [
    (dict(beta=0.0), 'lanes.beta=0 .*lanes.target_rate=3 .*nearest valid value is 1e-06'),
    (dict(beta=1e7), 'lanes.beta=1e.07 .*nearest valid value is 1e.06'),
    (dict(warmup='linear', warmup_steps=9), "lanes.warmup='linear' .*set lanes.warmup='constant'"),
    (dict(free_bits=0.5), 'lanes.free_bits=0.5 .*set lanes.free_bits=0.0'),
    (dict(capacity=5.0), 'lanes.capacity=5.0 .*set lanes.capacity=0.0'),
    (dict(target_rate=-1.0), 'lanes.target_rate=-1.0 .*nearest valid value is 0'),
  ],
)
def test_what_does_not_go_with_a_target_is_refused(fields, words):
  with pytest.raises(errors.InputError, match=words) as caught:
    from_point(**{'target_rate': 3.0} | fields)
  assert len(caught.value.problems) == 1


def test_a_target_has_a_mark_in_the_name_of_its_lane():
  points = [lanes.point(1.0, 8, 0, 1e-3, target_rate=rate) for rate in (0.0, 2.5, 20.0)]
  assert lanes.names(points) == ['b1-z8-s0-r0', 'b1-z8-s0-r2.5', 'b1-z8-s0-r20']


def test_a_target_that_no_model_reaches_ends_at_the_least_multiplier():
  """Latents that nothing can fill: the data have no variance. No number is lost on the way."""
  lane, multiplier = lane_of(50.0, beta=1.0), jnp.float32(1.0)
  move = jax.jit(
    lambda start: jax.lax.fori_loop(
      0, 1500, lambda _, m: weighting.next_multiplier(m, jnp.float32(0.0), lane), start
    )
  )
  assert move(multiplier) == np.float32(lane_fields.MULTIPLIERS[0])
