"""The compiled programs of a launch: one lane's functions, vmapped over the lanes and jitted.

All lanes of the grid go through the same program. Everything that differs between them is data in
`Lane`, so that another beta, seed or latent size never compiles anew.
"""

import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import data, evaluation, networks
from vae_jax.lanes import Lane
from vae_jax.learner import Learner, State


class Training(NamedTuple):
  """What the training program is built for: shapes and constants, nothing that a lane varies."""

  learner: Learner
  batch_size: int
  chunk_steps: int
  data_seed: int
  scale: float  # the model sees stored / scale
  dynamic: bool  # binarise anew at each step


@evaluation.highest_precision
def run_chunk(
  training: Training,
  states: State,
  lanes: Lane,
  images: Array,
  indices: Array,
  first: Array,
  stop: Array,
) -> tuple[State, Mapping[str, Array]]:
  """Takes the steps first .. stop - 1 of every lane, at most `chunk_steps`.

  The number of steps is data, so one compiled program serves every chunk, also a short one.

  Args:
    training: constants of the program.
    states, lanes: with a leading axis [G].
    images: the training data as stored, [n, *event].
    indices: [S, N], the examples of each step, S = `chunk_steps`.
    first, stop: [] int32, stop > first.

  Returns:
    The new states, and the metrics [G] averaged over the steps taken, named `batch/...`.
  """
  lane_step = jax.vmap(training.learner.step, in_axes=(0, 0, None, None))

  def take(step, states):
    # Indices and binarisation depend on (data seed, step) alone: all lanes share the batch.
    stored = images[indices[step - first]]
    batch = data.to_batch(stored, training.scale, training.dynamic, training.data_seed, step)
    return lane_step(states, lanes, batch, step)

  def body(step, carry):
    states, sums = carry
    states, metrics = take(step, states)
    return states, jax.tree.map(jnp.add, sums, metrics)

  shapes = jax.eval_shape(take, first, states)[1]
  zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
  states, sums = jax.lax.fori_loop(first, stop, body, (states, zeros))
  return states, {f'batch/{name}': total / (stop - first) for name, total in sums.items()}


def compile_chunk(training: Training, lanes: Lane, images: Array) -> jax.stages.Compiled:
  """Compiles `run_chunk` ahead of time, so that no training step waits for the compiler.

  The compiled program takes (states, lanes, images, indices, first, stop); the buffers of `states`
  are donated to it.
  """
  states = jax.eval_shape(jax.vmap(training.learner.init), lanes)
  program = jax.jit(functools.partial(run_chunk, training), donate_argnums=0)
  step = jax.ShapeDtypeStruct((), jnp.int32)
  indices = jax.ShapeDtypeStruct((training.chunk_steps, training.batch_size), jnp.int32)
  return program.lower(states, lanes, images, indices, step, step).compile()


def take_chunk(
  training: Training,
  chunk: jax.stages.Compiled,
  states: State,
  lanes: Lane,
  images: Array,
  first: int,
  stop: int,
) -> tuple[State, Mapping[str, Array]]:
  """Takes the steps first .. stop - 1 with the program of `compile_chunk`; see `run_chunk`."""
  indices = data.batch_indices(
    training.data_seed, first, training.chunk_steps, training.batch_size, len(images)
  )
  return chunk(states, lanes, images, indices, np.int32(first), np.int32(stop))


def init(learner: Learner, lanes: Lane) -> State:
  """Returns the states [G] of all lanes at step 0; a program of its own."""
  return jax.jit(jax.vmap(learner.init))(lanes)


def make_evaluate(learner: Learner, scale: float) -> Callable[..., evaluation.Evaluation]:
  """Returns the jitted (params [G], lanes [G], batches, step []) -> Evaluation [G]."""

  def one_lane(params, lane, batches, step):
    return evaluation.evaluate(learner, params, lane, batches, scale, step)

  return jax.jit(jax.vmap(one_lane, in_axes=(0, 0, None, None)))


