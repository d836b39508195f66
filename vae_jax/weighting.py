"""How much the rate weighs at a step: warm-up, free bits, capacity, target, by the lane's data."""

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax.lane_fields import MULTIPLIERS, WARMUPS
from vae_jax.lanes import Lane, Point

# Of the multiplier that holds a rate: found on digits and on the linear model, at learning rates of
# 3e-4 to 2e-2. Without pressure the rate overshoots by a fifth, at a tenth of the pace already.
_PRESSURE, _PACE = 3.0, 0.01


def beta_at(lane: Lane, step: Array) -> Array:
  """Returns the weight of the rate at a step, [], from 0 up to the lane's beta.

    beta(step) = beta r(t)     t = step / warmup_steps

    constant   r = 1
    linear     r = min(t, 1)                         Sonderby et al. 2016, arxiv.org/abs/1602.02282
    cosine     r = (1 - cos(pi min(t, 1))) / 2
    cyclical   r = min(t mod 2, 1): up, then level,  Fu et al. 2019, eqs. 6 and 7, R = 1/2,
               and again from 0                      arxiv.org/abs/1903.10145

  `step` counts the steps before this one, so a checkpoint that has the step has the schedule.
  """
  steps = jnp.maximum(lane.warmup_steps, 1)
  t = step / steps
  once = jnp.minimum(t, 1.0)
  ramps = {
    'constant': jnp.ones_like(t),
    'linear': once,
    'cosine': (1 - jnp.cos(jnp.pi * once)) / 2,
    'cyclical': jnp.where(step < 2**24, jnp.minimum(t % 2, 1.0), _cyclical(step, steps)),
  }
  return lane.beta * jnp.stack([ramps[name] for name in WARMUPS])[lane.warmup]


def _cyclical(step: Array, steps: Array) -> Array:
  """Returns min(step / steps mod 2, 1) in integers: float32 does not hold a step from 2^24 on.

  Before that the quotient is as it always was, so that a run goes on with the bits it began with.
  """
  step, steps = jnp.asarray(step).astype(jnp.uint32), steps.astype(jnp.uint32)
  is_level = (step // steps) % 2 == 1
  return jnp.where(is_level, 1.0, (step % steps) / steps)


def capacity_at(lane: Lane, step: Array) -> Array:
  """Returns C(step) in nats, []: from 0 up to the lane's capacity over its capacity_steps.

  It rises linearly; without steps it is the capacity from the first.
  """
  risen = jnp.minimum(step / jnp.maximum(lane.capacity_steps, 1), 1.0)
  return lane.capacity * jnp.where(lane.capacity_steps > 0, risen, 1.0)


def is_settled(point: Point, step: int) -> bool:
  """Tells whether a lane's warm-up and capacity are past, or level, after so many steps.

  Then its objective weighs the rate as in the end, and two of its values can be compared. Of a lane
  that holds a target rate no two can: its multiplier moves.
  """
  if point['target_rate']:
    return False
  steps = point['warmup_steps']
  level = (step // steps) % 2 == 1 if point['warmup'] == 'cyclical' else step >= steps
  return level and step >= point['capacity_steps']


def rate_groups(mask: Array, num_parts: int, per_latent: bool, lower_size: int) -> Array:
  """Returns the groups [J, P] of `penalised_rate`: single latents, or whole layers.

  Args:
    mask: [Z].
    num_parts: P; where the rate does not split by latent it is 1, and one group.
    per_latent: a group for each latent; otherwise one for each layer.
    lower_size: of the lower of two layers, 0 for one.
  """
  if num_parts != mask.size:
    return jnp.ones((1, 1))
  if per_latent:
    return jnp.diag(mask)
  is_lower = jnp.arange(mask.size) < lower_size
  return mask * jnp.stack([is_lower, ~is_lower])


def penalised_rate(rates: Array, groups: Array, lane: Lane, step: Array) -> Array:
  """Returns what beta weighs, [] in nats per example: the rate, or what stands for it.

    F = sum_j max(lambda, R_j)            free bits, where the lane's lambda > 0
    |F - C(step)|                         capacity, where the lane's capacity > 0

  Kingma et al. 2016, eq. 15, arxiv.org/abs/1606.04934 (the maximum is taken of the batch's mean);
  Burgess et al. 2018, eq. 8, arxiv.org/abs/1804.03599, with beta for their gamma.

  Args:
    rates: the mean rate by part [P].
    groups: [J, P], 1 where part p belongs to group j; a group's rate is the sum of its parts, and a
      group without parts is absent.
    lane, step: of the weighting.
  """
  grouped = groups @ rates  # [J]
  floor = jnp.where(groups.sum(axis=1) > 0, jnp.maximum(grouped, lane.free_bits), 0.0)
  rate = jnp.where(lane.free_bits > 0, floor.sum(), rates.sum())
  return jnp.where(lane.capacity > 0, jnp.abs(rate - capacity_at(lane, step)), rate)


def weighed(lane: Lane, multiplier: Array | None) -> Lane:
  """Returns the lane with its multiplier for its beta, where it has a target rate.

  Args:
    lane: of one lane, or [G].
    multiplier: of the same; None where no lane of the program has a target, which changes nothing.
  """
  if multiplier is None:
    return lane
  return lane._replace(beta=jnp.where(lane.target_rate > 0, multiplier, lane.beta))


def held(lane: Lane, multiplier: Array | None, rate: Array) -> Lane:
  """Returns the lane as a step weighs it that holds the rate R at the lane's target T.

    beta = lambda exp(3 e)     e = (R - T) / max(T, 1), within -1 and 1

  lambda is the multiplier of the constraint R = T, so that the objective is -D - lambda (R - T) up
  to what no parameter changes; see `next_multiplier`. The factor answers an error at once, before
  the multiplier has: without it the rate swings about its target. It is 1 on the target, and its
  exponent is the proportional part of a controller whose integral is log lambda.

  Args:
    lane, multiplier: as for `weighed`.
    rate: R of the batch, [], in nats; no gradient goes through it here.
  """
  if multiplier is None:
    return lane
  error = _error(jax.lax.stop_gradient(rate), lane)
  return weighed(lane, multiplier * jnp.exp(_PRESSURE * error))


def next_multiplier(multiplier: Array, rate: Array, lane: Lane) -> Array:
  """Returns the multiplier after a step, []; that of a lane without a target stays.

    log lambda <- log lambda + 0.01 e,    lambda from 1e-6 to 1e6

  As GECO does for the distortion (Rezende & Viola 2018, algorithm 1, arxiv.org/abs/1810.00597), in
  the logarithm. Where it comes to rest R = T, and lambda is what a nat of rate is worth there:
  -dD/dR. A rate of twice the target or more is of an untrained encoder, which says little of
  lambda: there the multiplier moves at a tenth of that pace.

  Args:
    multiplier: before the step, [].
    rate: R of the batch, [], in nats.
    lane: of its target.
  """
  error = _error(rate, lane)
  pace = jnp.where(error < 1, _PACE, _PACE / 10)
  moved = jnp.clip(multiplier * jnp.exp(pace * error), *MULTIPLIERS)
  return jnp.where(lane.target_rate > 0, moved, multiplier)


def _error(rate: Array, lane: Lane) -> Array:
  """Returns how far a rate is above its target, as a part of it; below a nat, in nats."""
  return jnp.clip((rate - lane.target_rate) / jnp.maximum(lane.target_rate, 1.0), -1.0, 1.0)
