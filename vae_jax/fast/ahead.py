"""A loop whose inputs are drawn for many steps at once.

Not measured by itself: a small draw is a hundred loops of a few numbers each on a CPU, and of many
steps at once it costs hardly more. Delete it when `reference` is as fast.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

_BYTES = 2**18  # drawn at a time: they stay in the cache until they are used

Draw = Callable[[Array], Array]  # step [] -> what the step reads
Take = Callable[[Array, Any, Array], Any]  # (step [], carry, what it reads) -> carry


def loop(first: Array, stop: Array, draw: Draw, take: Take, carry: Any, most: int) -> Any:
  """Returns the carry after the steps first .. stop - 1.

  Args:
    first, stop: [] int32, stop > first; data, so that one program serves every number of steps.
    draw: what a step reads; a function of the step alone.
    take: a step.
    carry: before the first step.
    most: so many steps at most are drawn at a time.
  """
  ahead = steps_ahead(jax.eval_shape(draw, first), most)

  def block(i, carry):
    begin = first + i * ahead
    drawn = jax.vmap(draw)(begin + jnp.arange(ahead))

    def body(step, carry):
      return take(step, carry, drawn[step - begin])

    return jax.lax.fori_loop(begin, jnp.minimum(begin + ahead, stop), body, carry)

  num_blocks = (stop - first + ahead - 1) // ahead
  return jax.lax.fori_loop(0, num_blocks, block, carry)


def steps_ahead(drawn: jax.ShapeDtypeStruct, most: int) -> int:
  """Returns for how many steps what has this shape is drawn at once, at least 1."""
  return min(most, max(1, _BYTES // (drawn.size * drawn.dtype.itemsize)))


def reference(first: Array, stop: Array, draw: Draw, take: Take, carry: Any, most: int) -> Any:
  """Returns the carry after the steps first .. stop - 1."""
  del most
  return jax.lax.fori_loop(first, stop, lambda step, carry: take(step, carry, draw(step)), carry)
