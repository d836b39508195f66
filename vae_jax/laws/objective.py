"""The laws of an objective."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import bounds, densities, lane_fields, lanes, objectives
from vae_jax.laws import broken as b

_EVER = 2**30  # a step that no run comes to
_FILLED = 5  # examples of the probe; the last one only fills the batch up
_RESERVED = ('rates', 'distortion', 'elbo', 'rate', 'objective', 'weighed_rate')
# Other values than those where a field does nothing.
_OTHER = {
  'beta': 3.0,
  'warmup_steps': 7,
  'free_bits': 0.5,
  'capacity': 2.0,
  'capacity_steps': 9,
  'covariance_weight': 0.5,
  'target_rate': 2.0,
}


def check_objective(objective: Any, what: str = 'the objective') -> None:
  """Checks an `objectives.Objective` on a batch of 4 examples and one that only fills it up.

  Raises:
    LawError: its terms are no numbers [], an example of weight 0 or a field of the lane that it
      does not name changes something, a larger likelihood makes it smaller, or gradients are not
      finite.
  """
  if not isinstance(objective, objectives.Objective):
    law = 'it is an objectives.Objective'
    raise b.broken(what, law, type(objective).__name__, 'Objective')
  unknown = [name for name in objective.lane_fields if name not in lane_fields.NAMES]
  if unknown:
    law = f'lane_fields are names of {", ".join(lane_fields.NAMES)}'
    raise b.broken(what, law, unknown[0], 'one of these')
  step, log_likelihood = jnp.int32(3), _log_likelihood(objective)

  averages = functools.partial(_averages, objective)

  def value(log_likelihood: Array, filling: Array, lane: lanes.Lane) -> Array:
    means, base = averages(log_likelihood, filling)
    return objective.combine({**base, **means}, lane, step)

  zero, lane = jnp.float32(0), _lane()
  with b.running(what, 'its terms are computed'):
    means, _ = b.shapes_of(averages, log_likelihood, zero)
  for name, mean in means.items():
    b.check_shape(what, f'its term {name!r} is an average []', mean, ())
    if name in _RESERVED:
      law = 'its terms have names of their own'
      raise b.broken(what, law, repr(name), f'none of {", ".join(_RESERVED)}')
  with b.running(what, 'its terms are combined'):
    found = b.shapes_of(value, log_likelihood, zero, lane)
    b.check_shape(what, '`combine` returns the objective []', found, ())
    evaluate = jax.jit(jax.value_and_grad(value))
    found, slope = evaluate(log_likelihood, zero, lane)
  b.check_finite(what, 'the objective and its gradient are finite', (found, slope))
  law = 'it is higher where p(x | z) is (nats per example, higher is better)'
  if not float(jnp.sum(slope)) > 0:
    raise b.broken(what, law, f'a slope of {float(jnp.sum(slope)):g}', 'one above 0')
  law = 'an example of weight 0, which only fills a batch up, changes nothing'
  b.check_same(what, law, found, evaluate(log_likelihood, jnp.float32(1), lane)[0])
  for field, other in _OTHER.items():
    if field not in objective.lane_fields:
      law = f'lanes.{field}, which lane_fields does not name, changes nothing'
      changed = lane._replace(**{field: jnp.float32(other)})
      b.check_same(what, law, found, evaluate(log_likelihood, zero, changed)[0])
  if 'target_rate' in objective.lane_fields:
    law = 'with target_rate among its lane_fields it falls by the rate where beta grows by 1'
    rate = jax.jit(averages)(log_likelihood, zero)[1]['rates'].sum()
    heavier = evaluate(log_likelihood, zero, lane._replace(beta=lane.beta + 1))[0]
    b.check_same(what, law, found - rate, heavier)
  if objective.path_weights is not None:
    with b.running(what, 'path_weights are asked for'):
      factors = b.shapes_of(objective.path_weights, log_likelihood[0])
    b.check_shape(what, 'path_weights are [L] for log w [L]', factors, log_likelihood[0].shape)


def settling(objective: Any) -> Callable[[lanes.Point, int], bool]:
  """Returns what tells whether a lane is weighed at a step as it is ever after.

  `combine` of an objective may change with the step in ways that no lane field says: then its value
  on one batch differs from that at a step beyond any run. What the fields do say, the warm-up and
  the capacity of the lane, is left out of it: see `weighting.is_settled`.

  Args:
    objective: that obeys the laws.
  """

  @jax.jit
  def differs(lane: lanes.Lane, step: Array) -> Array:
    means, base = _averages(objective, _log_likelihood(objective), jnp.float32(0))
    averages, steps = {**base, **means}, jnp.stack([step, jnp.int32(_EVER)])
    now, ever = jax.vmap(lambda step: objective.combine(averages, lane, step))(steps)
    return now != ever

  def is_settled(point: lanes.Point, step: int) -> bool:
    said = dict(warmup='constant', warmup_steps=0, capacity_steps=0)
    lane = _lane(**{**point, **said, 'latent_size': b.ACTIVE})
    return not differs(lane, jnp.int32(step))

  return is_settled


def _log_likelihood(objective: objectives.Objective) -> Array:
  """Returns log p(x | z) of the probe, [n, L]."""
  return 5 * b.normal(9, _FILLED, 2 * objective.num_groups) - 20


def _averages(objective: objectives.Objective, log_likelihood: Array, filling: Array) -> Any:
  """Returns the averages of the objective's own terms, and those that every objective has."""
  weights = jnp.asarray(np.arange(_FILLED) < _FILLED - 1, jnp.float32)
  terms, posteriors = _probe(log_likelihood, filling)
  means = objective.terms(terms, posteriors, weights, jnp.asarray(b.MASK))
  base = {
    'distortion': objectives.mean(jax.vmap(bounds.distortion)(terms), weights),
    'rates': objectives.mean(jax.vmap(bounds.analytic_kl)(terms), weights),
  }
  if objective.beta_range:
    betas = jnp.linspace(*objective.beta_range, _FILLED)
    rates = jax.vmap(bounds.analytic_kl)(terms).sum(axis=1)
    base['weighed_rate'] = objectives.mean(betas * rates, weights)
  return means, base


