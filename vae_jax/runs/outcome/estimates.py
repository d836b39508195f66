"""Evaluates a trained state: metrics over the splits, NLL, the parts of the rate."""

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from vae_jax import evaluation, learner, placement, programs, records, weighting
from vae_jax.runs.outcome.trust import warn_of_few_samples
from vae_jax.study import Study

_NAMED = 3  # lanes that a warning of many names
SPLITS = ('train', 'validation', 'test')


def make_evaluate(
  study: Study, program: programs.Lanewise | None = None
) -> Callable[..., dict[str, evaluation.Evaluation]]:
  """Returns (state [G], step, final) -> an evaluation [G] of each split, on images that are fixed.

  The splits are 'train', 'validation' where there is one, and 'test'; where there is a validation
  split that of the test is left out until the end, where `final` is true. Of other lanes than those
  of the study: (state [n], step, final, lanes [n]).

  Args:
    program: of `programs.make_evaluate`, where it is compiled already.
  """
  if program is None:
    program = programs.make_evaluate(study.training.learner, study.dataset.fixed_scale, study.place)
  splits = [split for split in SPLITS if len(study.dataset.split(split))]
  batches = {split: batches_of(study, split) for split in splits}
  fitted = _make_fitted(study, lambda: batches['train'])

  def evaluate(
    state: programs.States, step: int, final: bool = True, lanes: Any = study.lanes
  ) -> dict[str, evaluation.Evaluation]:
    params = fitted(state, lanes)
    lanes = weighting.weighed(lanes, programs.multipliers_of(state))
    return {
      split: placement.joined(program(params, lanes, cut, np.int32(step)))
      for split, cut in batches.items()
      if final or split in ('train', study.chosen_on)
    }

  return evaluate


def batches_of(study: Study, split: str) -> evaluation.Batches:
  """Returns the images of a split that are evaluated, in batches, on the devices."""
  return jax.device_put(study.batches(split))


def _make_fitted(
  study: Study, train_batches: Callable[[], evaluation.Batches]
) -> Callable[[programs.States, Any], Any]:
  """Returns (state, lanes) [G] -> the parameters [G] that are evaluated; the state stays as it is.

  They are those of the state but for a scale in closed form, which training leaves at the optimum
  of its last batch: that is fitted to the training images of the evaluation.
  """
  if study.model.refit is None:
    return lambda state, lanes: programs.params_of(state)
  program = programs.make_refit(study.training.learner, study.dataset.fixed_scale, study.place)
  images = train_batches()  # computed only here: most likelihoods do not need them
  return lambda state, lanes: program(programs.params_of(state), lanes, images)


def metrics_of(evaluations: Mapping[str, evaluation.Evaluation]) -> dict[str, Array]:
  """Returns the metrics [G] of all splits, as `train/elbo`, `test/elbo` and so on."""
  return {
    f'{split}/{name}': values
    for split, evaluated in evaluations.items()
    for name, values in evaluated.metrics.items()
  }


class Estimates(NamedTuple):
  """Estimates by importance samples, and of the test set by the aggregate posterior."""

  metrics: dict[str, Any]  # name -> [G]
  curve: list[dict[str, Any]]  # rows of nll_curve.csv, of the test set
  per_image: Mapping[str, records.PerImage] = {}  # by split
  mixtures: evaluation.Mixture | None = None  # [G], of the codes of training images


def estimate(
  study: Study,
  state: programs.States,
  pieces: programs.Pieces = programs.computed,
) -> Estimates:
  """Returns the NLL with its error and diagnostics, and the parts of the rate on the test set."""
  chosen = study.sample('test', study.evaluation.aggregate_images)
  images = study.dataset.test[chosen]
  parts = programs.aggregate(
    study.model,
    programs.params_of(state),
    study.lanes,
    images,
    study.dataset.fixed_scale,
    study.evaluation.batch_size,
    study.place,
    pieces,
    study.dataset.beside_of('test', chosen),
  )
  metrics = {f'test/{name}': values for name, values in parts.items()}
  mixtures = _mixtures(study, state, pieces)
  if mixtures is not None:
    metrics['test/mixture_gain'] = mixtures.pop('gain')
    mixtures = evaluation.Mixture(**mixtures)
  lost = _diverged(state)
  information = np.where(lost, np.nan, metrics['test/mutual_information'])
  metrics |= _ceiling(study, information, len(images))
  if not study.is_density:
    logging.info('no NLL: the likelihood is no density')
    return Estimates(metrics, [], mixtures=mixtures)
  params = _make_fitted(study, lambda: batches_of(study, 'train'))(state, study.lanes)
  per_image = {}
  for split in dict.fromkeys((study.chosen_on, 'test')):
    found, per_image[split] = _nll(study, split, params, pieces)
    metrics |= _nll_metrics(study, split, found)
    if split == study.chosen_on:  # once for each lane, of which a figure is read
      read = found._replace(mean=np.where(lost, np.nan, found.mean))
      warn_of_few_samples(study.names, read, study.evaluation.nll_samples, split)
  return Estimates(metrics, _curve(study, found), per_image, mixtures)


