"""Sums over all pixels of an example.

Measured: XLA's sums over the last axis take ten times as long as its products on a CPU. Delete it
when they do not.
"""

import jax
import jax.numpy as jnp
from jax import Array


def total(terms: Array) -> Array:
  """Returns the sum [] of all terms; on a CPU as a product with ones."""
  terms = jnp.ravel(terms)
  return jax.lax.platform_dependent(
    terms,
    cpu=lambda terms: jnp.dot(terms, jnp.ones_like(terms), precision=jax.lax.Precision.HIGHEST),
    default=reference,
  )


def reference(terms: Array) -> Array:
  """Returns the sum [] of all terms."""
  return jnp.sum(terms)
