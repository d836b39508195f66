"""Standardised values: shift and spread of the training split, for encoder and likelihood alike."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vae_jax.data import blocks

STANDARDIZE = ('none', 'per_pixel', 'all')
_NO_SPREAD = 1e-30  # below it a quotient of float32 would overflow


class Standard(NamedTuple):
  """The model works on (x - shift) / spread; its log p(x) is that of x, in the units of x.

    log p(x) = log p((x - m) / s) - sum_d log s_d

  Attributes:
    shift: m [*event], float32.
    spread: s [*event], float32, above 0; 1 where a value never varies.
  """

  shift: np.ndarray
  spread: np.ndarray


def standard_of(
  images: np.ndarray, scale: float, mode: str, chosen: Sequence[bool] | None = None
) -> Standard | None:
  """Returns mean and standard deviation of images / scale, None where `mode` is 'none'.

  Args:
    images: stored examples [n, *event] of the training split: no other may be known.
    scale: Dataset.scale.
    mode: one of STANDARDIZE; 'all' takes one m and one s over all values.
    chosen: of vectors, which of D values are standardised; the others keep m = 0 and s = 1.
  """
  if mode == 'none':
    return None
  axis = 0 if mode == 'per_pixel' else None
  centre = np.broadcast_to(mean(images, axis), images.shape[1:])
  # Sums of equal values of float32 are exact in float64: what never varies has a spread of 0.
  spread = np.sqrt(mean(images, axis, lambda block: np.square(block - centre))) / scale
  spread = np.broadcast_to(np.where(spread > _NO_SPREAD, spread, 1.0), images.shape[1:])
  if chosen is not None:
    centre, spread = np.where(chosen, centre, 0.0), np.where(chosen, spread, 1.0)
  return Standard((centre / scale).astype(np.float32), spread.astype(np.float32))


def mean(images: np.ndarray, axis: int | None, function=lambda block: block) -> np.ndarray:
  """Returns the mean of function(images) over the examples, or over all values, in float64.

  Values that are missing, NaN, are left out.
  """
  total, count = 0.0, 0
  for block in blocks.of(images):
    values = function(block.astype(np.float64))
    total = total + np.nansum(values, axis=axis)
    count = count + np.count_nonzero(~np.isnan(values), axis=axis)
  return total / count
