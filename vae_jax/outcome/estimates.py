"""What a trained state is worth: metrics over both splits, NLL, the parts of the rate."""

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from vae_jax import evaluation, programs, tracking
from vae_jax.study import Study

_MAX_LONELY = 0.1  # of the images may hang on one importance sample before a warning


def make_evaluate(
  study: Study, settings: Mapping[str, Any]
) -> Callable[[programs.States, int], dict[str, evaluation.Evaluation]]:
  """Returns (state [G], step) -> {'train': ..., 'test': ...} [G], on the images that are fixed."""
  # L samples are decoded per image: so many images at a time keep the memory at `batch_size`.
  batch_size = max(1, settings['batch_size'] // study.num_samples)
  program = programs.make_evaluate(study.training.learner, study.dataset.fixed_scale, study.place)
  splits = {
    'train': study.dataset.train_fixed[study.sample('train', settings['train_images'])],
    'test': study.dataset.test[study.sample('test', settings['test_images'])],
  }
  batches = {
    split: jax.device_put(evaluation.cut(images, min(batch_size, len(images))))
    for split, images in splits.items()
  }

  def evaluate(state: programs.States, step: int) -> dict[str, evaluation.Evaluation]:
    return {
      split: program(programs.params_of(state), study.lanes, cut, np.int32(step))
      for split, cut in batches.items()
    }

  return evaluate


def metrics_of(evaluations: Mapping[str, evaluation.Evaluation]) -> dict[str, Array]:
  """Returns the metrics [G] of all splits, as `train/elbo`, `test/elbo` and so on."""
  return {
    f'{split}/{name}': values
    for split, evaluated in evaluations.items()
    for name, values in evaluated.metrics.items()
  }


class Estimates(NamedTuple):
  """What importance samples and the aggregate posterior say of the test set."""

  metrics: dict[str, Any]  # name -> [G]
  curve: list[dict[str, Any]]  # rows of nll_curve.csv


def estimate(
  study: Study,
  settings: Mapping[str, Any],
  state: programs.States,
  pieces: programs.Pieces = programs.computed,
) -> Estimates:
  """Returns the test NLL with its error and diagnostics, and the parts of the rate."""
  parts = programs.aggregate(
    study.model,
    programs.params_of(state),
    study.lanes,
    study.dataset.test[study.sample('test', settings['aggregate_images'])],
    study.dataset.fixed_scale,
    settings['batch_size'],
    study.place,
    pieces,
  )
  metrics = {f'test/{name}': values for name, values in parts.items()}
  if not study.is_density:
    logging.info('no NLL: the likelihood is no density')
    return Estimates(metrics, [])
  nll, curve = _nll(study, settings, state, pieces)
  return Estimates(metrics | nll, curve)


def _nll(
  study: Study, settings: Mapping[str, Any], state: programs.States, pieces: programs.Pieces
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
  images = study.dataset.test[study.sample('test', settings['nll_images'])]
  num_samples = settings['nll_samples']
  logging.info(
    'importance-sampled NLL: %d samples for each of %d images and %d lanes',
    num_samples,
    len(images),
    len(study.points),
  )
  result = programs.nll(
    study.model,
    programs.params_of(state),
    study.lanes,
    images,
    study.dataset.fixed_scale,
    num_samples,
    settings['batch_size'],
    study.place,
    pieces,
  )
  for name, lonely, mean in zip(study.names, result.lonely, result.mean, strict=True):
    if lonely > _MAX_LONELY and math.isfinite(mean):  # of a lane that diverged nothing is known
      logging.warning(
        '%s: one sample carries the NLL of %.0f %% of the images (effective sample size below 2); '
        'it is an upper bound that more than %d samples would lower',
        name,
        100 * lonely,
        num_samples,
      )
  metrics = {
    'test/nll': result.mean,
    'test/nll_stderr': result.stderr,
    'test/bits_per_dim_8bit': _on_8_bits(result.bits_per_dim, study.dataset.levels),
    'test/bits_per_dim_density': result.bits_per_dim,
    'test/nll_samples': [num_samples] * len(study.points),
    'test/nll_images': [len(images)] * len(study.points),
    'test/effective_samples': result.effective,
    'test/largest_weight': result.largest,
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
    name: [v if math.isfinite(v) else None for v in tracking.python_numbers(np.asarray(values))]
    for name, values in jax.device_get(dict(metrics)).items()
  }