def _lane(**fields: Any) -> lanes.Lane:
  """Returns a lane that changes nothing but by `fields`, with inert latents."""
  points = [lanes.point(**{'latent_size': b.ACTIVE, **fields})]
  return jax.tree.map(lambda leaf: leaf[0], lanes.stack(points, b.WIDTH))


def _probe(log_likelihood: Array, filling: Array) -> tuple[bounds.ElboTerms, Any]:
  """Returns the terms and posteriors of examples; `filling` moves those of the last one."""
  num_samples, mask = log_likelihood.shape[1], jnp.asarray(b.MASK)
  last = jnp.arange(_FILLED) == _FILLED - 1

  def example(x: Array, is_last: Array, log_likelihood: Array, noise: Array) -> Any:
    loc = mask * (x + 2 * filling * is_last)
    q = densities.DiagonalGaussian(loc, jnp.exp(mask * (0.3 * x - 0.5)), mask)
    p = densities.StandardNormal(mask)
    z, log_q = jax.vmap(q.sample)(noise)
    terms = bounds.ElboTerms(
      z=z,
      log_likelihood=log_likelihood + 9 * filling * is_last,
      log_ratio=jax.vmap(p.log_prob)(z) - log_q,
      kl=q.kl_to_standard_normal(),
    )
    return terms, q

  noise = b.normal(10, _FILLED, num_samples, b.WIDTH)
  terms, posteriors = jax.vmap(example)(b.normal(11, _FILLED, b.WIDTH), last, log_likelihood, noise)
  return terms, posteriors
