"""What a run has come to: the figures of every lane, as metrics, as results.csv and as pictures."""

import math
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from vae_jax import evaluation, figures, files, learner, programs, tracking
from vae_jax.study import Study

_NUM_PICTURES = 8  # reconstructions and prior samples that are kept of each lane


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
  seconds: float  # wall time so far, of all attempts, compilation included
  training_seconds: float  # the part of it inside the training program


def make_evaluate(
  study: Study, settings: Mapping[str, Any]
) -> Callable[[learner.State], dict[str, Array]]:
  """Returns state [G] -> `train/...` and `test/...` metrics [G], on the images that are fixed."""
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

  def evaluate(state: learner.State) -> dict[str, Array]:
    return {
      f'{split}/{name}': values
      for split, cut in batches.items()
      for name, values in program(state.params, study.lanes, cut).items()
    }

  return evaluate


def nll(study: Study, settings: Mapping[str, Any], state: learner.State) -> dict[str, Any]:
  """Returns the test NLL [G] with its standard error and what it was estimated from."""
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
  return {
    'test/nll': result.mean,
    'test/nll_stderr': result.stderr,
    'test/bits_per_dim': result.bits_per_dim,
    'test/nll_samples': [num_samples] * len(study.points),
    'test/nll_images': [len(images)] * len(study.points),
  }


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
        'seconds': round(progress.seconds, 3),
        'steps_per_second': speed and round(speed, 3),
      }
    )
  return rows


def save_images(
  study: Study, workdir: pathlib.Path, state: learner.State
) -> programs.Pictures | None:
  """Writes images.npz: test images, their reconstructions, and prior samples of every lane.

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
  )
  with files.atomic_path(workdir / 'images.npz') as temporary:
    np.savez_compressed(temporary, **pictures._asdict())
  return pictures


def lane_grids(pictures: programs.Pictures) -> dict[str, list[np.ndarray]]:
  """Returns one picture of reconstructions and one of samples per lane, as pixels."""
  return {
    'reconstructions': [
      figures.image_grid(np.concatenate([pictures.originals, lane]), columns=len(lane))
      for lane in pictures.reconstructions
    ],
    'samples': [figures.image_grid(lane, columns=len(lane) // 2) for lane in pictures.samples],
  }


def read(workdir: pathlib.Path) -> Outcome:
  """Returns the outcome that stands on disk."""
  rows = tracking.read_results(workdir / 'results.csv')
  exit_code = 3 if any(row['status'] in ('diverged', 'failed') for row in rows) else 0
  pictures = sorted((workdir / 'figures').glob('[!.]*.png'))
  return Outcome(rows, workdir / 'results.csv', pictures, exit_code)
