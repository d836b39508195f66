"""per_image.npz: what every lane makes of every image of which results.csv has the NLL.

  validation/nll      [G, n] float32, nats: -L_K, an upper bound of -log p(x); lower is better
  validation/elbo     [G, n] float32, nats: L_1, a mean over the same K samples; higher is better
  validation/distortion  [G, n] float32, nats: of the same samples; the rate is -elbo less it
  validation/indices  [n] int64: where the images stand in their split
  validation/sha256   text: of the images, as `images_sha256` has it

and the same of `test`. A split without images has none of the five. All lanes have the same images
in the same order, so that differences of lanes are paired; two studies are where the sha256 is one.
A lane that diverged has NaN. The mean of `nll` over the images is SPLIT/nll of results.csv.
"""

import hashlib
import os
import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from vae_jax import errors
from vae_jax.records import manifest

NAME = 'per_image.npz'


class PerImage(NamedTuple):
  """The values of one split; see the module for their units and signs."""

  nll: np.ndarray  # [G, n]
  elbo: np.ndarray  # [G, n]
  distortion: np.ndarray  # [G, n]
  indices: np.ndarray  # [n]
  sha256: str


def images_sha256(images: np.ndarray, scale: float) -> str:
  """Returns the sha256 of images [n, *event] as a likelihood sees them, in their order.

  Of the event and of x = stored / scale as little-endian float32, so that images that are stored as
  bytes and as floats are the same ones.
  """
  x = np.asarray(images, '<f4') / np.float32(scale)
  digest = hashlib.sha256(f'{list(x.shape)}\n'.encode())
  digest.update(np.ascontiguousarray(x))
  return digest.hexdigest()


def write_per_image(path: os.PathLike | str, values: Mapping[str, PerImage]) -> None:
  """Writes the values of the splits, by name, atomically.

  Raises:
    StorageError: the file cannot be written.
  """
  arrays = {
    f'{split}/{name}': np.asarray(array)
    for split, found in values.items()
    for name, array in found._asdict().items()
  }
  with manifest.recorded_path(path) as temporary:
    np.savez_compressed(temporary, **arrays)


def read_per_image(path: os.PathLike | str) -> dict[str, PerImage]:
  """Returns the values of the splits that a file has, by name.

  Raises:
    DamagedError: it is absent, or not what was written.
  """
  path = pathlib.Path(path)
  manifest.verify(path)
  try:
    with np.load(path, allow_pickle=False) as archive:
      arrays = {name: archive[name] for name in archive.files}
    splits = dict.fromkeys(name.partition('/')[0] for name in arrays)
    return {split: _of_split(arrays, split) for split in splits}
  except Exception as error:  # NumPy, zipfile, zlib and tokenize all have their own for bad bytes
    raise errors.DamagedError(f'{path} cannot be read: {error}') from error


def _of_split(arrays: Mapping[str, np.ndarray], split: str) -> PerImage:
  found = {name: arrays[f'{split}/{name}'] for name in PerImage._fields}
  return PerImage(**found | {'sha256': str(found['sha256'])})
