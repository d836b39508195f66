"""A data set in equal batches, and the precision of everything that is evaluated."""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jax import Array

from vae_jax.data import NOTHING, Beside

PRECISION = 'highest'  # of all products, in training, too: docs/scale.md has what others would save


class Batches(NamedTuple):
  """A data set cut into equal batches; the last one filled up with images of weight 0."""

  images: np.ndarray | Array  # [B, N, *event] as stored
  weights: np.ndarray | Array  # [B, N] 1 for an image, 0 for the filling
  beside: Beside = NOTHING  # [B, N, ...] what is known of the images

  def part(self, index: int) -> 'Batches':
    """Returns one of the batches, as batches."""
    return jax.tree.map(lambda leaf: leaf[index : index + 1], self)


def cut(images: np.ndarray, batch_size: int, beside: Beside = NOTHING) -> Batches:
  """Cuts images [n, *event] into batches of `batch_size`, each image with weight 1 exactly once."""
  num_batches = math.ceil(len(images) / batch_size)
  missing = num_batches * batch_size - len(images)

  def filled(rows: np.ndarray) -> np.ndarray:
    rows = np.concatenate([rows, np.repeat(rows[:1], missing, axis=0)])
    return rows.reshape(num_batches, batch_size, *rows.shape[1:])

  weights = np.concatenate([np.ones(len(images), np.float32), np.zeros(missing, np.float32)])
  shape = (num_batches, batch_size)
  return Batches(filled(images), weights.reshape(shape), jax.tree.map(filled, beside))


def fitting_size(count: int, wanted: int, smallest: int, largest: int | None) -> int:
  """Returns the batch size nearest to `wanted` that leaves no batch of too few of `count` images.

  Where there is none, it is `wanted`, within what the images allow.

  Args:
    count: how many images are cut.
    wanted: batch size.
    smallest, largest: how many images of a batch an objective can compare; None for any number.
  """
  high = count if largest is None else min(count, largest)
  rests = {size: count % size for size in range(smallest, high + 1)}
  sizes = [size for size, rest in rests.items() if not 0 < rest < smallest]
  return min(sizes, key=lambda size: abs(size - wanted), default=max(1, min(wanted, high)))


def highest_precision(function: Callable) -> Callable:
  """Traces `function` with float32 matrix products, also where a GPU would use TF32."""

  @functools.wraps(function)
  def wrapped(*args, **kwargs):
    with jax.default_matmul_precision(PRECISION):
      return function(*args, **kwargs)

  return wrapped
