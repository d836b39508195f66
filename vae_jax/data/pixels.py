"""Image files as arrays [H, W, C] of bytes: looked at by their headers, decoded once, kept.

What a file is goes by its content, not by its name. Orientation of a camera is applied, a palette
is its colours, and what is transparent lies on white.
"""

import concurrent.futures
import contextlib
import math
import os
import pathlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import PIL
import psutil
from PIL import Image, ImageOps

from vae_jax import errors
from vae_jax.data.sources import short

VERSION = '1.0.0'  # of what is made of a file
FITS = ('crop', 'resize')
_FORMATS = ('PNG', 'JPEG', 'BMP', 'GIF', 'WEBP', 'TIFF')
_SHOWN = 3  # files in a message
_ORIENTATION = 0x0112  # of EXIF


class Pixels(NamedTuple):
  """What the images of a folder shall be; see `folders.open_folder`."""

  size: tuple[int, ...]
  fit: str
  channels: str
  skip: bool


class Header(NamedTuple):
  """What a file says of itself.

  Attributes:
    kind: 'grey', 'rgb', 'transparent', or the name of other colours, such as 'CMYK'.
    size: (height, width), as it is seen.
  """

  kind: str
  size: tuple[int, int]


class _Odd(Exception):  # noqa: N818 (of a file, and collected)
  """Why a file is no picture that can be used, in a few words."""


def decoded(
  paths: Sequence[pathlib.Path], wanted: Pixels, where: str
) -> tuple[np.ndarray, list[int]]:
  """Returns images [n, H, W, C], uint8, of the files that are kept, and which these are.

  Raises:
    InputError: files cannot be read and are not to be skipped, images differ in size or colours and
      nothing says what they shall be, or there is not the memory for them.
  """
  headers = _each(header, paths)
  kept = _usable(paths, headers, wanted.skip, where)
  height, width = wanted.size or _one_size(paths, headers, kept, where)
  channels = _channels(paths, headers, kept, wanted.channels, where)
  shape = len(kept), height, width, 3 if channels == 'rgb' else 1
  free = psutil.virtual_memory().available
  if math.prod(shape) > free:
    raise errors.InputError(
      f'{where}: its images take {math.prod(shape) / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB '
      'of memory are free; set data.size to a smaller (height, width), or give fewer images'
    )
  images = np.empty(shape, np.uint8)

  def put(row: int) -> None:
    images[row] = pixels(paths[kept[row]], (height, width), wanted.fit, channels)

  results = _each(put, range(len(kept)))
  chosen = _usable([paths[i] for i in kept], results, wanted.skip, where)
  images = images if len(chosen) == len(kept) else images[chosen]
  return images, [kept[row] for row in chosen]


