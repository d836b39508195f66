"""Patches of scikit-learn's two photographs: small images in true colours; no download needed.

Each photograph, 427 x 640 pixels, is a grid of 3 x 5 regions [142, 128], and a region lies in one
split whole, so that no patch shares a pixel with a patch of another split. Every row of regions has
three for training, one for validation and one for the test. Inside a region patches begin at every
eighth pixel, and those of one split overlap: a slice of a split is no set of its own.
"""

import hashlib
import importlib.metadata

import numpy as np

from vae_jax.data import cache, sources

VERSION = '1.0.0'  # of the patches and their order
SIZE = 32  # pixels, both ways
STRIDE = 8
REGION = (142, 128)  # height, width
GRID = (3, 5)  # of regions, down and across
SPLITS = ('train', 'validation', 'test')
# By (2 row + column) modulo 5: in each row and each column, where there are five, one of each kind.
_SPLIT_OF = ('train', 'validation', 'train', 'test', 'train')
_PHOTOGRAPHS = ('china', 'flower')
_ORDER_KEY = 0x70617463686573  # 'patches'


def open_patches() -> sources.Source:
  """Returns patches [32, 32, 3] of two photographs: 3,276 to train on, 1,092 and 1,092 beside.

  Beside each stands its photograph, `label`, and its region, `region`, from 0 to 29.
  """
  origin = [importlib.metadata.version(package) for package in ('scikit-learn', 'pillow')]
  fingerprint = hashlib.sha256(' '.join(origin).encode()).hexdigest()[:16]

  def read(split: str) -> sources.Examples:
    return cache.fetch('patches', VERSION, split, fingerprint, lambda: cut(photographs(), split))

  return sources.Source('patches', VERSION, "data.name='patches'", SPLITS, read)


def photographs() -> list[np.ndarray]:
  """Returns the photographs [427, 640, 3], uint8, in the order of their names."""
  from sklearn import datasets  # more than a second

  return [datasets.load_sample_image(f'{name}.jpg') for name in _PHOTOGRAPHS]


def corners(split: str) -> np.ndarray:
  """Returns where the patches of a split begin, int [n, 4]: photograph, region, top, left.

  In a fixed random order.
  """
  height, width = REGION
  found = [
    (photograph, region, top, left)
    for photograph in range(len(_PHOTOGRAPHS))
    for region, (row, column) in enumerate(np.ndindex(GRID))
    if _SPLIT_OF[(2 * row + column) % len(_SPLIT_OF)] == split
    for top in range(row * height, (row + 1) * height - SIZE + 1, STRIDE)
    for left in range(column * width, (column + 1) * width - SIZE + 1, STRIDE)
  ]
  # As for the batches: raw words, whose stream NumPy guarantees.
  words = np.random.Philox(key=_ORDER_KEY).random_raw(len(found))
  return np.array(found)[np.argsort(words, kind='stable')]


def cut(images: list[np.ndarray], split: str) -> sources.Examples:
  """Returns the patches of a split of the photographs."""
  places = corners(split)
  photograph, region = places[:, :2].T
  patches = [images[i][y : y + SIZE, x : x + SIZE] for i, _, y, x in places]
  return sources.Examples(
    np.stack(patches),
    photograph.astype(np.int32).view([(sources.LABEL, np.int32)]),
    {
      sources.LABEL: np.array(_PHOTOGRAPHS)[photograph],
      'region': photograph * GRID[0] * GRID[1] + region,
    },
  )
