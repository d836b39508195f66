"""images.npz: what every lane makes of images, as pixels.

  originals        uint8 [n, H, W, C], images of the test set
  reconstructions  uint8 [G, n, H, W, C], of them
  samples          uint8 [G, m, H, W, C], decoded from the prior
  traversals       uint8 [G, rows, columns, H, W, C], of the two latents used most
  units            uint8 [G, U, columns, H, W, C], along one latent a row, that used most first
  interpolations   uint8 [G, pairs, columns, H, W, C], between test images
  codes            float32 [G, c, 2], where test images lie along the two latents used most
  labels           int32 [c], of these images, where known: their class or, of known factors, the
                   value of the first one
  labels_of        text, what that is
  by_condition     uint8 [G, K, m, H, W, C], of a conditional model: the z of the samples, under K
                   conditions that differ in one column
  aggregate_samples  uint8 [G, m, H, W, C], decoded from a mixture fitted to the codes
  walks_by_condition  uint8 [G, K, columns, H, W, C], along the latent used most, under these
  conditions       text [K], what they are

An example [D] that is no image is a strip, an image [1, D, 1].

The last nine are not in the files of older runs, nor are the traversals in those of the oldest.

It is written by `runs.outcome.images`.
"""

import os
import pathlib

import numpy as np

from vae_jax import errors
from vae_jax.records import manifest

NAME = 'images.npz'
SHARED_IMAGES = ('originals', 'labels', 'labels_of', 'conditions')  # what has no lane axis
_ALWAYS = ('originals', 'reconstructions', 'samples')


def read_images(path: os.PathLike | str, num_lanes: int) -> dict[str, np.ndarray]:
  """Returns the arrays of a file by name.

  Args:
    path: of the file.
    num_lanes: G, the lanes that results.csv has.

  Raises:
    DamagedError: it is not what was written, or belongs to other lanes.
  """
  path = pathlib.Path(path)
  manifest.verify(path)
  try:
    with np.load(path, allow_pickle=False) as archive:
      names = [*_ALWAYS, *(name for name in archive.files if name not in _ALWAYS)]
      arrays = {name: archive[name] for name in names}
  except OSError:
    raise
  except Exception as error:  # NumPy, zipfile, zlib and tokenize all have their own for bad bytes
    raise errors.DamagedError(f'{path} cannot be read: {error}') from error
  for name in (name for name in names if name not in SHARED_IMAGES):
    if len(arrays[name]) != num_lanes:
      raise errors.DamagedError(
        f'{path}: {name} of {len(arrays[name])} lanes, but results.csv has {num_lanes}'
      )
  return arrays
