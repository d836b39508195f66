"""Where lanes are computed: how many go through one program, and on which devices.

The devices form a mesh with the axes 'lane' and 'data'. Lanes lie over the devices first, as they
need nothing of each other; only where there are fewer lanes than devices does a batch lie over
several. One device is a mesh of 1 x 1: there is no other path. The cores of a CPU are devices, too,
where the process has made them so: lanes side by side then need no thread to wait for another.

The last bits of a lane depend on the number of lanes in its program, the width, and of devices, and
on nothing that is beside it. So all programs of a launch have one width: the last one is filled up,
and what fills it is dropped.
"""

from vae_jax.placement.devices import Placement, lanes_at_once, narrowed, of_width, over, whole
from vae_jax.placement.memory import FREE, TooWideError, check_fits, free_bytes, is_out_of_memory
from vae_jax.placement.turns import (
  Turns,
  in_own_slots,
  joined,
  lane_of,
  map_turns,
  num_lanes,
  on_devices,
  run_in_turns,
)

__all__ = [
  'FREE',
  'Placement',
  'TooWideError',
  'Turns',
  'check_fits',
  'free_bytes',
  'in_own_slots',
  'is_out_of_memory',
  'joined',
  'lane_of',
  'lanes_at_once',
  'map_turns',
  'narrowed',
  'num_lanes',
  'of_width',
  'on_devices',
  'over',
  'run_in_turns',
  'whole',
]
