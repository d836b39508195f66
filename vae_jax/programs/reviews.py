"""The programs that say what trained lanes are worth."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from vae_jax import data, evaluation, networks, placement
from vae_jax.lanes import Lane
from vae_jax.learner import Learner
from vae_jax.placement import Placement
from vae_jax.programs import mapping, pieces


def make_evaluate(
  learner: Learner, scale: float, place: Placement
) -> Callable[..., evaluation.Evaluation]:
  """Returns (params [G], lanes [G], batches, step []) -> Evaluation [G]."""

  def one_lane(params, lane, batches, step):
    return evaluation.evaluate(learner, params, lane, batches, scale, step)

  program = jax.jit(mapping.over_lanes(one_lane, place, (0, 0, None, None)))
  return lambda params, lanes, *shared: placement.in_turn(place, program, (params, lanes), *shared)


def make_refit(learner: Learner, scale: float, place: Placement) -> Callable[..., Any]:
  """Returns (params [G], lanes [G], batches) -> the parameters to evaluate; see `refitted`."""

  def one_lane(params, lane, batches):
    return evaluation.refitted(learner, params, lane, batches, scale)

  program = jax.jit(mapping.over_lanes(one_lane, place, (0, 0, None)))
  return lambda params, lanes, batches: placement.in_turns(place, program, (params, lanes), batches)


def aggregate(
  model: networks.Model,
  params: Any,
  lanes: Lane,
  images: np.ndarray,
  scale: float,
  batch_size: int,
  place: Placement,
  each: pieces.Pieces = pieces.computed,
) -> dict[str, np.ndarray]:
  """Returns the parts of the rate [G] over `images` [n, *event]; see `evaluation.aggregate`.

  `each` computes the pieces, one for each turn of lanes.
  """
  # A batch of codes meets all n posteriors at once.
  batches = evaluation.cut(images, max(1, min(len(images), batch_size // len(images))))

  @jax.jit
  def program(params, lanes, batches):
    def one_lane(params, lane, batches):
      return evaluation.aggregate(model, params, lane, batches, scale)

    return mapping.over_lanes(one_lane, place, (0, 0, None))(params, lanes, batches)

  title, per_lane = 'the parts of the rate', (params, lanes)
  return pieces.in_pieces(each, title, place, program, per_lane, [(batches,)])[0]


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
  shown: tuple[float, float],
  num_samples: int,
  usage: Array,
  grid_size: int,
  place: Placement,
) -> Pictures:
  """Returns reconstructions of `images` [n, *event], prior samples and a traversal per lane.

  The traversal moves the two latents of the largest usage [G, Z]; see `evaluation.traverse`.

  Args:
    shown: the values that are drawn as black and white, `Dataset.range`; what is beyond them is
      clipped. Of the data set and not of these images: their colours would change with the choice.
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
  black, white = shown

  def to_pixels(values):
    values = np.nan_to_num(np.asarray(values, np.float64))
    unit = (values - black) / max(white - black, np.finfo(np.float32).tiny)
    return np.round(255 * np.clip(unit, 0, 1)).astype(np.uint8)

  made = jax.device_get(placement.in_turn(place, program, (params, lanes, usage), x))
  return Pictures(to_pixels(x), *map(to_pixels, made))
