"""Images as a person has them, and what the model sees of them: checked, and as in training."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from vae_jax import data, errors
from vae_jax.data import transforms
from vae_jax.runs.model_file import Facts

_OVERSHOOT = 1e-3  # of a declared range: what resizing leaves outside, and is clipped


def prepare(images: Any, facts: Facts, settings: Mapping[str, Any], what: str = 'x') -> np.ndarray:
  """Returns images [N, *event] as the data set has them after the transforms of training.

  Args:
    images: as stored in the data set, [N, *event]; for one channel also [N, H, W]. Where the run
      crops or pads, those of another size are cropped and padded in the same way. Where it
      binarises, bool images are taken as they are; greys are binarised, with 'threshold' at one
      half and otherwise by a draw that depends on the image and the data seed alone.
    facts, settings: of the run; its section `data`.
    what: the name of the argument, for messages.

  Raises:
    InputError: shape, type or values are not those of the data set; one line.
  """
  array = _numbers(images, facts, what)
  binarize = settings['binarize']
  if array.dtype == bool and binarize != 'none':
    values = array.astype(np.uint8)
  else:
    values = _values(array, facts, settings, what)
  values = _shaped(values, facts.event, settings, what)
  if binarize != 'none' and array.dtype != bool:
    values = _binarized(values, facts, settings)
  return values


def as_stored(values: np.ndarray, facts: Facts, settings: Mapping[str, Any]) -> np.ndarray:
  """Returns what the model sees, [..., *event] of x, in the units of `prepare`'s images."""
  values = np.asarray(values, np.float32) * np.float32(facts.scale)
  if len(settings['range']) and facts.stored_support == 'unit' and settings['binarize'] == 'none':
    black, white = map(np.float32, settings['range'])
    return black + (white - black) * values
  return values


def split(dataset: data.Dataset, name: str, settings: Mapping[str, Any], facts: Facts):
  """Returns the images of a split as `prepare` takes them: bool where binarised."""
  images = dataset.split(name)
  if settings['binarize'] != 'none':
    return images.astype(bool)
  unscaled = facts._replace(scale=1.0)
  is_ranged = len(settings['range']) and facts.stored_support == 'unit'
  return as_stored(images, unscaled, settings) if is_ranged else images


def _numbers(images: Any, facts: Facts, what: str) -> np.ndarray:
  """Returns an array of finite numbers with one axis more than the event."""
  array = np.asarray(images)
  if array.dtype.kind not in 'buif':
    raise errors.InputError(f'{what} has type {array.dtype}; valid are bool, integers and floats')
  is_flat = array.ndim == len(facts.event) > 1 and facts.event[-1] == 1
  if is_flat and array.shape != facts.event:
    array = array[..., None]  # [N, H, W] or [N, T]
  if array.ndim != len(facts.event) + 1 or not array.size:
    raise _wrong_shape(array, facts.event, what)
  if array.dtype.kind == 'f' and not _are_known(array, facts).all():
    raise errors.InputError(f'{what} has values that are NaN or infinite; remove them')
  return array


def _are_known(array: np.ndarray, facts: Facts) -> np.ndarray:
  """Tells which values are numbers, or missing in a run of data of which values may be."""
  finite = np.isfinite(array)
  return finite | np.isnan(array) if facts.has_missing else finite


def _wrong_shape(array: np.ndarray, event: tuple[int, ...], what: str) -> errors.InputError:
  one = '; one image is x[None]' if array.shape == event or array.shape == event[:-1] else ''
  shape = ', '.join(map(str, event))
  return errors.InputError(
    f'{what} has shape {list(array.shape)}; the run has examples [N, {shape}]{one}'
  )


def _values(array: np.ndarray, facts: Facts, settings: Mapping[str, Any], what: str) -> np.ndarray:
  """Returns values as the data set keeps them, before they are binarised."""
  support = facts.stored_support
  if support == 'real':
    return array.astype(np.float32)
  if support == 'unit' and len(settings['range']):
    return _ranged(array, settings['range'], what)
  high = {'binary': 1.0, 'unit': 1.0, 'uint8': facts.white}.get(support, np.inf)
  is_whole = array.dtype.kind != 'f' or np.array_equal(array, np.rint(array), equal_nan=True)
  if np.nanmin(array) < 0 or np.nanmax(array) > high or not (is_whole or support == 'unit'):
    raise _wrong_values(array, support, high, what)
  if support == 'uint8' and high > 1 and array.max() == 1 and _may_be_unit(array, settings):
    raise _wrong_values(array, support, high, what)  # all but black, if it were meant
  is_float = facts.has_missing or support in ('unit', 'count')
  return array.astype(np.float32 if is_float else np.uint8)


def _may_be_unit(array: np.ndarray, settings: Mapping[str, Any]) -> bool:
  """Tells whether zeros and ones may be binary images, or images in [0, 1], and no grey levels."""
  return array.dtype.kind == 'f' or settings['binarize'] != 'none'


def _wrong_values(array: np.ndarray, support: str, high: float, what: str) -> errors.InputError:
  low, most = array.min(), array.max()
  wanted = {
    'binary': '0 and 1 alone',
    'unit': 'values in [0, 1]',
    'uint8': f'whole levels from 0 to {high:g}',
  }.get(support, 'whole numbers from 0')
  advice = ''
  if support == 'unit' and low >= 0 and 1 < most <= 255:
    advice = f'; give {what} / 255'
  elif support == 'uint8' and low >= 0 and most <= 1:
    advice = f'; give {what} * {high:g}, or binary images as bool'
  return errors.InputError(
    f'{what} has {array.dtype} values from {low:g} to {most:g}, and the data of the run have '
    f'{wanted}{advice}'
  )


def _ranged(array: np.ndarray, value_range: Any, what: str) -> np.ndarray:
  """Returns values between a declared black and white in [0, 1]."""
  black, white = map(float, value_range)
  slack = _OVERSHOOT * (white - black)
  if array.min() < black - slack or array.max() > white + slack:
    raise errors.InputError(
      f'{what} has values from {array.min():g} to {array.max():g}, outside of '
      f'data.range=({black:g}, {white:g}) of the run'
    )
  values = np.clip(array.astype(np.float32), black, white).astype(np.float64)
  return ((values - black) / (white - black)).astype(np.float32)


def _shaped(
  values: np.ndarray, event: tuple[int, ...], settings: Mapping[str, Any], what: str
) -> np.ndarray:
  if values.shape[1:] != event and values.ndim == 4:
    values = transforms.pad(transforms.crop(values, settings['crop']), settings['pad'])
  if values.shape[1:] != event:
    raise _wrong_shape(values, event, what)
  return values


def _binarized(values: np.ndarray, facts: Facts, settings: Mapping[str, Any]) -> np.ndarray:
  """Returns binary images; a draw belongs to an image, wherever it stands in the array."""
  scale = facts.white if facts.stored_support == 'uint8' else 1.0
  if settings['binarize'] == 'threshold':
    return transforms.binarized(values, scale, None)

  def one(image: np.ndarray) -> np.ndarray:
    digest = hashlib.sha256(np.ascontiguousarray(image)).digest()
    seed = [settings['seed'], *np.frombuffer(digest, np.uint32).tolist()]
    return transforms.binarized(image[None], scale, np.random.default_rng(seed))[0]

  return np.stack([one(image) for image in values])
