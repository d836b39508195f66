"""The images that a run leaves."""

import pathlib
from collections.abc import Callable, Mapping

import numpy as np
from jax import Array

from vae_jax import programs
from vae_jax.records import manifest
from vae_jax.study import Study

_NUM_PICTURES = 8  # reconstructions and prior samples that are kept of each lane
_NUM_CODED = 400  # test images whose codes are kept


def save_images(
  study: Study, directory: pathlib.Path, state: programs.States, usage: Array
) -> programs.Pictures | None:
  """Writes images.npz, see `records.images`: what every lane makes of test images and of codes.

  Examples [D] are no images: there None is returned and nothing written.
  """
  make = make_pictures(study)
  if make is None:
    return None
  pictures = make(programs.params_of(state), study.lanes, usage)
  with manifest.recorded_path(directory / 'images.npz') as temporary:
    np.savez_compressed(temporary, **pictures._asdict(), **_labels(study))
  return pictures


def make_pictures(study: Study) -> Callable[..., programs.Pictures] | None:
  """Returns (params [n], lanes [n], usage [n, Z]) -> pictures; None where examples are no images.

  It is compiled once, where it is called first.
  """
  if len(study.event) != 3:
    return None
  return programs.make_pictures(
    study.model,
    study.dataset.test[study.sample('test', _NUM_PICTURES)],
    study.dataset.test[study.sample('test', _NUM_CODED)],
    study.dataset.fixed_scale,
    study.dataset.range,
    _NUM_PICTURES,
    study.place,
  )


def _labels(study: Study) -> dict[str, np.ndarray]:
  """Returns the labels of the coded images, and what they are; {} where none are known."""
  chosen = study.sample('test', _NUM_CODED)
  labels, factors = study.dataset.labels, study.dataset.factors
  if labels is not None:
    return {'labels': labels['test'][chosen], 'labels_of': np.array('class')}
  if factors is not None:
    return {'labels': factors.test[chosen, 0], 'labels_of': np.array(factors.names[0])}
  return {}


def lane_grids(pictures: Mapping[str, np.ndarray]) -> dict[str, list[np.ndarray]]:
  """Returns a picture of reconstructions, samples and traversals per lane, of images.npz."""
  from vae_jax import figures  # matplotlib: see `outcome.review`

  grids = {
    'reconstructions': [
      figures.image_grid(np.concatenate([pictures['originals'], lane]), columns=len(lane))
      for lane in pictures['reconstructions']
    ],
    'samples': [figures.image_grid(lane, columns=len(lane) // 2) for lane in pictures['samples']],
  }
  if 'traversals' in pictures:  # not of the oldest runs
    grids['traversals'] = [
      figures.image_grid(np.concatenate(lane), columns=len(lane)) for lane in pictures['traversals']
    ]
  return grids
