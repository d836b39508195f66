"""Distributions over one example: all of its pixels are one event."""

from collections.abc import Sequence

import distrax
import jax.numpy as jnp
from jax import Array

from vae_jax.fast import sums


class _PerExample(distrax.Independent):
  """All axes are one event."""

  def log_prob(self, value: Array) -> Array:
    return sums.total(self.distribution.log_prob(value))


def per_example(distribution: distrax.DistributionLike) -> distrax.Distribution:
  """Makes all axes one event: log_prob sums over the pixels, [*event] -> []."""
  return _PerExample(distribution, len(distribution.batch_shape))


def rescaled(
  distribution: distrax.Distribution, shift: Array, spread: Array
) -> distrax.Distribution:
  """Returns the distribution over x = m + s y [D] of one over y [D], in the units of x.

    log p(x) = log p((x - m) / s) - sum_d log s_d

  Args:
    distribution: over y.
    shift: m [D].
    spread: s [D], above 0.
  """
  bijector = distrax.ScalarAffine(shift=shift, scale=spread)
  return distrax.Transformed(distribution, distrax.Block(bijector, 1))


class Shaped(distrax.Distribution):
  """A distribution over [D] as one over [*event]: the same numbers in rows and columns.

  A CPU's loops over [28, 28, 1] take longer than those over [784].

  Attributes:
    flat: the distribution over [D].
  """

  def __init__(self, flat: distrax.Distribution, event: Sequence[int]):
    super().__init__()
    self.flat = flat
    self._event = tuple(event)

  @property
  def event_shape(self) -> tuple[int, ...]:
    """The shape of one example."""
    return self._event

  def log_prob(self, value: Array) -> Array:
    """Returns log p [] of one example [*event]."""
    return self.flat.log_prob(jnp.ravel(value))

  def mean(self) -> Array:
    """Returns [*event]."""
    return self.flat.mean().reshape(self._event)

  def _sample_n(self, key: Array, n: int) -> Array:
    return self.flat.sample(seed=key, sample_shape=(n,)).reshape(n, *self._event)
