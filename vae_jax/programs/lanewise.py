"""One lane's function as a program of all lanes: where functions meet the lane axis."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.sharding import PartitionSpec

from vae_jax import placement
from vae_jax.fast import lone
from vae_jax.placement import Placement


class Lanewise(NamedTuple):
  """A program of all lanes.

  Attributes:
    program: jitted, (trees [width], ..., shared) -> a tree [width].
    place: of its lanes.
    per_lane: how many of its arguments have a lane axis; they come first.
  """

  program: Callable[..., Any]
  place: Placement
  per_lane: int

  def __call__(self, *arguments: Any) -> Any:
    """Returns the results of all lanes, a tree [G] or `placement.Turns`.

    Args:
      arguments: trees with a leading axis [G], or `placement.Turns` of them, and then what all
        lanes see.
    """
    lanes, shared = arguments[: self.per_lane], arguments[self.per_lane :]
    return placement.run_in_turns(self.place, self.program, lanes, *shared)

  def lower(self, *arguments: Any) -> jax.stages.Lowered:
    """Returns the program before it is compiled, for the platform of its devices; see `shapes`."""
    return self.program.lower(*self.shapes(*arguments))

  def shapes(self, *arguments: Any) -> tuple[Any, ...]:
    """Returns the shapes that the program takes, of its width and on its devices.

    Args:
      arguments: as for a call, arrays or their shapes, of any number of lanes.
    """
    lanes, shared = arguments[: self.per_lane], arguments[self.per_lane :]
    width, place = self.place.width, self.place

    def of_lanes(leaf: Any) -> jax.ShapeDtypeStruct:
      return jax.ShapeDtypeStruct((width, *leaf.shape[1:]), leaf.dtype, sharding=place.over_lanes)

    def of_all(leaf: Any) -> jax.ShapeDtypeStruct:
      return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place.everywhere)

    return *jax.tree.map(of_lanes, lanes), *jax.tree.map(of_all, shared)


def lanewise(
  function: Callable[..., Any], place: Placement, per_lane: int = 2, **options: Any
) -> Lanewise:
  """Returns a function of one lane as a program of all lanes: mapped, jitted, in turns.

  Args:
    function: (trees of one lane, ..., what all lanes see) -> a tree of one lane.
    place: of the lanes: how many a program has, and on which devices they lie.
    per_lane: how many of its arguments are of the lane; they come first.
    options: of `jax.jit`.
  """
  program = jax.jit(
    _over_lanes(function, place, per_lane), out_shardings=place.over_lanes, **options
  )
  return Lanewise(program, place, per_lane)


def over_data(batches: Any) -> Any:
  """Returns batches [B, N, ...] whose examples lie over the devices that share a lane.

  In a function of one lane, as part of a program of `lanewise`: each of the devices then computes
  its own examples, and not what the others compute, too.
  """
  return jax.lax.with_sharding_constraint(batches, PartitionSpec(None, 'data'))


def _over_lanes(function: Callable, place: Placement, per_lane: int) -> Callable:
  """Returns `function` over the lane axis, on each device over the lanes that lie there."""
  local = lone.over_lanes(function, per_lane, place.lanes_of_device)

  def mapped(*arguments):
    shared = len(arguments) - per_lane
    specs = (PartitionSpec('lane'),) * per_lane + (PartitionSpec(),) * shared
    return jax.shard_map(
      local,
      mesh=place.mesh,
      in_specs=specs,
      out_specs=PartitionSpec('lane'),
      axis_names={'lane'},
      check_vma=False,
    )(*arguments)

  return mapped
