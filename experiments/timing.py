"""Programs timed by turns: medians of rounds, and ratios within a round."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Subject(NamedTuple):
  """A compiled program, ready to be timed.

  Attributes:
    run: takes a number of steps and returns when they are done.
    flops: of one step of all lanes.
    models: how many advance at each step.
    images: that one step reads.
    facts: measured once: compile_seconds, and bytes of the program.
    least: the fewest steps of a round.
    library: 'YNNPACK' or 'Eigen', by which a CPU multiplies; '' elsewhere.
    wanted: the library that the compiler was told to take; '' where it was told nothing.
  """

  run: Callable[[int], None]
  flops: float
  models: int
  images: int
  facts: Mapping[str, float]
  least: int = 1
  library: str = ''
  wanted: str = ''


def matrix_product(size: int) -> Subject:
  """Returns a product of square matrices, in the precision of the programs above."""
  w = jax.random.normal(jax.random.key(0), (size, size)) / size**0.5
  highest = jax.lax.Precision.HIGHEST

  @jax.jit
  def chain(x, count):
    return jax.lax.fori_loop(0, count, lambda _, x: jnp.matmul(x, w, precision=highest), x)

  return Subject(lambda count: chain(w, count).block_until_ready(), 2 * size**3, 1, 1, {})


def seconds_a_step(subject: Subject, steps: int) -> float:
  """Returns the wall time of a round, by step."""
  began = time.perf_counter()
  subject.run(steps)
  return (time.perf_counter() - began) / steps


def steps_for(subject: Subject, seconds: float) -> int:
  """Returns how many steps last about so long; runs the program warm."""
  subject.run(1)
  return max(subject.least, round(seconds / seconds_a_step(subject, subject.least)))


class Measured(NamedTuple):
  """One row: medians over the rounds."""

  name: str
  steps_per_second: float  # of one model x models
  images_per_second: float
  flops_per_second: float
  share_of_matmul: float
  facts: Mapping[str, float]
  library: str
  wanted: str
  peer: float | None = None  # model-steps per second of the peer
  ratio: tuple[float, float, float] | None = None  # ours / the peer's: median, lowest, highest


def measure(
  name: str,
  subject: Subject,
  product: Subject,
  peers: Sequence[Subject],
  num_rounds: int,
  seconds: float,
) -> Measured:
  """Times the program, the matrix product and the peers by turns, each for some seconds a round."""
  subjects = [subject, product, *peers]
  steps = [steps_for(each, seconds) for each in subjects]
  rounds = [
    [seconds_a_step(each, n) for each, n in zip(subjects, steps, strict=True)]
    for _ in range(num_rounds)
  ]
  ours, products, *others = (np.array(column) for column in zip(*rounds, strict=True))
  rate = subject.flops / ours
  result = Measured(
    name,
    steps_per_second=subject.models / statistics.median(ours),
    images_per_second=subject.models * subject.images / statistics.median(ours),
    flops_per_second=statistics.median(rate),
    share_of_matmul=statistics.median(rate / (product.flops / products)),
    facts=subject.facts,
    library=subject.library,
    wanted=subject.wanted,
  )
  if not others:
    return result
  fastest = min(others, key=statistics.median)
  ratios = fastest * subject.models / ours
  return result._replace(
    peer=1 / statistics.median(fastest),
    ratio=(statistics.median(ratios), min(ratios), max(ratios)),
  )
