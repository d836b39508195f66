"""What compilers say of a study, without the devices: `compiled_for` a topology by its name.

The programs are the study's own, placed as they would be on those devices, and go through the
compiler that would compile them there. Nothing runs.
"""

from vae_jax.ahead.compiling import Compiled, compiled_for
from vae_jax.ahead.kinds import KINDS, Kind
from vae_jax.ahead.topologies import Topology, prepare, topology

__all__ = [
  'KINDS',
  'Compiled',
  'Kind',
  'Topology',
  'compiled_for',
  'prepare',
  'topology',
]
