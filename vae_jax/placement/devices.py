"""How many lanes go through one program, and on which devices they lie."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

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
    # What is left to YNNPACK: sums, and products of few rows. By XLA's own choice it would have
    # convolutions, too, at half of the rate that Eigen's have from 32 channels on.
    kinds = ['REDUCE'] if num_rows >= _MANY_ROWS else ['INDIVIDUAL_DOT', 'REDUCE']
    names = ','.join(f'LIBRARY_FUSION_TYPE_{kind}' for kind in kinds)
    return options | {'xla_cpu_experimental_ynn_fusion_type': names}


def lanes_at_once(
  num_lanes: int, operations: float, devices: Sequence[jax.Device] | None = None
) -> int:
  """Returns how many lanes a program has best, where the memory does not decide.

  All of them on an accelerator; on a CPU as many as keep each core busy, and the same number in
  each turn.

  Args:
    num_lanes: G.
    operations: of a step of one lane, see `flops.count`.
    devices: that compute them; None for all of this process.
  """
  devices = jax.local_devices() if devices is None else devices
  if devices[0].platform != 'cpu':
    return num_lanes
  most = len(devices) * math.ceil(_ENOUGH / max(operations, 1.0))
  each_turn = math.ceil(num_lanes / math.ceil(num_lanes / most))
  of_device = math.ceil(each_turn / len(devices))
  return of_device * math.ceil(each_turn / of_device)


def narrowed(place: Placement, width: int) -> Placement:
  """Returns where programs of `width` lanes, or a few more, lie on the devices of a wider one.

  A place that is no wider is returned as it is.
  """
  over_lanes = place.mesh.shape['lane']
  narrow = -(-width // over_lanes) * over_lanes
  return place._replace(width=min(place.width, narrow))


def of_width(width: int, batch_size: int, devices: Sequence[jax.Device] | None = None) -> Placement:
  """Returns where programs of `width` lanes, or a few more, are computed best.

  On all devices of an accelerator; on as many cores of a CPU as have equal shares of the lanes: a
  core that is left out still helps the others.

  Args:
    width: lanes of one program, at least 1. It is raised to a multiple of what the lane axis has.
    batch_size: N; the data axis divides it, or devices are left out.
    devices: that there are; None for all of this process. They need not be attached to it.
  """
  devices = jax.local_devices() if devices is None else devices
  if devices[0].platform == 'cpu':
    devices = devices[: max(n for n in range(1, len(devices) + 1) if width % n == 0)]
  return over(devices, width, batch_size)


def over(devices: Sequence[jax.Device], width: int, batch_size: int) -> Placement:
  """Returns the programs of `width` lanes, or a few more, over all of these devices."""
  count = len(devices)
  over_lanes = min(n for n in range(1, count + 1) if count % n == 0 and n >= min(width, count))
  over_data = math.gcd(count // over_lanes, batch_size)
  grid = np.array(devices[: over_lanes * over_data]).reshape(over_lanes, over_data)
  axis_types = (jax.sharding.AxisType.Auto,) * 2
  return Placement(
    -(-width // over_lanes) * over_lanes, Mesh(grid, ('lane', 'data'), axis_types=axis_types)
  )


def whole(tree: Any) -> Any:
  """Returns a tree of one lane as it is, whole on each of the devices that share the lane.

  So are its gradients. It is for parameters, in a function that a program of several devices is
  made of; elsewhere it does nothing. Left to itself the compiler of a TPU takes channels for
  examples where there are as many of both, cuts the parameters over the devices, and gathers them
  at each use.
  """
  if jax.sharding.get_abstract_mesh().empty:
    return tree
  return jax.lax.with_sharding_constraint(tree, PartitionSpec())