def _each(function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
  """Returns function(item) of each, or the _Odd that it raised; Pillow decodes beside the GIL."""

  def attempt(item: Any) -> Any:
    try:
      return function(item)
    except _Odd as error:
      return error

  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    return list(pool.map(attempt, items))


def _usable(
  paths: Sequence[pathlib.Path], results: Sequence[Any], skip: bool, where: str
) -> list[int]:
  """Returns which files are of use.

  Raises:
    InputError: one is not, and is not to be skipped; or none is.
  """
  odd = [i for i, result in enumerate(results) if isinstance(result, _Odd)]
  if odd and (not skip or len(odd) == len(paths)):
    reasons: dict[str, list[str]] = {}  # each is said once
    for i in odd[:_SHOWN]:
      reasons.setdefault(str(results[i]), []).append(short(paths[i].name))
    shown = ', '.join(f'{_with(*names)} {reason}' for reason, names in reasons.items())
    more = f'; and {len(odd) - _SHOWN:,} more' if len(odd) > _SHOWN else ''
    can_skip = not skip and len(odd) < len(paths)
    advice = 'repair or remove them, or set data.skip=True' if can_skip else 'repair them'
    raise errors.InputError(
      f'{where}: {len(odd):,} of {len(paths):,} files cannot be used: {shown}{more}; {advice}'
    )
  return [i for i, result in enumerate(results) if not isinstance(result, _Odd)]


def _with(first: str, *others: str) -> str:
  return f'{first} (and {", ".join(others)})' if others else first


@contextlib.contextmanager
def _opened(path: pathlib.Path) -> Iterator[Image.Image]:
  """Opens an image, of which the header is read.

  Raises:
    _Odd: it is none of the formats, has several frames or more than 8 bits, or is damaged.
  """
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')  # of oddities in the metadata
      image = Image.open(path, formats=_FORMATS)
    with image:
      _check(image)
      yield image
  except (_Odd, MemoryError):
    raise
  except PIL.UnidentifiedImageError as error:
    raise _Odd('is no image, whatever its name says') from error
  except Exception as error:  # of a decoder, for bad bytes: any
    said = getattr(error, 'strerror', None) or str(error) or type(error).__name__
    reason = ' '.join(said.split())[:100]
    raise _Odd(f'cannot be read ({reason})') from error


def _check(image: Image.Image) -> None:
  if image.format != 'MPO' and getattr(image, 'n_frames', 1) > 1:  # of a camera, with previews
    raise _Odd(f'has {image.n_frames} frames')
  raw = str(image.tile[0][3]) if image.tile else ''  # Pillow reads colours of 16 bits as 8
  if image.mode.startswith('I') or image.mode == 'F' or ';16' in raw:
    raise _Odd('has more than 8 bits a channel: store such images as arrays, or with 8 bits')


def header(path: pathlib.Path) -> Header:
  """Returns what a file says of itself."""
  with _opened(path) as image:
    width, height = image.size
    if _orientation(image) >= 5:
      width, height = height, width
    return Header(_kind(image), (height, width))


def _orientation(image: Image.Image) -> int:
  """Returns how a camera was held; 1 is upright, from 5 on it lay on its side."""
  if image.format == 'PNG' and 'exif' not in image.info:
    return 1  # Pillow would decode all of it to look behind the pixels
  return image.getexif().get(_ORIENTATION, 1)


def _kind(image: Image.Image) -> str:
  if image.has_transparency_data:
    return 'transparent'
  if image.mode == 'P':
    return 'rgb'
  return {'1': 'grey', 'L': 'grey', 'RGB': 'rgb'}.get(image.mode, image.mode)


def pixels(path: pathlib.Path, size: tuple[int, int], fit: str, channels: str) -> np.ndarray:
  """Returns an image as bytes [height, width, 3], or [height, width, 1] where it shall be grey.

  Greys are ITU-R 601-2 luma, and sizes are changed by a bicubic filter over all pixels below.

  Raises:
    _Odd: it cannot be decoded.
  """
  with _opened(path) as opened:
    image = ImageOps.exif_transpose(opened) if _orientation(opened) > 1 else opened
    if image.has_transparency_data:
      image = image.convert('RGBA')
      image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
    image = image.convert({'grey': 'L', 'rgb': 'RGB'}[channels])
    target = size[::-1]
    if image.size != target:
      scale = ImageOps.fit if fit == 'crop' else Image.Image.resize
      image = scale(image, target, Image.Resampling.BICUBIC)
    return np.asarray(image).reshape(*size, -1)


def _one_size(
  paths: Sequence[pathlib.Path], headers: Sequence[Header], kept: Sequence[int], where: str
) -> tuple[int, int]:
  """Returns the size of all images.

  Raises:
    InputError: they differ.
  """
  first = headers[kept[0]].size
  other = next((i for i in kept if headers[i].size != first), None)
  if other is None:
    return first
  sizes = {headers[i].size for i in kept}
  near = min(min(size) for size in sizes)
  raise errors.InputError(
    f'{where}: its images have {len(sizes):,} sizes, {short(paths[kept[0]].name)} '
    f'{_written(first)} and {short(paths[other].name)} {_written(headers[other].size)} (height x '
    f"width); set data.size to one, such as ({near}, {near}), and data.fit to 'crop' or 'resize'"
  )


def _written(size: tuple[int, int]) -> str:
  return f'{size[0]}x{size[1]}'


def _channels(
  paths: Sequence[pathlib.Path],
  headers: Sequence[Header],
  kept: Sequence[int],
  asked: str,
  where: str,
) -> str:
  """Returns 'grey' or 'rgb'.

  Raises:
    InputError: images are of several kinds, or transparent, or of other colours, and nothing is
      asked for.
  """
  if asked != 'auto':
    return asked
  of_kind = {headers[i].kind: i for i in reversed(kept)}
  if of_kind.keys() in ({'grey'}, {'rgb'}):
    return next(iter(of_kind))
  shown = ', '.join(f'{short(paths[i].name)} is {kind}' for kind, i in sorted(of_kind.items()))
  raise errors.InputError(
    f"{where}: {shown}, and data.channels='auto' is for images that are all grey or all RGB; set "
    "data.channels='rgb' or 'grey' (what is transparent lies on white then)"
  )
