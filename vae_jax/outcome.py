"""What a run has come to: the figures of every lane, as metrics, as results.csv and as pictures."""

import logging
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from vae_jax import disentanglement, evaluation, figures, files, learner, programs, tracking
from vae_jax.study import Study

_NUM_PICTURES = 8  # reconstructions and prior samples that are kept of each lane
_MAX_LONELY = 0.1  # of the images may hang on one importance sample before a warning


class Outcome(NamedTuple):
  """What a run leaves."""

  rows: list[dict[str, Any]]  # of results.csv
  results: pathlib.Path
  pictures: list[pathlib.Path]
  exit_code: int  # 0, or 3 where a lane diverged


class Progress(NamedTuple):
  """Where a run stands: all that a checkpoint holds."""

  step: int
  state: learner.State  # [G]
  evaluated: Mapping[str, list[float]]  # the newest evaluation, name -> [G]
  collapsed_at: list[int | None]  # [G] the evaluation since which a lane has no active unit
  seconds: float  # wall time so far, of all attempts, compilation included
  training_seconds: float  # the part of it inside the training program


def make_evaluate(
  study: Study, settings: Mapping[str, Any]
) -> Callable[[learner.State, int], dict[str, evaluation.Evaluation]]:
  """Returns (state [G], step) -> {'train': ..., 'test': ...} [G], on the images that are fixed."""
  # L samples are decoded per image: so many images at a time keep the memory at `batch_size`.
  batch_size = max(1, settings['batch_size'] // study.num_samples)
  program = programs.make_evaluate(study.training.learner, study.dataset.fixed_scale)
  splits = {
    'train': study.dataset.train_fixed[: settings['train_images']],
    'test': study.dataset.test[: settings['test_images']],
  }
  batches = {
    split: jax.device_put(evaluation.cut(images, min(batch_size, len(images))))
    for split, images in splits.items()
  }

  def evaluate(state: learner.State, step: int) -> dict[str, evaluation.Evaluation]:
    return {
      split: program(state.params, study.lanes, cut, np.int32(step))
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


def collapsed(study: Study, progress: Progress, step: int, active_units: Sequence) -> list:
  """Returns `Progress.collapsed_at` after an evaluation, and warns of the lanes that are new."""
  result = []
  for name, active, since in zip(study.names, active_units, progress.collapsed_at, strict=True):
    gone = active == 0
    if gone and since is None:
      logging.warning('%s: posterior collapse at step %d, no unit is active', name, step)
    result.append((step if since is None else since) if gone else None)
  return result


class Estimates(NamedTuple):
  """What importance samples and the aggregate posterior say of the test set."""

  metrics: dict[str, Any]  # name -> [G]
  curve: list[dict[str, Any]]  # rows of nll_curve.csv


def estimate(study: Study, settings: Mapping[str, Any], state: learner.State) -> Estimates:
  """Returns the test NLL with its error and diagnostics, and the parts of the rate."""
  parts = programs.aggregate(
    study.model,
    state.params,
    study.lanes,
    study.dataset.test[: settings['aggregate_images']],
    study.dataset.fixed_scale,
    settings['batch_size'],
  )
  metrics = {f'test/{name}': values for name, values in parts.items()}
  if not study.is_density:
    logging.info('no NLL: the likelihood is no density')
    return Estimates(metrics, [])
  nll, curve = _nll(study, settings, state)
  return Estimates(metrics | nll, curve)


def _nll(
  study: Study, settings: Mapping[str, Any], state: learner.State
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
  images = study.dataset.test[: settings['nll_images']]
  num_samples = settings['nll_samples']
  result = programs.nll(
    study.model,
    state.params,
    study.lanes,
    images,
    study.dataset.fixed_scale,
    num_samples,
    settings['batch_size'],
  )
  for name, lonely in zip(study.names, result.lonely, strict=True):
    if lonely > _MAX_LONELY:
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
    'test/bits_per_dim': result.bits_per_dim,
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


def write_disentanglement(
  study: Study, workdir: pathlib.Path, settings: Mapping[str, Any], state: learner.State
) -> None:
  """Writes disentanglement.csv, the scores of every lane's codes, where factors are known."""
  dataset = study.dataset
  if dataset.factors is None:
    return
  count = settings['factor_images']
  logging.info('scoring the codes of %d images and %d lanes', count, len(study.points))
  codes = programs.encode(
    study.model, state.params, study.lanes, dataset.test[:count], dataset.fixed_scale
  )
  factors, active = dataset.factors.test[:count], np.asarray(study.lanes.mask) > 0
  rows = [
    dict(lane=i, name=name, images=count)
    | disentanglement.scores(codes[i][:, active[i]], factors, seed=study.points[i].seed)
    for i, name in enumerate(study.names)
  ]
  columns = ('lane', 'name', 'images', *disentanglement.NAMES)
  tracking.write_table(workdir / 'disentanglement.csv', columns, rows)


def write_latents(study: Study, workdir: pathlib.Path, test: evaluation.Evaluation) -> None:
  """Writes latents.csv: the rate of every latent of every lane, and whether it is active."""
  rows = []
  for i, mask in enumerate(np.asarray(study.lanes.mask)):
    rates, variances = np.asarray(test.rates[i]), np.asarray(test.variances[i])
    for j in np.flatnonzero(mask):
      rows.append(
        dict(
          lane=i,
          name=study.names[i],
          layer=1 if not study.lower_size or j < study.lower_size else 2,
          latent=int(j),
          rate=rates[j] if rates.size == mask.size else None,
          mean_variance=variances[j],
          active=int(variances[j] > evaluation.ACTIVE_VARIANCE),
        )
      )
  tracking.write_table(workdir / 'latents.csv', tracking.LATENT_COLUMNS, rows)


def host(metrics: Mapping[str, Any]) -> dict[str, list]:
  """Returns metrics as lists of plain numbers, None where a lane has no finite value."""

  return {
    name: [v if math.isfinite(v) else None for v in tracking.python_numbers(np.asarray(values))]
    for name, values in jax.device_get(dict(metrics)).items()
  }


def write_results(study: Study, workdir: pathlib.Path, progress: Progress, final: bool) -> list:
  """Writes results.csv and returns its rows."""
  rows = _rows(study, progress, final)
  tracking.write_results(workdir / 'results.csv', rows, study.points[0]._fields)
  return rows


def _rows(study: Study, progress: Progress, final: bool) -> list[dict[str, Any]]:
  columns = set(tracking.result_columns(study.points[0]._fields))
  values = {name: v for name, v in progress.evaluated.items() if name in columns}
  speed = progress.step / progress.training_seconds if progress.training_seconds else None
  rows = []
  for i, (point, diverged_at) in enumerate(
    zip(study.points, np.asarray(progress.state.diverged_at).tolist(), strict=True)
  ):
    diverged = diverged_at != learner.NOT_DIVERGED
    rows.append(
      {
        'lane': i,
        'name': study.names[i],
        'status': 'diverged' if diverged else 'done' if final else 'running',
        'step': diverged_at if diverged else progress.step,
        **point._asdict(),
        'beta_normalised': point.beta * point.latent_size / math.prod(study.event),
        **{name: v[i] for name, v in values.items()},
        'collapsed_at': progress.collapsed_at[i],
        'seconds': round(progress.seconds, 3),
        'steps_per_second': speed and round(speed, 3),
      }
    )
  return rows


def save_images(
  study: Study, workdir: pathlib.Path, state: learner.State, usage: Array
) -> programs.Pictures | None:
  """Writes images.npz: test images, their reconstructions, samples and a traversal of every lane.

  Examples [D] are no images: there None is returned and nothing written.
  """
  if len(study.event) != 3:
    return None
  pictures = programs.pictures(
    study.model,
    state.params,
    study.lanes,
    study.dataset.test[:_NUM_PICTURES],
    study.dataset.fixed_scale,
    _NUM_PICTURES,
    usage,
    _NUM_PICTURES,
  )
  with files.atomic_path(workdir / 'images.npz') as temporary:
    np.savez_compressed(temporary, **pictures._asdict())
  return pictures


def lane_grids(pictures: programs.Pictures) -> dict[str, list[np.ndarray]]:
  """Returns pictures of reconstructions, samples and a traversal per lane, as pixels."""
  return {
    'reconstructions': [
      figures.image_grid(np.concatenate([pictures.originals, lane]), columns=len(lane))
      for lane in pictures.reconstructions
    ],
    'samples': [figures.image_grid(lane, columns=len(lane) // 2) for lane in pictures.samples],
    'traversals': [
      figures.image_grid(np.concatenate(lane), columns=len(lane)) for lane in pictures.traversals
    ],
  }


def read(workdir: pathlib.Path) -> Outcome:
  """Returns the outcome that stands on disk."""
  rows = tracking.read_results(workdir / 'results.csv')
  exit_code = 3 if any(row['status'] in ('diverged', 'failed') for row in rows) else 0
  pictures = sorted((workdir / 'figures').glob('[!.]*.png'))
  return Outcome(rows, workdir / 'results.csv', pictures, exit_code)
