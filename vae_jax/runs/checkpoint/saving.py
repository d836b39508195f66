"""Saves checkpoints in a thread beside the loop, which goes on training meanwhile.

  with saving(manager) as saved:
    saved.save(step, state, record)   # returns once the state is copied to the host
    saved.wait()                      # returns when it is on the disk

A kill before that leaves the older checkpoints as they were: a step has its name when it is whole.
"""

import contextlib
from collections.abc import Iterator, Mapping
from concurrent import futures
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp

from vae_jax.runs import checkpoint


class Saving:
  """What `saving` yields."""

  def __init__(self, manager: ocp.CheckpointManager, pool: futures.Executor):
    self._manager, self._pool = manager, pool
    self._last = None

  def save(self, step: int, state: Any, record: Mapping) -> None:
    """Copies a state and hands it to the thread, once the step before is on the disk.

    See `checkpoint.save` for the arguments, and for what this call, or the next one, raises.
    """
    self.wait()
    self._last = self._pool.submit(checkpoint.save, self._manager, step, copied(state), record)

  def wait(self) -> None:
    """Waits until all steps are on the disk; raises what saving has raised."""
    last, self._last = self._last, None
    if last is not None:
      last.result()

  def check(self) -> None:
    """Raises what saving has raised; does not wait."""
    if self._last is not None and self._last.done():
      self.wait()


@contextlib.contextmanager
def saving(manager: ocp.CheckpointManager) -> Iterator[Saving]:
  """Yields a `Saving`; at the end all steps are on the disk, also where the block has raised."""
  with futures.ThreadPoolExecutor(1, 'checkpoint') as pool:
    saved = Saving(manager, pool)
    yield saved
    saved.wait()


def copied(state: Any) -> Any:
  """Returns a tree of arrays on the host that no later step on the devices changes."""

  def apart(leaf: Any, value: np.ndarray) -> np.ndarray:
    # A core shows its own memory, which the next step takes over.
    return value.copy() if _is_on_cores(leaf) and not value.flags.owndata else value

  return jax.tree.map(apart, state, jax.device_get(state))


def _is_on_cores(leaf: Any) -> bool:
  return isinstance(leaf, jax.Array) and any(d.platform == 'cpu' for d in leaf.devices())
