"""One lane's function over all lanes of a program."""

from collections.abc import Callable
from typing import Any

import jax
from jax.sharding import PartitionSpec

from vae_jax.placement import Placement


def over_lanes(function: Callable, place: Placement, in_axes: Any = 0) -> Callable:
  """Returns `jax.vmap` over the lane axis, on each device over the lanes that lie there.

  A lane alone on its device is squeezed: with a batch axis of 1 XLA on a CPU copies and transposes
  the operands of matrix products.
  """

  def mapped(*arguments):
    axes = in_axes if isinstance(in_axes, tuple) else (in_axes,) * len(arguments)
    specs = tuple(PartitionSpec('lane') if axis == 0 else PartitionSpec() for axis in axes)

    def local(*arguments):
      if place.lanes_of_device > 1:
        return jax.vmap(function, axes)(*arguments)
      squeezed = (
        jax.tree.map(lambda leaf: leaf[0], tree) if axis == 0 else tree
        for tree, axis in zip(arguments, axes, strict=True)
      )
      return jax.tree.map(lambda leaf: leaf[None], function(*squeezed))

    return jax.shard_map(
      local,
      mesh=place.mesh,
      in_specs=specs,
      out_specs=PartitionSpec('lane'),
      axis_names={'lane'},
      check_vma=False,
    )(*arguments)

  return mapped
