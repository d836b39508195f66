"""Drawn 2-D shapes whose factors are known: shape, scale, orientation, x and y; no file needed.

Every combination of the factors is one image. All of it is integer arithmetic and sums and products
of float64 that IEEE 754 rounds in one way only, so that the images are the same to the bit on any
machine: no sine, no square root, no matrix product, and one known stream of random words.
"""

import itertools

import numpy as np

VERSION = '1.0.0'  # of the images and their order
SIZE = 32  # pixels, both ways
SAMPLES = 8  # per pixel and direction: coverage in 64ths

NAMES = ('shape', 'scale', 'orientation', 'x', 'y')
SHAPES = ('square', 'ellipse', 'heart')
SCALES = (4, 5, 6, 7)  # pixels; about half of the width of a shape
# The angle of the triangle 7-24-25, 16.26 degrees, zero to four times. Less than a quarter turn, so
# that no two orientations of a square are one image.
ORIENTATIONS = 5
SHIFTS = tuple(range(-7, 8, 2))  # pixels from the centre, both ways: whole, so images are shifted

_ORDER_KEY = 0x736861706573  # 'shapes'


def render() -> tuple[np.ndarray, np.ndarray]:
  """Draws all shapes, white on black.

  Returns:
    images [n, 32, 32, 1], uint8: the part of each pixel that is covered, times 255, rounded.
    factors [n], one int32 field for each factor: the index of its value.
  """
  sizes = (len(SHAPES), len(SCALES), ORIENTATIONS, len(SHIFTS), len(SHIFTS))
  grid = np.indices(sizes, np.int32).reshape(len(sizes), -1)  # [F, n], y the fastest
  sprites = np.stack(
    [
      _sprite(shape, scale, turns)
      for shape, scale, turns in itertools.product(SHAPES, SCALES, range(ORIENTATIONS))
    ]
  )
  margin = max(SHIFTS)
  sprites = np.pad(sprites, [(0, 0), (margin, margin), (margin, margin)])
  images = np.empty((len(sprites), len(SHIFTS), len(SHIFTS), SIZE, SIZE), np.uint8)
  for i, dx in enumerate(SHIFTS):
    for j, dy in enumerate(SHIFTS):
      top, left = margin - dy, margin - dx
      images[:, i, j] = sprites[:, top : top + SIZE, left : left + SIZE]
  factors = np.empty(grid.shape[1], [(name, np.int32) for name in NAMES])
  for name, values in zip(NAMES, grid, strict=True):
    factors[name] = values
  return images.reshape(-1, SIZE, SIZE, 1), factors


def read(split: str) -> tuple[np.ndarray, np.ndarray]:
  """Returns images and factors of 'train' (four fifths) or 'test', in a fixed random order.

  In this order a slice of a split is a random sample of it.
  """
  images, factors = render()
  # As for the batches: raw words, whose stream NumPy guarantees.
  words = np.random.Philox(key=_ORDER_KEY).random_raw(len(images))
  order = np.argsort(words, kind='stable')
  test = np.s_[4::5]
  chosen = order[test] if split == 'test' else np.delete(order, test)
  return images[chosen], factors[chosen]


def _sprite(shape: str, scale: float, turns: int) -> np.ndarray:
  """Draws one shape in the centre, [32, 32] uint8."""
  count = SIZE * SAMPLES
  ticks = (2 * np.arange(count) + 1 - count) / (2 * SAMPLES)  # pixels from the centre: exact
  cosine, sine = 1, 0  # times 25^turns
  for _ in range(turns):
    cosine, sine = 24 * cosine - 7 * sine, 7 * cosine + 24 * sine
  x, y = ticks, ticks[:, None]  # y downwards
  unit = scale * 25**turns
  u, v = (x * cosine + y * sine) / unit, (y * cosine - x * sine) / unit
  inside = _INSIDE[shape](u, v)
  covered = inside.reshape(SIZE, SAMPLES, SIZE, SAMPLES).sum(axis=(1, 3))
  area = SAMPLES * SAMPLES
  return ((255 * covered + area // 2) // area).astype(np.uint8)


def _square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
  return (np.abs(u) <= 0.9) & (np.abs(v) <= 0.9)


def _ellipse(u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """Twice as long as wide."""
  return u * u + 4 * (v * v) <= 1.44


def _heart(u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """(u^2 + w^2 - 1)^3 <= u^2 w^3, with w upwards, and a little smaller."""
  u, w = 1.125 * u, 0.125 - 1.125 * v  # the curve reaches further up than down: centre it
  bulge = u * u + w * w - 1
  return bulge * bulge * bulge <= u * u * (w * w * w)


_INSIDE = {'square': _square, 'ellipse': _ellipse, 'heart': _heart}
