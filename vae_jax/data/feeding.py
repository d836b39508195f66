"""How the training program gets its batches: from the device, or from the host as they come.

Either way step s sees the examples of `batch_indices`, so the parameters do not depend on it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from vae_jax.data import batches
from vae_jax.data.beside import NOTHING, Beside

_THREADS = 2  # that gather batches; it is a copy, not arithmetic
_AHEAD = 64  # batches that wait for the device


class Schedule(NamedTuple):
  """What decides which examples a step sees."""

  seed: int
  batch_size: int  # N
  chunk_steps: int  # S, the most steps that are asked for at once


class Rows(NamedTuple):
  """Examples as stored."""

  images: Any  # [m, *event]
  beside: Beside = NOTHING  # [m, ...] what is known of them


class Feed(NamedTuple):
  """Where the training program reads.

  Attributes:
    shape: of the rows that `read` returns.
    read: (first, stop) -> m rows as stored, and indices [S, N] into them; row s is what step
      first + s trains on, for s < stop - first <= S.
  """

  shape: Rows
  read: Callable[[int, int], tuple[Rows, np.ndarray]]


def resident(
  images: np.ndarray | Array,
  schedule: Schedule,
  sharding: jax.sharding.Sharding,
  beside: Beside = NOTHING,
) -> Feed:
  """Returns the feed of a data set that lies on the devices, whole."""
  placed = jax.device_put(Rows(images, beside), sharding)

  def read(first: int, stop: int) -> tuple[Rows, np.ndarray]:
    del stop
    seed, batch_size, chunk_steps = schedule
    return placed, batches.batch_indices(seed, first, chunk_steps, batch_size, len(images))

  return Feed(_shapes(placed), read)


def streamed(
  images: np.ndarray,
  schedule: Schedule,
  sharding: jax.sharding.Sharding,
  beside: Beside = NOTHING,
) -> Feed:
  """Returns the feed of a data set on the host: a chunk's batches at a time, gathered ahead.

  Chunks are read in the order of their steps, each once.
  """
  seed, batch_size, chunk_steps = schedule
  size = chunk_steps * batch_size
  indices = np.arange(size, dtype=np.int32).reshape(chunk_steps, batch_size)
  empty = jax.tree.map(
    lambda leaf: np.zeros((size, *leaf.shape[1:]), leaf.dtype), Rows(images[:1], beside)
  )
  coming = None

  def batch(step: int) -> np.ndarray:
    (rows,) = batches.batch_indices(seed, step, 1, batch_size, len(images))
    return images[rows]

  def begin(first: int):
    import grain  # half a second that only such a data set costs

    steps = grain.MapDataset.range(first, np.iinfo(np.int32).max)
    options = grain.ReadOptions(num_threads=_THREADS, prefetch_buffer_size=_AHEAD)
    return iter(steps.map(batch).to_iter_dataset(options))

  def read(first: int, stop: int) -> tuple[Rows, np.ndarray]:
    nonlocal coming
    coming = begin(first) if coming is None else coming
    gathered = jax.tree.map(np.zeros_like, empty)
    for row in range(stop - first):
      gathered.images[row * batch_size : (row + 1) * batch_size] = next(coming)
    rows = batches.batch_indices(seed, first, stop - first, batch_size, len(images)).ravel()
    for leaf, known in zip(gathered.beside, beside, strict=True):
      if known is not None:
        leaf[: len(rows)] = known[rows]
    return jax.device_put(gathered, sharding), indices

  return Feed(_shapes(empty), read)


def _shapes(rows: Rows) -> Rows:
  return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), rows)
