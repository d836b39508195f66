"""Arrays on the devices, which lie there already between two chunks of steps.

Measured: 43 arrays of one lane took 1 ms to be put where they were. Delete it when `reference`
returns them at once.
"""

from typing import Any

import jax
from jax.sharding import Sharding


def put(tree: Any, sharding: Sharding) -> Any:
  """Returns a tree of arrays with this sharding; itself if all of it has it."""
  lies_there = (getattr(leaf, 'sharding', None) == sharding for leaf in jax.tree.leaves(tree))
  return tree if all(lies_there) else reference(tree, sharding)


def reference(tree: Any, sharding: Sharding) -> Any:
  """Returns a tree of arrays with this sharding."""
  return jax.device_put(tree, sharding)
