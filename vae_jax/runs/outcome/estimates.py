"""Evaluates a trained state: metrics over both splits, NLL, the parts of the rate."""

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from vae_jax import evaluation, programs, records
from vae_jax.runs.outcome.trust import warn_of_few_samples
from vae_jax.study import Study

_NAMED = 3  # lanes that a warning of many names


def make_evaluate(
  study: Study,
) -> Callable[[programs.States, int], dict[str, evaluation.Evaluation]]:
  """Returns (state [G], step) -> {'train': ..., 'test': ...} [G], on the images that are fixed."""
  program = programs.make_evaluate(study.training.learner, study.dataset.fixed_scale, study.place)
  batches = {split: _batches(study, split) for split in ('train', 'test')}
  fitted = _make_fitted(study, lambda: batches['train'])

  def evaluate(state: programs.States, step: int) -> dict[str, evaluation.Evaluation]:
    params = fitted(state)
    return {
      split: program(params, study.lanes, cut, np.int32(step)) for split, cut in batches.items()
    }

  return evaluate


def _batches(study: Study, split: str) -> evaluation.Batches:
  """Returns the images of a split that are evaluated, in batches, on the devices."""
  dataset, objective = study.dataset, study.training.learner.estimator.objective
  settings = study.evaluation
  images, count = {
    'train': (dataset.train_fixed, settings.train_images),
    'test': (dataset.test, settings.test_images),
  }[split]
  images = images[study.sample(split, count)]
  # L samples are decoded per image: so many images at a time keep the memory at `batch_size`.
  wanted = settings.batch_size // study.num_samples
  limits = objective.smallest_batch, objective.largest_batch
  size = evaluation.fitting_size(len(images), wanted, *limits)
  return jax.device_put(evaluation.cut(images, size))


def _make_fitted(
  study: Study, train_batches: Callable[[], evaluation.Batches]
) -> Callable[[programs.States], Any]:
  """Returns state [G] -> the parameters [G] that are evaluated; the state stays as it is.

  They are those of the state but for a scale in closed form, which training leaves at the optimum
  of its last batch: that is fitted to the training images of the evaluation.
  """
  if study.model.refit is None:
    return programs.params_of
  program = programs.make_refit(study.training.learner, study.dataset.fixed_scale, study.place)
  images = train_batches()  # computed only here: most likelihoods do not need them
  return lambda state: program(programs.params_of(state), study.lanes, images)


def metrics_of(evaluations: Mapping[str, evaluation.Evaluation]) -> dict[str, Array]:
  """Returns the metrics [G] of all splits, as `train/elbo`, `test/elbo` and so on."""
  return {
    f'{split}/{name}': values
    for split, evaluated in evaluations.items()
    for name, values in evaluated.metrics.items()
  }


class Estimates(NamedTuple):
  """Estimates over the test set by importance samples and the aggregate posterior."""

  metrics: dict[str, Any]  # name -> [G]
  curve: list[dict[str, Any]]  # rows of nll_curve.csv


def estimate(
  study: Study,
  state: programs.States,
  pieces: programs.Pieces = programs.computed,
) -> Estimates:
  """Returns the test NLL with its error and diagnostics, and the parts of the rate."""
  images = study.dataset.test[study.sample('test', study.evaluation.aggregate_images)]
  parts = programs.aggregate(
    study.model,
    programs.params_of(state),
    study.lanes,
    images,
    study.dataset.fixed_scale,
    study.evaluation.batch_size,
    study.place,
    pieces,
  )
  metrics = {f'test/{name}': values for name, values in parts.items()}
  metrics |= _ceiling(study, metrics['test/mutual_information'], len(images))
  if not study.is_density:
    logging.info('no NLL: the likelihood is no density')
    return Estimates(metrics, [])
  params = _make_fitted(study, lambda: _batches(study, 'train'))(state)
  nll, curve = _nll(study, params, pieces)
  return Estimates(metrics | nll, curve)


def _ceiling(study: Study, information: Array, num_images: int) -> dict[str, list[float]]:
  """Returns log n [G], above which I(x; z) of n images cannot be; warns of lanes that are at it.

  exp(log n - I) is the number of images that share a code, on average. Below two of them I says how
  many images there were, and no longer what the codes hold.
  """
  ceiling = math.log(num_images)
  found = zip(study.names, np.asarray(information).tolist(), strict=True)
  at_it = [name for name, value in found if num_images > 1 and ceiling - value < math.log(2)]
  if at_it:
    more = f' and {len(at_it) - _NAMED} more' if len(at_it) > _NAMED else ''
    logging.warning(
      '%s: I(x; z) is at its ceiling, log %d = %.2f nats: test/mutual_information is a lower '
      'bound, test/marginal_kl and test/total_correlation are upper bounds that more of '
      'evaluation.aggregate_images would lower',
      ', '.join(at_it[:_NAMED]) + more,
      num_images,
      ceiling,
    )
  return {'test/mutual_information_ceiling': [ceiling] * len(study.points)}


def _nll(
  study: Study, params: Any, pieces: programs.Pieces
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
  images = study.dataset.test[study.sample('test', study.evaluation.nll_images)]
  num_samples = study.evaluation.nll_samples
  logging.info(
    'importance-sampled NLL: %d samples for each of %d images and %d lanes',
    num_samples,
    len(images),
    len(study.points),
  )
  result = programs.nll(
    study.model,
    params,
    study.lanes,
    images,
    study.dataset.fixed_scale,
    num_samples,
    study.evaluation.batch_size,
    study.place,
    pieces,
  )
  warn_of_few_samples(study.names, result, num_samples, 'test')
  metrics = {
    'test/nll': result.mean,
    'test/nll_stderr': result.stderr,
    'test/bits_per_dim_8bit': _on_8_bits(result.bits_per_dim, study.dataset.levels),
    'test/bits_per_dim_density': result.bits_per_dim,
    'test/nll_samples': [num_samples] * len(study.points),
    'test/nll_images': [len(images)] * len(study.points),
    'test/effective_samples': result.effective,
    'test/largest_weight': result.largest,
    'test/low_effective_fraction': result.lonely,
  }
  curve = [
    dict(lane=i, name=name, samples=k, bound=bound, stderr=stderr, images=len(images))
    for i, name in enumerate(study.names)
    for k, bound, stderr in zip(
      evaluation.curve_samples(num_samples), result.curve[i], result.curve_stderr[i], strict=True
    )
  ]
  return metrics, curve


def _on_8_bits(bits_per_dim: np.ndarray, levels: float | None) -> np.ndarray:
  """Returns bits per dimension [G] on the grid of 256 levels, NaN where the data have none.

  b + log2(levels to one unit of x): a density's mass on a level is its value times their distance
  """
  return bits_per_dim + (math.nan if levels is None else math.log2(levels))


def host(metrics: Mapping[str, Any]) -> dict[str, list]:
  """Returns metrics as lists of plain numbers, None where a lane has no finite value."""

  return {
    name: [v if math.isfinite(v) else None for v in records.python_numbers(np.asarray(values))]
    for name, values in jax.device_get(dict(metrics)).items()
  }
