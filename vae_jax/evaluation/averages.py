"""A lane's metrics over a data set, and how its latents are used."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import data, learner
from vae_jax.evaluation.batches import Batches, highest_precision
from vae_jax.lanes import Lane

ACTIVE_VARIANCE = 0.01  # Burda et al. 2016, section 5.1


class Evaluation(NamedTuple):
  """What a data set says of one lane.

  Attributes:
    metrics: name -> [], in nats per example, and the number of active units.
    rates: [P], the mean rate by part; see `densities.posteriors` for the parts.
    variances: [Z] Var_x of the posterior's centre.
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
  Var_x(E_q[u | x]) > 0.01 (Burda et al. 2016, section 5.1, arxiv.org/abs/1509.00519). Where E_q has
  no closed form (a flow), the image of noise 0 stands for it.

  Args:
    of_lane: the learner.
    params, lane: of one lane.
    batches: the data set, as stored.
    scale: the model sees stored / scale.
    step: the number of steps taken.
  """

  def of_batch(index: Array, batch: Batches) -> tuple[dict[str, Array], Array]:
    x = data.to_values(batch.images, scale)
    return of_lane.evaluate(params, lane, x, index, batch.weights)

  def add_batch(carry, batch):
    sums, moments, index = carry
    averages, centres = of_batch(index, batch)
    sums = jax.tree.map(lambda total, new: total + batch.weights.sum() * new, sums, averages)
    return (sums, _merge(moments, centres, batch.weights), index + 1), None

  first = Batches(batches.images[0], batches.weights[0])
  averages, _ = jax.eval_shape(of_batch, 0, first)
  sums = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), averages)
  zeros = jnp.zeros_like(lane.mask)
  start = (sums, _Moments(jnp.zeros(()), zeros, zeros), 0)
  (sums, moments, _), _ = jax.lax.scan(add_batch, start, batches)
  averages = {name: total / moments.count for name, total in sums.items()}
  variances = lane.mask * moments.squares / moments.count
  metrics = learner.metrics_of(of_lane.estimator, averages, lane, step)
  active = {'active_units': jnp.sum(variances > ACTIVE_VARIANCE)}
  return Evaluation(metrics | active, averages['rates'], variances)
