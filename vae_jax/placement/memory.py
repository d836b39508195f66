"""Whether a program fits into the memory that it may have."""

import math
from typing import Any

import jax
import psutil

from vae_jax.placement.devices import Placement

FREE = 0.8  # of the memory that is free may be planned with


def free_bytes() -> int:
  """Returns the memory that programs may take, of all devices that this process holds."""
  limits = [device.memory_stats() for device in jax.local_devices()]
  if all(limits):
    return int(FREE * sum(limit['bytes_limit'] - limit['bytes_in_use'] for limit in limits))
  # The devices of a CPU share the memory of the host.
  return int(FREE * psutil.virtual_memory().available)


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
