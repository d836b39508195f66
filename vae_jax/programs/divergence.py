"""Why a lane diverged: repeats the step at which it did, by itself.

A diverged lane is frozen at the parameters before that step, and the step's batch and noise are
functions of the seeds and of its number: nothing has to be kept to find the reason afterwards.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import data, learner
from vae_jax.data import NOTHING, Beside
from vae_jax.fast import finite
from vae_jax.lanes import Lane
from vae_jax.programs.chunks import Training


class Findings(NamedTuple):
  """What of a step is finite [], in the order in which it is computed, and its inputs.

  Attributes:
    parameters: before the step.
    posterior: its centres.
    log_likelihood, rate: averages over the batch.
    terms: the objective's own, by name.
    objective: what the gradient is of.
    gradient: of the objective by all parameters.
    square: of the gradient, as Adam's second moment needs it.
    largest_x: the largest |x| of the batch, as the model sees it.
  """

  parameters: Array
  posterior: Array
  log_likelihood: Array
  rate: Array
  terms: Mapping[str, Array]
  objective: Array
  gradient: Array
  square: Array
  largest_x: Array

  def first(self) -> str:
    """Returns what is not finite first; '' where all of it is."""
    names = {
      'the parameters': self.parameters,
      'the mean of the posterior': self.posterior,
      'the log-likelihood': self.log_likelihood,
      'the rate': self.rate,
      **{f'the term {name}': finite for name, finite in self.terms.items()},
      'the objective': self.objective,
      'the gradient': self.gradient,
      'the square of the gradient': self.square,
    }
    return next((name for name, finite in names.items() if not finite), '')


def make_examine(training: Training) -> Callable[..., Findings]:
  """Returns (params, lane, the training set as stored, step, what is known beside it) -> the
  findings of a step of a lane.

  It is compiled at its first call. The program of all lanes rounds differently: where numbers are
  finite by a hair's breadth, this one may find nothing.
  """
  one, seed, size = training.learner, training.schedule.seed, training.schedule.batch_size

  def findings(params: Any, lane: Lane, rows: data.Rows, step: Array) -> Findings:
    x = data.to_batch(rows.images, training.scale, training.dynamic, seed, step)
    noise = one.draw(lane, size, step)

    def objective(params):
      weights = jnp.ones(size)
      betas = learner.drawn_betas(one.estimator.objective.beta_range, lane, size, step)
      averages, centres = learner.batch_averages(
        one.estimator, params, lane, x, noise, weights, betas, rows.beside
      )
      return learner.metrics_of(one.estimator, averages, lane, step)['objective'], (
        averages,
        centres,
      )

    (value, (averages, centres)), grads = jax.value_and_grad(objective, has_aux=True)(params)
    terms = {k: v for k, v in averages.items() if k not in ('distortion', 'rates')}
    return Findings(
      parameters=_is_finite(params),
      posterior=_is_finite(centres),
      log_likelihood=_is_finite(averages['distortion']),
      rate=_is_finite(averages['rates']),
      terms={name: _is_finite(term) for name, term in terms.items()},
      objective=_is_finite(value),
      gradient=_is_finite(grads),
      square=finite.are_in_range(grads),
      largest_x=jnp.nanmax(jnp.abs(x)),
    )

  program = jax.jit(findings)

  def examine(
    params: Any, lane: Lane, images: np.ndarray, step: int, beside: Beside = NOTHING
  ) -> Findings:
    (chosen,) = data.batch_indices(seed, step, 1, size, len(images))
    rows = data.Rows(images[chosen], beside.take(chosen))
    return jax.device_get(program(params, lane, rows, np.int32(step)))

  return examine


def _is_finite(tree: Any) -> Array:
  """Tells [] whether every number is finite."""
  leaves = (jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(tree))
  return jnp.all(jnp.stack(list(leaves)))
