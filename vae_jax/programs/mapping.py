"""One lane's function over all lanes of a program."""

from collections.abc import Callable
from typing import Any

import jax


def over_lanes(function: Callable, in_axes: Any = 0) -> Callable:
  """Returns `jax.vmap` over the lane axis; a lane alone is squeezed.

  With a batch axis of 1 XLA on a CPU copies and transposes the operands of matrix products.
  """

  def mapped(*arguments):
    axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(arguments)
    pairs = list(zip(arguments, axes, strict=True))
    per_lane = next(tree for tree, axis in pairs if axis == 0)
    if len(jax.tree.leaves(per_lane)[0]) > 1:
      return jax.vmap(function, in_axes)(*arguments)
    squeezed = (
      jax.tree.map(lambda leaf: leaf[0], tree) if axis == 0 else tree for tree, axis in pairs
    )
    return jax.tree.map(lambda leaf: leaf[None], function(*squeezed))

  return mapped
