"""The programs that say what trained lanes are worth."""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from vae_jax import data, evaluation, networks, placement
from vae_jax.lanes import Lane
from vae_jax.learner import Learner
from vae_jax.placement import Placement
from vae_jax.programs import mapping


def make_evaluate(
  learner: Learner, scale: float, place: Placement
) -> Callable[..., evaluation.Evaluation]:
  """Returns (params [G], lanes [G], batches, step []) -> Evaluation [G]."""

  def one_lane(params, lane, batches, step):
    return evaluation.evaluate(learner, params, lane, batches, scale, step)

  program = jax.jit(mapping.over_lanes(one_lane, place, (0, 0, None, None)))
  return lambda params, lanes, *shared: placement.in_turn(place, program, (params, lanes), *shared)


def aggregate(
  model: networks.Model,
  params: Any,
  lanes: Lane,
  images: np.ndarray,
  scale: float,
  batch_size: int,
  place: Placement,
) -> dict[str, Array]:
  """Returns the parts of the rate [G] over `images` [n, *event]; see `evaluation.aggregate`."""
  # A batch of codes meets all n posteriors at once.
  batches = evaluation.cut(images, max(1, min(len(images), batch_size // len(images))))

  @jax.jit
  def program(params, lanes, batches):
    def one_lane(params, lane, batches):
      return evaluation.aggregate(model, params, lane, batches, scale)

    return mapping.over_lanes(one_lane, place, (0, 0, None))(params, lanes, batches)

  return placement.in_turn(place, program, (params, lanes), batches)


def encode(
  model: networks.Model,
  params: Any,
  lanes: Lane,
  images: np.ndarray,
  scale: float,
  place: Placement,
) -> np.ndarray:
  """Returns the centres of the posteriors of `images` [n, *event], [G, n, Z]."""

  @jax.jit
  @evaluation.highest_precision
  def program(params, lanes, x):
    def one_lane(params, lane, x):
      return jax.vmap(lambda x: model.encode(params, x, lane.mask).loc)(x)

    return mapping.over_lanes(one_lane, place, (0, 0, None))(params, lanes, x)

  x = np.asarray(data.to_values(images, scale))
  return jax.device_get(placement.in_turn(place, program, (params, lanes), x))


def make_nll(
  model: networks.Model,
  images: np.ndarray,
  scale: float,
  num_samples: int,
  batch_size: int,
  place: Placement,
) -> tuple[Callable[..., evaluation.Evidence], evaluation.Batches]:
  """Returns `evaluation.evidence` of all lanes, jitted, and the batches that it is for.

  The program is (params [G], lanes [G], batches) -> [G]. What a lane decodes at a time is as many
  images as samples, if it can be; see `nll` for the arguments.
  """
  chunk = min(num_samples, math.isqrt(batch_size))
  batches = evaluation.cut(images, min(len(images), max(1, batch_size // chunk)))

  def one_lane(params, lane, batches):
    return evaluation.evidence(model, params, lane, batches, scale, num_samples, chunk)

  mapped = mapping.over_lanes(one_lane, place, (0, 0, None))
  options = place.compiler_options(num_rows=batches.weights.shape[1] * chunk)
  return jax.jit(mapped, compiler_options=options), batches


def nll(
  model: networks.Model,
  params: Any,
  lanes: Lane,
  images: np.ndarray,
  scale: float,
  num_samples: int,
  batch_size: int,
  place: Placement,
) -> evaluation.Nll:
  """Returns the importance-sampled NLL [G] of every lane over `images` [n, *event].

  Args:
    model: of one example.
    params, lanes: with a leading axis [G].
    images: as stored.
    scale: the model sees stored / scale.
    num_samples: K, exactly.
    batch_size: how many decodings a lane holds at a time.
    place: of the lanes.
  """
  program, batches = make_nll(model, images, scale, num_samples, batch_size, place)
  values = jax.device_get(placement.in_turn(place, program, (params, lanes), batches))
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
  place: Placement,
) -> Pictures:
  """Returns reconstructions of `images` [n, *event], prior samples and a traversal per lane.

  The traversal moves the two latents of the largest usage [G, Z]; see `evaluation.traverse`.

  Values are mapped so that the range of the originals is [0, 255], and clipped.
  """

  @jax.jit
  @evaluation.highest_precision
  def program(params, lanes, usage, x):
    reconstruct = mapping.over_lanes(
      functools.partial(evaluation.reconstruct, model), place, (0, 0, None)
    )
    sample = functools.partial(evaluation.sample_prior, model, num_samples=num_samples)
    traverse = functools.partial(evaluation.traverse, model, size=grid_size)
    return (
      reconstruct(params, lanes, x),
      mapping.over_lanes(sample, place)(params, lanes),
      mapping.over_lanes(traverse, place)(params, lanes, usage),
    )

  x = np.asarray(data.to_values(images, scale))
  low, high = (0.0, 1.0) if x.min() >= 0 and x.max() <= 1 else (x.min(), x.max())

  def to_pixels(values):
    unit = (np.nan_to_num(np.asarray(values)) - low) / max(high - low, np.finfo(np.float32).tiny)
    return np.round(255 * np.clip(unit, 0, 1)).astype(np.uint8)

  made = jax.device_get(placement.in_turn(place, program, (params, lanes, usage), x))
  return Pictures(to_pixels(x), *map(to_pixels, made))
