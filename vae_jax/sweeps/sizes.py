"""How large a launch is, before it runs: what a plan says of it."""

import math
from typing import Any, NamedTuple

import jax

from vae_jax import programs, study

_KEPT = 2  # checkpoints


class Size(NamedTuple):
  """One launch.

  Attributes:
    lanes: G.
    width: lanes of one program.
    programs: how many of them take turns.
    parameters: of a lane, at the largest latent size.
    flops: of a step of one lane: its matrix products and convolutions.
    device_bytes: that the training program takes on one device while it runs.
    state_bytes: of all lanes' states: of a checkpoint, of which two are kept.
    steps: of training.
  """

  lanes: int
  width: int
  programs: int
  parameters: int
  flops: float
  device_bytes: int
  state_bytes: int
  steps: int

  @property
  def checkpoint_bytes(self) -> int:
    """What the checkpoints of the launch will take on disk, about."""
    return _KEPT * self.state_bytes


def size_of(built: study.Study) -> Size:
  """Returns the size of a launch; it compiles the training program, as its start does."""
  setup, num_lanes = built.training, len(built.points)
  shapes = programs.state_shapes(setup.learner, built.lanes)
  chunk = programs.compile_chunk(setup, built.lanes, built.rows)
  width = built.place.width
  return Size(
    lanes=num_lanes,
    width=width,
    programs=math.ceil(num_lanes / width),
    parameters=_count(shapes.params) // num_lanes,
    flops=built.operations_of_step(),
    device_bytes=programs.bytes_of(chunk.memory_analysis()),
    state_bytes=sum(
      math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes)
    ),
    steps=built.train.steps,
  )


def _count(tree: Any) -> int:
  return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))
