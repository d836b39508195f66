"""The images that a run leaves."""

import itertools
import math
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jax import Array
from jax.typing import ArrayLike

from vae_jax import data, evaluation, programs, records
from vae_jax.records import manifest
from vae_jax.study import Study

# Reconstructions and samples that are kept of each lane; of a table they make histograms.
_NUM_PICTURES = {False: 8, True: 400}
_NUM_CODED = 400  # test images whose codes are kept
_WIDEST = {1: 4096, 2: 2**15}  # values of a vector, or of a signal, that is drawn
_MOST_COLUMNS = 64  # of a table; a longer vector is a strip
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
  """Returns (params [n], lanes [n], usage [n, Z], mixtures) -> pictures; None of wide examples.

  What they hold is said in `records.images`. It is compiled once, where it is called first.
  """
  event, dataset = study.event, study.dataset
  if len(event) < 3 and math.prod(event) > _WIDEST[len(event)]:
    return None
  is_table = _is_table(study)
  chosen, coded = (study.sample('test', count) for count in (_NUM_PICTURES[is_table], _NUM_CODED))
  shown = programs.Shown(
    images=dataset.test[chosen],
    coded=dataset.test[coded],
    beside=dataset.beside_of('test', chosen),
    beside_coded=dataset.beside_of('test', coded),
    typical=dataset.typical,
    conditions=data.told_apart(dataset.conditions, dataset.typical)[0],
  )
  ends = None if is_table or len(event) == 2 else _ends(dataset)
  size = _NUM_PICTURES[is_table]
  make = programs.make_pictures(
    study.model, shown, dataset.fixed_scale, ends, size, study.place, is_table
  )
  if is_table:
    return lambda *arguments: make(*arguments)._replace(**_columns(dataset))
  is_strip = len(event) == 1
  return (lambda *arguments: _as_strips(make(*arguments))) if is_strip else make


def _is_table(study: Study) -> bool:
  """Tells whether an example is a row of columns, each with a histogram of its own."""
  return (
    len(study.event) == 1
    and study.event[0] <= _MOST_COLUMNS
    and study.dataset.support in ('real', 'count', 'binary')
  )


def _columns(dataset: data.Dataset) -> dict[str, np.ndarray]:
  """Returns the names of the columns [D] and of their categories [D, K], where there are some."""
  if not dataset.columns:
    return {}
  names = np.array([column.name for column in dataset.columns])
  rows = itertools.zip_longest(*(column.categories for column in dataset.columns), fillvalue='')
  categories = np.array(list(rows), str).reshape(-1, len(names)).T
  return {'columns': names} | ({'categories': categories} if categories.size else {})


def _as_strips(pictures: programs.Pictures) -> programs.Pictures:
  """Returns vectors as images [1, D, 1]."""
  found = pictures._asdict()
  pixels = {name: a for name, a in found.items() if name != 'codes' and a is not None}
  return pictures._replace(**{name: a[..., None, :, None] for name, a in pixels.items()})


def _ends(dataset: data.Dataset) -> tuple[ArrayLike, ArrayLike]:
  """Returns the values that are drawn as black and as white: those of `Dataset.range`.

  Real vectors may have units of their own: each value has a black and a white, the first and the
  last hundredth of what it is in training.
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


def lane_grids(
  pictures: Mapping[str, np.ndarray | None], lanes: Sequence[int]
) -> dict[str, dict[int, np.ndarray]]:
  """Returns a picture of each kind, name -> lane -> uint8 [H, W, C], of arrays of images.npz.

  Strips stand one below the other, each with its reconstruction below it.

  Args:
    pictures: of all lanes, by name; None where there is none.
    lanes: whose pictures are made.
  """
  if not lanes:
    return {}
  of_lanes = {lane: _grids(pictures, lane) for lane in lanes}
  names = of_lanes[lanes[0]]
  return {name: {lane: of_lanes[lane][name] for lane in lanes} for name in names}


def grids_of(
  directory: pathlib.Path, num_lanes: int, lanes: Sequence[int]
) -> dict[str, dict[int, np.ndarray]]:
  """Returns `lane_grids` of some lanes of a run that has images.npz; {} where there is none."""
  if not lanes or not (path := directory / 'images.npz').exists():
    return {}
  grids = lane_grids(records.read_images(path, num_lanes, lanes), range(len(lanes)))
  return {name: dict(zip(lanes, made.values(), strict=True)) for name, made in grids.items()}


def _grids(pictures: Mapping[str, np.ndarray | None], lane: int) -> dict[str, np.ndarray]:
  """Returns the pictures of one lane by name."""
  from vae_jax import figures  # matplotlib: see `outcome.review`

  pictures = {name: array for name, array in pictures.items() if array is not None}
  if records.kind_of(pictures) in ('signals', 'table'):
    made = figures.sketches(pictures, lane)
    return {name: figures.on_white(sketch) for name, sketch in made.items()}
  originals = pictures['originals']
  is_strip = records.kind_of(pictures) == 'strips'

  def grid(images: np.ndarray, columns: int) -> np.ndarray:
    return figures.image_grid(images, columns=1 if is_strip else columns)

  pair = np.stack([originals, pictures['reconstructions'][lane]], axis=int(is_strip))
  grids = {'reconstructions': grid(np.concatenate(pair), pair.shape[1])}
  for name in ('samples', 'aggregate_samples'):
    if (made := pictures.get(name)) is not None:
      grids[name] = grid(made[lane], len(made[lane]) // 2)
  for name in ('by_condition', 'walks_by_condition', 'traversals'):  # no traversals of the oldest
    if (made := pictures.get(name)) is not None:
      grids[name] = grid(np.concatenate(made[lane]), made.shape[2])
  return grids
