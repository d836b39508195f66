"""Lanes in turn: a program of one width takes all lanes, so many at a time as it is wide."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from vae_jax.fast.putting import put
from vae_jax.placement.devices import Placement


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


def map_turns(function: Callable[[Any], Any], lanes: Any) -> Any:
  """Returns function(tree) of a tree [G], or of `Turns` those of function(part) of each part."""
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


def on_devices(place: Placement, lanes: Any) -> Any:
  """Returns a tree [G], or `Turns`, on the devices, where the programs of its lanes expect it."""
  turns = _turns(place, lanes)
  return turns.parts[0] if turns.num_lanes == place.width else turns


def run_in_turns(
  place: Placement, program: Callable[..., Any], per_lane: Sequence[Any], *shared: Any
) -> Any:
  """Returns program(*per_lane, *shared) of all lanes, so many at a time as the program is wide.

  Args:
    place: of the program.
    program: (trees [width], ..., shared) -> a tree [width]; it may take over the buffers of its
      first argument.
    per_lane: trees with a leading axis [G], or `Turns` of them.
    shared: what all lanes see.

  Returns:
    A tree [G] where the program has as many lanes, else `Turns`.
  """
  turns = [_turns(place, lanes) for lanes in per_lane]
  done = []
  for part in zip(*(lanes.parts for lanes in turns), strict=True):
    # One after the other: each has the memory of a program for itself.
    done.append(jax.block_until_ready(program(*part, *shared)))
  num_lanes = turns[0].num_lanes
  return done[0] if num_lanes == place.width else Turns(done, num_lanes)


def in_own_slots(lanes: Sequence[int], width: int) -> tuple[list[int], list[int]]:
  """Returns some of G lanes in turns, each in the slot that it has where all of them take turns.

  Lane i has slot i mod width. Programs that sum over an odd number of images round otherwise in
  another slot, in the last bit of some; which lanes are beside one does not matter.

  Returns:
    lanes [turns x width], where a slot without one has the first; and the place of each lane [n].
  """
  columns = [[i for i in lanes if i % width == slot] for slot in range(width)]
  places = [columns[i % width].index(i) * width + i % width for i in lanes]
  rows = itertools.zip_longest(*columns, fillvalue=lanes[0])
  return [lane for row in rows for lane in row], places


def _turns(place: Placement, lanes: Any) -> Turns:
  """Cuts a tree [G] for programs of one width."""
  if isinstance(lanes, Turns):
    return lanes
  num_lanes, width = len(jax.tree.leaves(lanes)[0]), place.width
  if num_lanes == width:
    return Turns([put(lanes, place.over_lanes)], num_lanes)
  # From the host, so that no lane has to be moved from one device to another.
  lanes, parts = jax.device_get(lanes), []
  for first in range(0, num_lanes, width):
    indices = np.minimum(np.arange(first, first + width), num_lanes - 1)
    part = jax.tree.map(lambda leaf, indices=indices: leaf[indices], lanes)
    parts.append(jax.device_put(part, place.over_lanes))
  return Turns(parts, num_lanes)
