"""A lane's metrics over a data set, and how its latents are used."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import data, learner
from vae_jax.evaluation.batches import Batches, highest_precision
from vae_jax.fast import carries
from vae_jax.lanes import Lane

ACTIVE_VARIANCE = 0.01  # Burda et al. 2016, section 5.1
_FITS = 20  # of a scale to a distortion, more than enough


class Evaluation(NamedTuple):
  """What a data set says of one lane.

  Attributes:
    metrics: name -> [], in nats per example, and the number of active units.
    rates: [P], the mean rate by part; see `densities.posteriors` for the parts.
    variances: [Z] Var_x of the posterior's centre; NaN of a single image, 0 of an inert latent.
  """

  metrics: dict[str, Array]
  rates: Array
  variances: Array


class _Moments(NamedTuple):
  count: Array  # []
  mean: Array  # [Z]
  squares: Array  # [Z] sum of squared deviations from the mean


def _merge(moments: _Moments, values: Array, weights: Array) -> _Moments:
  """Adds a batch [N, Z] to running moments (Chan et al. 1983): no cancellation in float32."""
  count = jnp.sum(weights)
  mean = weights @ values / count
  squares = weights @ jnp.square(values - mean)
  total = moments.count + count
  delta = mean - moments.mean
  return _Moments(
    total,
    moments.mean + delta * count / total,
    moments.squares + squares + jnp.square(delta) * moments.count * count / total,
  )


@highest_precision
def evaluate(
  of_lane: learner.Learner,
  params: Any,
  lane: Lane,
  batches: Batches,
  scale: float,
  step: Array,
) -> Evaluation:
  """Averages a lane's metrics over a data set, z sampled; nats per example.

  The metrics are elbo, rate, distortion, objective (weighed as at `step`), the objective's own
  terms (which see one batch at a time), and active_units: the number of latents u with
  Var_x(E_q[u | x]) > 0.01 (Burda et al. 2016, section 5.1, arxiv.org/abs/1509.00519), NaN where one
  of the variances is not known. Where E_q has no closed form (a flow), the image of noise 0 stands
  for it.

  Args:
    of_lane: the learner.
    params, lane: of one lane.
    batches: the data set, as stored.
    scale: the model sees stored / scale.
    step: the number of steps taken.
  """

  @functools.partial(jax.jit, inline=True)  # traced once, though its shapes are asked for first
  def of_batch(index: Array, batch: Batches) -> tuple[dict[str, Array], Array]:
    x = data.to_values(batch.images, scale)
    return of_lane.evaluate(params, lane, x, index, batch.weights, batch.beside)

  def add_batch(carry, batch):
    sums, moments, index = carry
    averages, centres = of_batch(index, batch)
    sums = jax.tree.map(lambda total, new: total + batch.weights.sum() * new, sums, averages)
    return (sums, _merge(moments, centres, batch.weights), index + 1), None

  first = jax.tree.map(lambda leaf: leaf[0], batches)
  averages, _ = jax.eval_shape(of_batch, 0, first)
  sums, zeros = carries.zeros((averages, lane.mask), lane.seed)
  start = (sums, _Moments(jnp.zeros(()), zeros, zeros), 0)
  (sums, moments, _), _ = jax.lax.scan(add_batch, start, batches)
  averages = {name: total / moments.count for name, total in sums.items()}
  known = jnp.where(moments.count > 1, moments.squares / moments.count, jnp.nan)
  variances = jnp.where(lane.mask > 0, known, 0.0)
  metrics = learner.metrics_of(of_lane.estimator, averages, lane, step)
  active = {'active_units': jnp.sum(is_active(variances))}
  return Evaluation(metrics | active, averages['rates'], variances)


@highest_precision
def refitted(
  of_lane: learner.Learner, params: Any, lane: Lane, batches: Batches, scale: float
) -> Any:
  """Returns a lane's parameters with the likelihood's shared numbers at their best for a data set.

  Training refits them on each batch: what it leaves is the last batch's, and of a small batch far
  off. They are fitted twice, as the first reading may lack digits: see `optimal_scale`. Where
  nothing is refitted the parameters are those given.

  Args:
    of_lane, params, lane, batches, scale: as for `evaluate`, which draws the same z.
  """
  model = of_lane.estimator.model
  if model.refit is None:
    return params

  def fit(_: Array, params: Any) -> Any:
    found = evaluate(of_lane, params, lane, batches, scale, jnp.zeros((), jnp.int32))
    return params | {'likelihood': model.refit(params, -found.metrics['distortion'])}

  return jax.lax.fori_loop(0, 2, fit, params)


def refitted_to(refit: Callable[[Any, Array], Any], params: Any, distortion: float | None) -> Any:
  """Returns a lane's parameters with the scale that `refitted` left, without the images it saw.

  Known is the distortion of those images under that scale, which is the one that fitting to this
  distortion leaves as it is; about it an iteration squares the error.

  Args:
    refit: of the model.
    params: of the lane.
    distortion: in nats, of an evaluation; None where there was none that is finite: then the
      parameters are those given.
  """
  if distortion is None:
    return params
  for _ in range(_FITS):
    params = params | {'likelihood': refit(params, -distortion)}
  return params


def is_active(variances: Array) -> Array:
  """Returns 1 where a latent's variance is above 0.01, 0 where not, and NaN where it is NaN."""
  return jnp.where(jnp.isnan(variances), jnp.nan, variances > ACTIVE_VARIANCE)