def aggregate(
  model: networks.Model,
  params: Any,
  lanes: Lane,
  images: np.ndarray,
  scale: float,
  batch_size: int,
) -> dict[str, Array]:
  """Returns the parts of the rate [G] over `images` [n, *event]; see `evaluation.aggregate`."""
  # A batch of codes meets all n posteriors at once.
  batches = evaluation.cut(images, max(1, min(len(images), batch_size // len(images))))

  @jax.jit
  def program(params, lanes, batches):
    def one_lane(params, lane):
      return evaluation.aggregate(model, params, lane, batches, scale)

    return jax.vmap(one_lane)(params, lanes)

  return program(params, lanes, batches)


def encode(
  model: networks.Model, params: Any, lanes: Lane, images: np.ndarray, scale: float
) -> np.ndarray:
  """Returns the centres of the posteriors of `images` [n, *event], [G, n, Z]."""

  @jax.jit
  @evaluation.highest_precision
  def program(params, lanes, x):
    def one_lane(params, lane):
      return jax.vmap(lambda x: model.encode(params, x, lane.mask).loc)(x)

    return jax.vmap(one_lane)(params, lanes)

  return jax.device_get(program(params, lanes, data.to_values(images, scale)))


def make_nll(
  model: networks.Model, scale: float, num_samples: int, chunk: int
) -> Callable[..., evaluation.Evidence]:
  """Returns `evaluation.evidence` of all lanes, jitted: (params [G], lanes [G], batches) -> [G]."""

  def one_lane(params, lane, batches):
    return evaluation.evidence(model, params, lane, batches, scale, num_samples, chunk)

  return jax.jit(jax.vmap(one_lane, in_axes=(0, 0, None)))


def nll_batches(
  images: np.ndarray, num_samples: int, batch_size: int
) -> tuple[evaluation.Batches, int]:
  """Cuts images for `make_nll`: batches and chunk, images x samples as square as can be."""
  chunk = min(num_samples, math.isqrt(batch_size))
  return evaluation.cut(images, min(len(images), max(1, batch_size // chunk))), chunk


def nll(
  model: networks.Model,
  params: Any,
  lanes: Lane,
  images: np.ndarray,
  scale: float,
  num_samples: int,
  batch_size: int,
) -> evaluation.Nll:
  """Returns the importance-sampled NLL [G] of every lane over `images` [n, *event].

  Args:
    model: of one example.
    params, lanes: with a leading axis [G].
    images: as stored.
    scale: the model sees stored / scale.
    num_samples: K, exactly.
    batch_size: how many decodings a lane holds at a time.
  """
  batches, chunk = nll_batches(images, num_samples, batch_size)
  program = make_nll(model, scale, num_samples, chunk)
  values = jax.device_get(program(params, lanes, batches))
  return evaluation.nll_of(values, batches.weights, math.prod(images.shape[1:]))


class Pictures(NamedTuple):
  """Pixels in [0, 255], for people to look at."""

  originals: np.ndarray  # uint8 [n, *event]
  reconstructions: np.ndarray  # uint8 [G, n, *event]
  samples: np.ndarray  # uint8 [G, m, *event]
  traversals: np.ndarray  # uint8 [G, rows, columns, *event]


def pictures(
  model: networks.Model,
  params: Any,
  lanes: Lane,
  images: np.ndarray,
  scale: float,
  num_samples: int,
  usage: Array,
  grid_size: int,
) -> Pictures:
  """Returns reconstructions of `images` [n, *event], prior samples and a traversal per lane.

  The traversal moves the two latents of the largest usage [G, Z]; see `evaluation.traverse`.

  Values are mapped so that the range of the originals is [0, 255], and clipped.
  """

  @jax.jit
  @evaluation.highest_precision
  def program(params, lanes, x, usage):
    reconstruct = jax.vmap(functools.partial(evaluation.reconstruct, model), (0, 0, None))
    sample = functools.partial(evaluation.sample_prior, model, num_samples=num_samples)
    traverse = functools.partial(evaluation.traverse, model, size=grid_size)
    return (
      reconstruct(params, lanes, x),
      jax.vmap(sample)(params, lanes),
      jax.vmap(traverse)(params, lanes, usage),
    )

  x = np.asarray(data.to_values(images, scale))
  low, high = (0.0, 1.0) if x.min() >= 0 and x.max() <= 1 else (x.min(), x.max())

  def to_pixels(values):
    unit = (np.nan_to_num(np.asarray(values)) - low) / max(high - low, np.finfo(np.float32).tiny)
    return np.round(255 * np.clip(unit, 0, 1)).astype(np.uint8)

  made = jax.device_get(program(params, lanes, x, usage))
  return Pictures(to_pixels(x), *map(to_pixels, made))
