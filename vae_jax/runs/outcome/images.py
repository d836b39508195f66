"""The images that a run leaves."""

import pathlib
from collections.abc import Callable, Mapping

import numpy as np
from jax import Array
from jax.typing import ArrayLike

from vae_jax import data, evaluation, programs
from vae_jax.records import manifest
from vae_jax.study import Study

_NUM_PICTURES = 8  # reconstructions and prior samples that are kept of each lane
_NUM_CODED = 400  # test images whose codes are kept
_WIDEST = 4096  # values of a vector that is drawn
_RANGED = 2048  # training examples that tell the range of each value


def save_images(
  study: Study,
  directory: pathlib.Path,
  state: programs.States,
  usage: Array,
  mixtures: evaluation.Mixture | None = None,
) -> programs.Pictures | None:
  """Writes images.npz, see `records.images`: what every lane makes of test images and of codes.

  None is returned and nothing written where an example is too large to be seen; mixtures.npz, of
  the lanes that have one, is.
  """
  if mixtures is not None:
    with manifest.recorded_path(directory / 'mixtures.npz') as temporary:
      np.savez(temporary, **mixtures._asdict())
  make = make_pictures(study)
  if make is None:
    return None
  pictures = make(programs.params_of(state), study.lanes, usage, mixtures)
  arrays = {name: array for name, array in pictures._asdict().items() if array is not None}
  with manifest.recorded_path(directory / 'images.npz') as temporary:
    np.savez_compressed(temporary, **arrays, **_labels(study), **_conditions(study.dataset))
  return pictures


def make_pictures(study: Study) -> Callable[..., programs.Pictures] | None:
  """Returns (params [n], lanes [n], usage [n, Z], mixtures) -> pictures; None of wide vectors.

  An example [D] is a strip, an image [1, D, 1]. It is compiled once, where it is called first.
  """
  is_vector = len(study.event) == 1
  if is_vector and study.event[0] > _WIDEST:
    return None
  dataset = study.dataset
  chosen, coded = (study.sample('test', count) for count in (_NUM_PICTURES, _NUM_CODED))
  shown = programs.Shown(
    images=dataset.test[chosen],
    coded=dataset.test[coded],
    beside=dataset.beside_of('test', chosen),
    beside_coded=dataset.beside_of('test', coded),
    typical=dataset.typical,
    conditions=data.told_apart(dataset.conditions, dataset.typical)[0],
  )
  make = programs.make_pictures(
    study.model, shown, dataset.fixed_scale, _ends(dataset), _NUM_PICTURES, study.place
  )
  is_flat = len(study.event) < 3
  return (lambda *arguments: _as_strips(make(*arguments), is_vector)) if is_flat else make


def _as_strips(pictures: programs.Pictures, is_vector: bool) -> programs.Pictures:
  """Returns vectors as strips [1, D, 1], and signals as one of each channel, [C, T, 1]."""
  found = pictures._asdict()
  pixels = {name: a for name, a in found.items() if name != 'codes' and a is not None}
  if is_vector:
    pixels = {name: array[..., None] for name, array in pixels.items()}
  strips = {name: np.swapaxes(array, -1, -2)[..., None] for name, array in pixels.items()}
  return pictures._replace(**strips)


def _ends(dataset: data.Dataset) -> tuple[ArrayLike, ArrayLike]:
  """Returns the values that are drawn as black and as white: those of `Dataset.range`.

  The columns of a table have units of their own: of real vectors each has a black and a white, the
  first and the last hundredth of its training values.
  """
  if dataset.train.ndim != 2 or dataset.support not in ('real', 'count'):
    return dataset.range
  rows = dataset.train[:: -(-len(dataset.train) // _RANGED)]
  low, high = np.nanpercentile(rows, (1, 99), axis=0)
  return low, np.where(high > low, high, low + 1)


def _conditions(dataset: data.Dataset) -> dict[str, np.ndarray]:
  """Returns the names of the conditions that pictures tell apart; {} where there are none."""
  names = data.told_apart(dataset.conditions, dataset.typical)[1]
  return {'conditions': np.array(names)} if names else {}


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
  """Returns a picture of reconstructions, samples and traversals per lane, of images.npz.

  Strips stand one below the other, each with its reconstruction below it.
  """
  from vae_jax import figures  # matplotlib: see `outcome.review`

  originals = pictures['originals']
  is_strip = originals.shape[1] == 1

  def grid(images: np.ndarray, columns: int) -> np.ndarray:
    return figures.image_grid(images, columns=1 if is_strip else columns)

  pairs = [np.stack([originals, lane], axis=int(is_strip)) for lane in pictures['reconstructions']]
  grids = {
    'reconstructions': [grid(np.concatenate(pair), pair.shape[1]) for pair in pairs],
    'samples': [grid(lane, len(lane) // 2) for lane in pictures['samples']],
  }
  if (made := pictures.get('aggregate_samples')) is not None:
    grids['aggregate_samples'] = [grid(lane, len(lane) // 2) for lane in made]
  for name in ('by_condition', 'walks_by_condition', 'traversals'):  # no traversals of the oldest
    if (made := pictures.get(name)) is not None:
      grids[name] = [grid(np.concatenate(lane), lane.shape[1]) for lane in made]
  return grids
