"""images.npz: what every lane makes of examples, for people to look at.

  originals        [n, *], examples of the test set
  reconstructions  [G, n, *], of them
  samples          [G, m, *], decoded from the prior
  traversals       [G, rows, columns, *], of the two latents used most; of images alone
  units            [G, U, columns, *], along one latent a row, that used most first
  interpolations   [G, pairs, columns, *], between test examples
  codes            float32 [G, c, 2], where test examples lie along the two latents used most
  labels           int32 or text [c], of these examples, where known: their class or, of known
                   factors, the value of the first one
  labels_of        text, what that is
  by_condition     [G, K, m, *], of a conditional model: the z of the samples, under K conditions
                   that differ in one column
  aggregate_samples  [G, m, *], decoded from a mixture fitted to the codes
  walks_by_condition  [G, K, columns, *], along the latent used most, under these
  conditions       text [K], what they are
  columns          text [D], the names of a table's columns
  categories       text [D, K], what the codes 0, 1 ... of a column stand for; '' for nothing

An example, `*`, is one of four kinds, see `kind_of`:

  images   uint8 [H, W, C], pixels from the black to the white of the data set
  strips   uint8 [1, D, 1], a vector of many values; each has a black and a white of its own
  signals  float32 [T, C], the values
  table    float32 [D], the values, NaN where one is missing; `originals` and `samples` are 400, and
           samples are drawn from p(x | z), as data are, where those of the others are its means

Only the first three are in all files.

It is written by `runs.outcome.images`.
"""

import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np

from vae_jax import errors
from vae_jax.records import manifest

NAME = 'images.npz'
# What has no lane axis.
SHARED_IMAGES = ('originals', 'labels', 'labels_of', 'conditions', 'columns', 'categories')
_ALWAYS = ('originals', 'reconstructions', 'samples')


def read_images(
  path: os.PathLike | str, num_lanes: int, lanes: Sequence[int] | None = None
) -> dict[str, np.ndarray]:
  """Returns the arrays of a file by name.

  Args:
    path: of the file.
    num_lanes: G, the lanes that results.csv has.
    lanes: whose arrays are returned, in this order; None for all lanes.

  Raises:
    DamagedError: it is not what was written, or belongs to other lanes.
  """
  path = pathlib.Path(path)
  manifest.verify(path)
  try:
    with np.load(path, allow_pickle=False) as archive:
      names = [*_ALWAYS, *(name for name in archive.files if name not in _ALWAYS)]
      arrays = {name: _of_lanes(path, name, archive[name], num_lanes, lanes) for name in names}
  except (OSError, errors.DamagedError):
    raise
  except Exception as error:  # NumPy, zipfile, zlib and tokenize all have their own for bad bytes
    raise errors.DamagedError(f'{path} cannot be read: {error}') from error
  return arrays


def _of_lanes(
  path: pathlib.Path, name: str, array: np.ndarray, num_lanes: int, lanes: Sequence[int] | None
) -> np.ndarray:
  if name in SHARED_IMAGES:
    return array
  if len(array) != num_lanes:
    raise errors.DamagedError(
      f'{path}: {name} of {len(array)} lanes, but results.csv has {num_lanes}'
    )
  return array if lanes is None else array[np.asarray(lanes)]


def kind_of(images: Mapping[str, np.ndarray]) -> str:
  """Returns what the examples of a file are: 'images', 'strips', 'signals' or 'table'."""
  originals = images['originals']
  if originals.ndim < 4:
    return {2: 'table', 3: 'signals'}[originals.ndim]
  return 'strips' if originals.shape[1] == 1 else 'images'


def example_of(event: Sequence[int]) -> str:
  """Returns what sentences call an example of this shape: 'row', 'signal' or 'image'."""
  return {1: 'row', 2: 'signal'}.get(len(event), 'image')
