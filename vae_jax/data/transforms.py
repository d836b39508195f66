"""From canonical arrays to what a study trains on: crop, pad, binarise; and their sha256."""

import hashlib
from collections.abc import Sequence

import numpy as np

from vae_jax import errors
from vae_jax.data import blocks


def array_sha256(array: np.ndarray) -> str:
  """Returns the sha256 of an array's type, shape and values, in hexadecimal."""
  digest = hashlib.sha256(f'{array.dtype.str} {list(array.shape)}\n'.encode())
  digest.update(np.ascontiguousarray(array))
  return digest.hexdigest()


def crop(images: np.ndarray, size: Sequence[int]) -> np.ndarray:
  """Returns the centre (height, width) of images [n, H, W, C]; () leaves them as they are.

  Raises:
    InputError: they are not images, or smaller than that.
  """
  if not len(size):
    return images
  height, width = _checked_size('data.crop', size, images)
  if height > images.shape[1] or width > images.shape[2]:
    raise errors.InputError(
      f'data.crop={tuple(size)} is larger than the images {_size(images)}; use data.pad to enlarge'
    )
  top, left = (images.shape[1] - height) // 2, (images.shape[2] - width) // 2
  return blocks.each(lambda part: part[:, top : top + height, left : left + width], images)


def pad(images: np.ndarray, size: Sequence[int]) -> np.ndarray:
  """Returns images [n, H, W, C] in the centre of (height, width) zeros; () leaves them.

  Raises:
    InputError: they are not images, or larger than that.
  """
  if not len(size):
    return images
  height, width = _checked_size('data.pad', size, images)
  down, right = height - images.shape[1], width - images.shape[2]
  if down < 0 or right < 0:
    raise errors.InputError(
      f'data.pad={tuple(size)} is smaller than the images {_size(images)}; use data.crop to shrink'
    )
  sides = [(extra // 2, extra - extra // 2) for extra in (down, right)]
  return blocks.each(lambda part: np.pad(part, [(0, 0), *sides, (0, 0)]), images)


def _checked_size(key: str, size: Sequence[int], images: np.ndarray) -> tuple[int, int]:
  if images.ndim != 4:
    raise errors.InputError(
      f'{key}={tuple(size)} is for images, and these examples are vectors [{images.shape[1]}]; '
      'set it to ()'
    )
  if len(size) != 2 or min(size) < 1:
    raise errors.InputError(f'{key}={tuple(size)} is not (); or (height, width), each at least 1')
  return size[0], size[1]


def _size(images: np.ndarray) -> tuple[int, int]:
  return images.shape[1], images.shape[2]


def binarized(
  images: np.ndarray, scale: float, generator: np.random.Generator | None
) -> np.ndarray:
  """Returns fixed binary images, uint8 0 or 1, from intensities stored / scale.

    x = stored / scale > u        u ~ Uniform[0, 1) drawn from the generator, or 1/2 without one

  Args:
    images: stored intensities [n, *event].
    scale: the level of uint8 that is white; 1 for unit data.
    generator: of the uniform draws; None thresholds at one half.
  """

  def drawn(part: np.ndarray) -> np.ndarray:
    part = part.astype(np.float32) / np.float32(scale)
    level = 0.5 if generator is None else generator.random(part.shape, np.float32)
    return (part > level).astype(np.uint8)

  return blocks.each(drawn, images)
