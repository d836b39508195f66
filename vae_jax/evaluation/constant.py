"""Decoders that ignore z: the best of them is what a collapsed lane comes to."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import densities

_OCTAVES = range(-6, 4)  # around the spread of the data
_FINER = (2**0.5, 2**0.25, 2**0.125)


def constant_distortion(
  likelihood: densities.Likelihood,
  first: Array,
  x: Array,
  sizes: Array | None = None,
  has_missing: bool = False,
) -> Array:
  """Returns the distortion [] of a decoder whose outputs are the same for every z.

    D = -1/n sum_i log p(x_i | outputs),    outputs = (first, 0, ..., 0)

  Nats per example; lower is better.

  Args:
    likelihood: p(x | outputs); its shared scalars are at their start, 0.
    first: [*event], the first output.
    x: [n, *event].
    sizes: [n], of the examples; None where the likelihood knows none.
    has_missing: whether values of x may be NaN, and are left out.
  """
  size = math.prod(x.shape[1:])
  outputs = jnp.zeros((likelihood.num_heads, size)).at[0].set(jnp.ravel(first))
  shared = (jnp.zeros(()),) * likelihood.num_shared

  def log_prob(x: Array, of_size: Array | None) -> Array:
    one = likelihood if of_size is None else likelihood.sized(of_size)
    constant = one.make((*outputs, *shared) if shared else outputs)
    return (densities.of_observed(constant, None) if has_missing else constant).log_prob(x)

  return -jnp.mean(jax.vmap(log_prob)(x.reshape(len(x), size), sizes))


def best_scale(distortion: Callable[[float], Array], spread: float, lowest: float) -> float:
  """Returns the scale of the smallest distortion, to a sixteenth of an octave.

  Among octaves around the spread of the data, and then in ever finer steps.

  Args:
    distortion: of a scale, with one minimum.
    spread: about how far the data lie from their mean, in units of the scale.
    lowest: only scales above it are tried.
  """

  def best_of(scales: list[float]) -> float:
    return min({max(s, 1.01 * lowest) for s in scales}, key=lambda s: float(distortion(s)))

  best = best_of([spread * 2.0**octave for octave in _OCTAVES])
  for factor in _FINER:
    best = best_of([best / factor, best, best * factor])
  return best
