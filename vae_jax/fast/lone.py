"""Lanes on one device; one that is alone there is computed without the lane axis.

Not measured by itself: with a batch axis of 1 XLA on a CPU copies and transposes the operands of
matrix products. Delete it when it does not.
"""

from collections.abc import Callable
from typing import Any

import jax


def over_lanes(function: Callable[..., Any], per_lane: int, num_lanes: int) -> Callable[..., Any]:
  """Returns `function` over the lane axis of its first `per_lane` arguments, [num_lanes]."""
  if num_lanes > 1:
    return reference(function, per_lane)

  def lone(*arguments: Any) -> Any:
    lane = jax.tree.map(lambda leaf: leaf[0], arguments[:per_lane])
    return jax.tree.map(lambda leaf: leaf[None], function(*lane, *arguments[per_lane:]))

  return lone


def reference(function: Callable[..., Any], per_lane: int) -> Callable[..., Any]:
  """Returns `function` over the lane axis of its first `per_lane` arguments."""

  def mapped(*arguments: Any) -> Any:
    shared = len(arguments) - per_lane
    return jax.vmap(function, (0,) * per_lane + (None,) * shared)(*arguments)

  return mapped
