"""Long computations in pieces, between which they can be stopped and from which they go on."""

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from vae_jax import placement
from vae_jax.programs.lanewise import Lanewise

Arrays = Mapping[str, np.ndarray]
# (name of the piece, how it is computed) -> its arrays: computed now, or kept from before. It may
# raise instead, where a stop is requested.
Pieces = Callable[[str, Callable[[], Arrays]], Arrays]


def computed(name: str, compute: Callable[[], Arrays]) -> Arrays:
  """Computes the piece: nothing is kept, and nothing can stop it."""
  del name
  return jax.device_get(compute())


def in_pieces(
  pieces: Pieces,
  title: str,
  program: Lanewise,
  per_lane: tuple,
  shared: list[tuple],
) -> list[Arrays]:
  """Returns program(*per_lane, *each) [G] for each of `shared`, every call of it a piece.

  Args:
    pieces: computes them, or has kept them.
    title: of the whole; a piece is called `title, part 3 of 40`.
    program: (trees [G], ..., each of shared) -> arrays [G, ...] by name. Where lanes take turns,
      each turn meets all of `shared`.
    per_lane: trees with a leading axis [G], or `placement.Turns` of them.
    shared: what all lanes see, one call after the other.
  """
  num_turns = math.ceil(placement.num_lanes(per_lane[0]) / program.place.width)
  numbers, total = itertools.count(1), num_turns * len(shared)

  def turn(*lanes: Any) -> list[Arrays]:
    return [
      pieces(
        f'{title}, part {next(numbers)} of {total}',
        lambda each=each: program.program(*lanes, *each),
      )
      for each in shared
    ]

  return placement.joined(placement.run_in_turns(program.place, turn, per_lane))
