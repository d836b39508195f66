"""From decoded arrays to what a study trains on: types, declared support, crop, pad, binarise."""

import hashlib
from collections.abc import Collection, Sequence

import numpy as np

from vae_jax import errors


def canonical(array: np.ndarray, where: str) -> np.ndarray:
  """Returns an array as uint8 or float32, [n, D] or [n, H, W, C].

  Args:
    array: bool, integers within 0..255, or floats; [n, D], [n, H, W] or [n, H, W, C].
    where: what it is, for messages.

  Raises:
    InputError: another type or shape, values out of range, NaN or infinity.
  """
  if array.ndim not in (2, 3, 4) or array.size == 0:
    raise errors.InputError(
      f'{where} has shape {list(array.shape)}; valid are [n, D], [n, H, W] and [n, H, W, C]'
    )
  if array.ndim == 3:
    array = array[..., None]  # [n, H, W] -> [n, H, W, 1]
  kind = array.dtype.kind
  if kind == 'f':
    return np.ascontiguousarray(_finite_float32(array, where))
  if kind not in 'bui':
    raise errors.InputError(f'{where} has type {array.dtype}; valid are bool, integers and floats')
  if kind != 'b' and (array.min() < 0 or array.max() > 255):
    raise errors.InputError(
      f'{where} has integers from {array.min()} to {array.max()}; '
      'valid are 0 to 255 (store other values as floats)'
    )
  return np.ascontiguousarray(array, dtype=np.uint8)


def _finite_float32(array: np.ndarray, where: str) -> np.ndarray:
  with np.errstate(over='ignore'):  # what float32 cannot hold becomes infinite: counted below
    array = array.astype(np.float32, copy=False)
  bad = array.size - np.count_nonzero(np.isfinite(array))
  if bad:
    raise errors.InputError(
      f'{where} has {bad:,} values that are NaN or infinite as float32; remove them'
    )
  return array


def declared_support(arrays: Collection[np.ndarray]) -> str:
  """Returns the support of canonical arrays: 'binary', 'unit', 'uint8' or 'real'."""
  low, high = min(array.min() for array in arrays), max(array.max() for array in arrays)
  if all(array.dtype == np.uint8 for array in arrays):
    return 'binary' if high <= 1 else 'uint8'
  if low < 0 or high > 1:
    return 'real'
  return 'binary' if all(((a == 0) | (a == 1)).all() for a in arrays) else 'unit'


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
  return np.ascontiguousarray(images[:, top : top + height, left : left + width])


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
  return np.pad(images, [(0, 0), *sides, (0, 0)])


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
    scale: 255 for uint8, 1 for unit data.
    generator: of the uniform draws; None thresholds at one half.
  """
  binary = np.empty(images.shape, np.uint8)
  # In blocks: the uniform draws of a whole data set would take four times its size.
  rows = max(1, 2**22 // images[0].size)
  for start in range(0, len(images), rows):
    block = images[start : start + rows].astype(np.float32) / np.float32(scale)
    level = 0.5 if generator is None else generator.random(block.shape, np.float32)
    binary[start : start + rows] = block > level
  return binary