def _mixtures(
  study: Study, state: programs.States, pieces: programs.Pieces
) -> dict[str, np.ndarray] | None:
  """Returns the mixtures of the codes of training images, and what they know of test images."""
  settings, dataset = study.evaluation, study.dataset
  if not settings.mixture_components:
    return None
  chosen = {split: study.sample(split, settings.aggregate_images) for split in ('train', 'test')}
  logging.info('fitting mixtures to the codes of %d examples', len(chosen['train']))
  return programs.mixtures(
    study.model,
    programs.params_of(state),
    study.lanes,
    dataset.train_fixed[chosen['train']],
    dataset.test[chosen['test']],
    dataset.fixed_scale,
    settings.mixture_components,
    study.place,
    pieces,
    dataset.beside_of('train', chosen['train']),
    dataset.beside_of('test', chosen['test']),
  )


def _diverged(state: programs.States) -> np.ndarray:
  """Tells which lanes have diverged, [G]: their figures are of no use, and not warned of."""
  steps = placement.joined(placement.map_turns(lambda part: part.diverged_at, state))
  return np.asarray(steps) != learner.NOT_DIVERGED


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
  study: Study, split: str, params: Any, pieces: programs.Pieces
) -> tuple[evaluation.Nll, records.PerImage]:
  """Returns the NLL of the images of a split, and what each of them has."""
  indices = study.sample(split, study.evaluation.nll_images)
  images, num_samples = study.dataset.split(split)[indices], study.evaluation.nll_samples
  logging.info(
    'importance-sampled NLL of the %s set: %d samples for each of %d examples and %d lanes',
    split,
    num_samples,
    len(images),
    len(study.points),
  )
  found = programs.nll(
    study.model,
    params,
    study.lanes,
    images,
    study.dataset.fixed_scale,
    num_samples,
    study.evaluation.batch_size,
    study.place,
    pieces,
    'NLL' if split == 'test' else f'NLL of the {split} set',
    study.dataset.beside_of(split, indices),
  )
  sha256 = records.images_sha256(images, study.dataset.fixed_scale)
  return found, records.PerImage(found.nlls, found.elbos, found.distortions, indices, sha256)


def _nll_metrics(study: Study, split: str, found: evaluation.Nll) -> dict[str, Any]:
  """Returns the columns [G] of an NLL."""
  num_samples, count = study.evaluation.nll_samples, len(study.points)
  metrics = {
    'nll': found.mean,
    'nll_stderr': found.stderr,
    'nll_samples': [num_samples] * count,
    'nll_images': [found.nlls.shape[1]] * count,
    'effective_samples': found.effective,
    'largest_weight': found.largest,
    'low_effective_fraction': found.lonely,
  }
  if split == 'test':
    # Of an example of which values are missing the number of dimensions is another.
    bits = found.bits_per_dim * (math.nan if study.dataset.has_missing else 1)
    metrics['bits_per_dim_8bit'] = _on_8_bits(bits, study.dataset.levels)
    metrics['bits_per_dim_density'] = bits
  return {f'{split}/{name}': values for name, values in metrics.items()}


def _curve(study: Study, found: evaluation.Nll) -> list[dict[str, Any]]:
  """Returns the rows of nll_curve.csv."""
  counts, images = evaluation.curve_samples(study.evaluation.nll_samples), found.nlls.shape[1]
  return [
    dict(lane=i, name=name, samples=k, bound=bound, stderr=stderr, images=images)
    for i, name in enumerate(study.names)
    for k, bound, stderr in zip(counts, found.curve[i], found.curve_stderr[i], strict=True)
  ]


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
