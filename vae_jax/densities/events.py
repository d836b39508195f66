"""Distributions over one example: all of its pixels are one event."""

import warnings
from collections.abc import Sequence

import distrax
import jax.numpy as jnp
from jax import Array

from vae_jax import errors
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


class _Observed(distrax.Independent):
  """All axes are one event, of which values that are NaN are not observed."""

  def __init__(self, values: distrax.Distribution, likely: Array):
    super().__init__(values, 1)
    self._likely = likely

  def log_prob(self, value: Array) -> Array:
    observed = ~jnp.isnan(value)
    # Filled beforehand: the derivative of what is not selected would be 0 times NaN.
    logs = self.distribution.log_prob(jnp.where(observed, value, self._likely))
    return sums.total(jnp.where(observed, logs, 0.0))


def of_observed(
  distribution: distrax.Distribution, standard: tuple[Array, Array] | None
) -> distrax.Distribution:
  """Returns the density of the values [D] that are observed: those that are not NaN.

    log p(x_o) = sum_{d in o} log p(x_d)

  That is their marginal, where the values are independent given z. Mattei & Frellsen 2019, eq. 4,
  arxiv.org/abs/1812.02633.

  Args:
    distribution: of `per_example`.
    standard: shift m and spread s [D], of a distribution over y in x = m + s y; None for x itself.

  Raises:
    InputError: the distribution is no product over values.
  """
  if not is_product(distribution):
    raise errors.InputError(
      'the likelihood is no product over the values of an example, so that none can be left out; '
      "set data.missing='refused'"
    )
  values = distribution.distribution
  if standard is None:
    return _Observed(values, jnp.zeros(()))
  shift, spread = standard
  return _Observed(distrax.Transformed(values, distrax.ScalarAffine(shift, spread)), shift)


def is_product(distribution: distrax.Distribution) -> bool:
  """Tells whether a distribution over one example [D] is a product over its values."""
  return (
    isinstance(distribution, distrax.Independent) and distribution.distribution.event_shape == ()
  )


def drawn(
  distribution: distrax.DistributionLike, key: Array, sample_shape: Sequence[int] = ()
) -> Array:
  """Returns `distribution.sample`, [*sample_shape, *event].

  Samplers of TFP, as those of its Poisson and its Student's t, ask for 64 bits wherever they can be
  had, and JAX warns that they cannot: nothing that a user could change.
  """
  with warnings.catch_warnings():
    warnings.filterwarnings('ignore', 'Explicitly requested dtype float64', UserWarning)
    return distribution.sample(seed=key, sample_shape=tuple(sample_shape))


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
    return drawn(self.flat, key, (n,)).reshape(n, *self._event)
