"""Whether the squares of all gradients are finite, at every step.

Not measured by itself: XLA writes the squares to memory before it reduces them, as many numbers as
there are parameters; products of a matrix and a vector write none. Delete it when `reference`
writes none.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array

_LARGEST_SQUARED = math.sqrt(jnp.finfo(jnp.float32).max)  # above it a square overflows


def are_in_range(grads: Any) -> Array:
  """Tells [] whether the squares of all gradients are finite, as Adam's second moment needs them.

  By sums of g sqrt(max float32). Of a sum that overflows though none of its terms does, or of which
  terms that overflow cancel, it says what `reference` does not; a lane of either has diverged.
  """

  def total(leaf: Array) -> Array:
    rows = jnp.reshape(leaf, (-1, leaf.shape[-1] if leaf.ndim else 1))
    return jnp.sum(rows @ jnp.full(rows.shape[1], _LARGEST_SQUARED))

  return jnp.isfinite(optax.tree.sum(jax.tree.map(total, grads)))


def reference(grads: Any) -> Array:
  """Tells [] whether the squares of all gradients are finite."""
  squares = jax.tree.leaves(jax.tree.map(jnp.square, grads))
  return jnp.all(jnp.stack([jnp.all(jnp.isfinite(square)) for square in squares]))
