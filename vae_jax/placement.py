"""Where lanes are computed: how many go through one program, and on which devices.

The devices form a mesh with the axes 'lane' and 'data'. Lanes lie over the devices first, as they
need nothing of each other; only where there are fewer lanes than devices does a batch lie over
several. One device is a mesh of 1 x 1: there is no other path. The cores of a CPU are devices, too,
where the process has made them so: lanes side by side then need no thread to wait for another.

The last bits of a lane depend on the number of lanes in its program, the width, and of devices, and
on nothing that is beside it. So all programs of a launch have one width: the last one is filled up,
and what fills it is dropped.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import psutil
from jax.sharding import Mesh, NamedSharding, PartitionSpec

_FREE = 0.8  # of the memory that is free may be planned with
# Operations of a step on one core of a CPU from which a wider program is no faster a lane: lanes of
# small networks share what a step costs however small it is, those of large ones only push each
# other out of the caches.
_ENOUGH = 60e6
# Rows of a matrix product from which Eigen, on a CPU, is faster than YNNPACK, XLA's own choice: by
# 7 % at 640 rows, 10 % at 6400. Below, the two are even, and in small networks YNNPACK is ahead.
_MANY_ROWS = 512


class Placement(NamedTuple):
  """A width and the devices of one program."""

  width: int  # lanes of one program, a multiple of the mesh's lane axis
  mesh: Mesh  # of the axes 'lane' and 'data'

  @property
  def lanes_of_device(self) -> int:
    """How many lanes of a program lie on one device."""
    return self.width // self.mesh.shape['lane']

  @property
  def is_cpu(self) -> bool:
    """Whether the devices are cores, which share their memory."""
    return self.mesh.devices.flat[0].platform == 'cpu'

  @property
  def over_lanes(self) -> NamedSharding:
    """Of arrays with a leading axis [G]."""
    return NamedSharding(self.mesh, PartitionSpec('lane'))

  @property
  def everywhere(self) -> NamedSharding:
    """Of what every device needs whole."""
    return NamedSharding(self.mesh, PartitionSpec())

  def compiler_options(self, num_rows: int) -> dict[str, Any]:
    """Returns what XLA is told of a program that runs long.

    Args:
      num_rows: of the decoder's matrix products in one lane: examples x samples.
    """
    if not self.is_cpu:
      return {}
    # Its own choice of 256 bits is for cores that slow down in wider ones, as they no longer do;
    # where there are none of 512, LLVM takes what there is.
    options = {'xla_cpu_prefer_vector_width': 512}
    if num_rows >= _MANY_ROWS:
      # Sums alone are left to YNNPACK.
      options['xla_cpu_experimental_ynn_fusion_type'] = 'LIBRARY_FUSION_TYPE_REDUCE'
    return options


def lanes_at_once(num_lanes: int, operations: float) -> int:
  """Returns how many lanes a program has best, where the memory does not decide.

  All of them on an accelerator; on a CPU as many as keep each core busy, and the same number in
  each turn.

  Args:
    num_lanes: G.
    operations: of a step of one lane, see `flops.count`.
  """
  if jax.local_devices()[0].platform != 'cpu':
    return num_lanes
  most = jax.local_device_count() * math.ceil(_ENOUGH / max(operations, 1.0))
  each_turn = math.ceil(num_lanes / math.ceil(num_lanes / most))
  of_device = math.ceil(each_turn / jax.local_device_count())
  return of_device * math.ceil(each_turn / of_device)


def _devices_for(width: int) -> Sequence[jax.Device]:
  """Returns all devices of this process; of the cores of a CPU as many as have equal shares.

  A core that is left out still helps the others.
  """
  devices = jax.local_devices()
  if devices[0].platform != 'cpu':
    return devices
  return devices[: max(n for n in range(1, len(devices) + 1) if width % n == 0)]


def place(width: int, batch_size: int, devices: Sequence[jax.Device] | None = None) -> Placement:
  """Returns where programs of `width` lanes, or a few more, are computed.

  Args:
    width: lanes of one program, at least 1. It is raised to a multiple of what the lane axis has.
    batch_size: N; the data axis divides it, or devices are left out.
    devices: if None, all of them; of the cores of a CPU as many as divide the width.
  """
  devices = _devices_for(width) if devices is None else devices
  count = len(devices)
  over_lanes = min(n for n in range(1, count + 1) if count % n == 0 and n >= min(width, count))
  over_data = math.gcd(count // over_lanes, batch_size)
  grid = np.array(devices[: over_lanes * over_data]).reshape(over_lanes, over_data)
  axis_types = (jax.sharding.AxisType.Auto,) * 2
  return Placement(
    -(-width // over_lanes) * over_lanes, Mesh(grid, ('lane', 'data'), axis_types=axis_types)
  )


class Turns:
  """What lanes have that take turns in a program: a tree [width] for each turn, on the devices.

  Attributes:
    parts: the trees; the last one is filled up.
    num_lanes: G, without what fills it.
  """

  def __init__(self, parts: Sequence[Any], num_lanes: int):
    self.parts = parts
    self.num_lanes = num_lanes


def num_lanes(lanes: Any) -> int:
  """Returns G, of a tree [G] or of `Turns`."""
  return lanes.num_lanes if isinstance(lanes, Turns) else len(jax.tree.leaves(lanes)[0])


def select(function: Callable[[Any], Any], lanes: Any) -> Any:
  """Returns function(tree) of a tree [G], or the `Turns` of it of each turn."""
  if not isinstance(lanes, Turns):
    return function(lanes)
  return Turns([function(part) for part in lanes.parts], lanes.num_lanes)


def lane_of(lanes: Any, index: int) -> Any:
  """Returns one lane of a tree [G], or of `Turns`, as a tree."""
  if isinstance(lanes, Turns):
    width = num_lanes(lanes.parts[0])
    lanes, index = lanes.parts[index // width], index % width
  return jax.tree.map(lambda leaf: leaf[index], lanes)


def joined(lanes: Any) -> Any:
  """Returns a tree [G]: of `Turns` on the host, anything else as it is."""
  if not isinstance(lanes, Turns):
    return lanes
  parts = jax.device_get(lanes.parts)
  return jax.tree.map(lambda *leaves: np.concatenate(leaves)[: lanes.num_lanes], *parts)


def laid(placement: Placement, lanes: Any) -> Any:
  """Returns a tree [G], or `Turns`, on the devices, where the programs of its lanes expect it."""
  turns = _turns(placement, lanes)
  return turns.parts[0] if turns.num_lanes == placement.width else turns


def in_turns(placement: Placement, program: Callable[..., Any], per_lane: tuple, *shared: Any):
  """Returns program(*per_lane, *shared) of all lanes, so many at a time as the program is wide.

  Args:
    placement: of the program.
    program: (trees [width], ..., shared) -> a tree [width]; it may take over the buffers of its
      first argument.
    per_lane: trees with a leading axis [G], or `Turns` of them.
    shared: what all lanes see.

  Returns:
    A tree [G] where the program has as many lanes, else `Turns`.
  """
  turns = [_turns(placement, lanes) for lanes in per_lane]
  done = []
  for part in zip(*(lanes.parts for lanes in turns), strict=True):
    # One after the other: each has the memory of a program for itself.
    done.append(jax.block_until_ready(program(*part, *shared)))
  num_lanes = turns[0].num_lanes
  return done[0] if num_lanes == placement.width else Turns(done, num_lanes)


def in_turn(placement: Placement, program: Callable[..., Any], per_lane: tuple, *shared: Any):
  """Returns what `in_turns` returns as one tree [G]."""
  return joined(in_turns(placement, program, per_lane, *shared))


def _turns(placement: Placement, lanes: Any) -> Turns:
  """Cuts a tree [G] for programs of one width."""
  if isinstance(lanes, Turns):
    return lanes
  num_lanes, width = len(jax.tree.leaves(lanes)[0]), placement.width
  if num_lanes == width:
    return Turns([_put(lanes, placement.over_lanes)], num_lanes)
  # From the host, so that no lane has to be moved from one device to another.
  lanes, parts = jax.device_get(lanes), []
  for first in range(0, num_lanes, width):
    indices = np.minimum(np.arange(first, first + width), num_lanes - 1)
    part = jax.tree.map(lambda leaf, indices=indices: leaf[indices], lanes)
    parts.append(jax.device_put(part, placement.over_lanes))
  return Turns(parts, num_lanes)


def _put(tree: Any, sharding: NamedSharding) -> Any:
  """Returns jax.device_put(tree, sharding), at once if all of it lies there already."""
  lies_there = (getattr(leaf, 'sharding', None) == sharding for leaf in jax.tree.leaves(tree))
  return tree if all(lies_there) else jax.device_put(tree, sharding)


def free_bytes() -> int:
  """Returns the memory that programs may take, of all devices that this process holds."""
  limits = [device.memory_stats() for device in jax.local_devices()]
  if all(limits):
    return int(_FREE * sum(limit['bytes_limit'] - limit['bytes_in_use'] for limit in limits))
  # The devices of a CPU share the memory of the host.
  return int(_FREE * psutil.virtual_memory().available)


class TooWideError(Exception):
  """A program of this width needs more memory than it may have."""


def check_fits(place: Placement, program_bytes: int, states: Any, memory_gib: float) -> None:
  """Checks a compiled program against the memory.

  Args:
    place: of the program.
    program_bytes: that it needs on one device, its own states included.
    states: shapes of all lanes' states, [G].
    memory_gib: what the run may take; 0 for four fifths of what is free.

  Raises:
    TooWideError: it does not fit, and fewer lanes may. One lane a device is tried in any case.
  """
  leaves = jax.tree.leaves(states)
  needed = program_bytes * len(place.mesh.local_devices)
  if leaves[0].shape[0] > place.width:
    # All states lie on the devices, those of one program are counted in it.
    needed += sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)
  allowed = memory_gib * 2**30 or free_bytes()
  if needed > allowed and place.width > place.mesh.shape['lane']:
    raise TooWideError(
      f'a program of {place.width} lanes needs {needed / 2**30:.2f} GiB of memory and may have '
      f'{allowed / 2**30:.2f}'
    )


def is_out_of_memory(error: Exception) -> bool:
  """Tells whether an error of the runtime says that memory is short."""
  return isinstance(error, jax.errors.JaxRuntimeError) and 'RESOURCE_EXHAUSTED' in str(error)
