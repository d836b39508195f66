"""The program that trains: some steps of all lanes at a time."""

import functools
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import PartitionSpec

from vae_jax import data, evaluation, placement
from vae_jax.fast import ahead, carries, gathering
from vae_jax.lanes import Lane
from vae_jax.learner import Learner, State
from vae_jax.placement import Placement
from vae_jax.programs.lanewise import Lanewise, lanewise

States = State | placement.Turns  # of all lanes, [G] or in turn


class Training(NamedTuple):
  """What the training program is built for: shapes and constants, nothing that a lane varies."""

  learner: Learner
  schedule: data.Schedule
  scale: float  # the model sees stored / scale
  dynamic: bool  # binarise anew at each step
  placement: Placement


@evaluation.highest_precision
def run_chunk(
  training: Training,
  state: State,
  lane: Lane,
  rows: data.Rows,
  indices: Array,
  first: Array,
  stop: Array,
) -> tuple[State, Mapping[str, Array]]:
  """Takes the steps first .. stop - 1 of one lane, at most S.

  The number of steps is data, so one compiled program serves every chunk, also a short one.

  Args:
    training: constants of the program.
    state, lane: of one lane.
    rows: training data as stored, m of them.
    indices: [S, N], the examples of each step.
    first, stop: [] int32, stop > first.

  Returns:
    The new state, and the metrics [] averaged over the steps taken, named `batch/...`.
  """
  examples_of = gathering.examples_of(rows.images)
  batch_size = training.schedule.batch_size

  def draw(step):
    return training.learner.draw(lane, batch_size, step)

  def take(step, state, noise):
    # Indices and binarisation depend on (data seed, step) alone: all lanes share the batch.
    chosen, seed = indices[step - first], training.schedule.seed
    stored, known = examples_of(chosen), rows.beside.take(chosen)
    batch = data.to_batch(stored, training.scale, training.dynamic, seed, step)
    batch, known = jax.lax.with_sharding_constraint((batch, known), PartitionSpec('data'))
    return training.learner.step(state, lane, batch, noise, step, known)

  def take_and_add(step, carry, noise):
    state, sums = carry
    state, metrics = take(step, state, noise)
    return state, jax.tree.map(jnp.add, sums, metrics)

  shapes = jax.eval_shape(lambda step: take(step, state, draw(step)), first)[1]
  zeros = carries.zeros(shapes, lane.seed)
  most = training.schedule.chunk_steps
  state, sums = ahead.loop(first, stop, draw, take_and_add, (state, zeros), most)
  return state, {f'batch/{name}': total / (stop - first) for name, total in sums.items()}


def make_chunk(training: Training) -> Lanewise:
  """Returns `run_chunk` of all lanes: (states, lanes, rows, indices, first, stop) -> the same.

  The buffers of `states` are donated to it.
  """
  place, num_rows = training.placement, training.schedule.batch_size * training.learner.num_samples
  # Mapped around the loop, not in it: a lone lane's states lose their axis once, not at each step.
  return lanewise(
    functools.partial(run_chunk, training),
    place,
    donate_argnums=0,
    compiler_options=place.compiler_options(num_rows),
  )


def chunk_shapes(training: Training, lanes: Lane, rows: data.Rows) -> tuple[Any, ...]:
  """Returns the shapes of what the program of `make_chunk` takes, of all lanes.

  Args:
    training: constants of the program.
    lanes: of the launch, [G].
    rows: the shapes of the feed's.
  """
  schedule, step = training.schedule, jax.ShapeDtypeStruct((), jnp.int32)
  indices = jax.ShapeDtypeStruct((schedule.chunk_steps, schedule.batch_size), jnp.int32)
  return state_shapes(training.learner, lanes), lanes, rows, indices, step, step


def compile_chunk(training: Training, lanes: Lane, rows: data.Rows) -> jax.stages.Compiled:
  """Compiles `make_chunk` ahead of time, so that no training step waits for the compiler."""
  return make_chunk(training).lower(*chunk_shapes(training, lanes, rows)).compile()


def bytes_of(memory: Any) -> int:
  """Returns the memory of a program while it runs, on one device.

  Args:
    memory: `memory_analysis()` of the compiled program, which takes XLA 50 ms of a small one.
  """
  held = memory.argument_size_in_bytes + memory.output_size_in_bytes + memory.temp_size_in_bytes
  return held - memory.alias_size_in_bytes


def take_chunk(
  training: Training,
  chunk: jax.stages.Compiled,
  states: States,
  lanes: Lane,
  feed: data.Feed,
  first: int,
  stop: int,
) -> tuple[States, Mapping[str, Array]]:
  """Takes the steps first .. stop - 1 with the program of `compile_chunk`; see `run_chunk`.

  Where lanes go through the program in turn, so do their states: `placement.joined` makes one tree
  [G] of them.
  """
  shared = (*feed.read(first, stop), np.int32(first), np.int32(stop))
  done = placement.run_in_turns(training.placement, chunk, (states, lanes), *shared)
  states, metrics = (placement.map_turns(lambda part, i=i: part[i], done) for i in (0, 1))
  return states, placement.joined(metrics)


def make_init(learner: Learner, place: Placement) -> Lanewise:
  """Returns (lanes [G]) -> the states [G] at step 0, as `take_chunk` has them."""
  return lanewise(learner.init, place, per_lane=1)


def init(learner: Learner, lanes: Lane, place: Placement) -> States:
  """Returns the states of all lanes at step 0, by a program of its own."""
  return make_init(learner, place)(lanes)


def state_shapes(learner: Learner, lanes: Lane) -> State:
  """Returns the shapes [G] of the states of all lanes; the shapes of one are traced once."""
  one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), lanes)
  leading = jax.tree.leaves(lanes)[0].shape[:1]
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leading + leaf.shape, leaf.dtype),
    jax.eval_shape(learner.init, one),
  )


def params_of(states: States) -> Any:
  """Returns the parameters of all lanes that figures are of, in turn where their states are."""
  return placement.map_turns(lambda state: state.evaluated, states)


def multipliers_of(states: States) -> Array | None:
  """Returns the multipliers [G] of the target rates; None where no lane has one."""
  return placement.joined(placement.map_turns(lambda state: state.multiplier, states))
