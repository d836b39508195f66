"""The programs that evaluate trained lanes: metrics, parts of the rate, codes, pictures."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from vae_jax import data, evaluation, networks, placement
from vae_jax.data import NOTHING, Beside
from vae_jax.lanes import Lane
from vae_jax.learner import Learner
from vae_jax.placement import Placement
from vae_jax.programs import pieces
from vae_jax.programs.lanewise import lanewise


def make_evaluate(
  learner: Learner, scale: float, place: Placement
) -> Callable[..., evaluation.Evaluation]:
  """Returns (params [G], lanes [G], batches, step []) -> Evaluation [G]."""

  def one_lane(params, lane, batches, step):
    return evaluation.evaluate(learner, params, lane, batches, scale, step)

  program = lanewise(one_lane, place)
  return lambda *arguments: placement.joined(program(*arguments))


def make_refit(learner: Learner, scale: float, place: Placement) -> Callable[..., Any]:
  """Returns (params [G], lanes [G], batches) -> the parameters to evaluate; see `refitted`."""

  def one_lane(params, lane, batches):
    return evaluation.refitted(learner, params, lane, batches, scale)

  return lanewise(one_lane, place)


def aggregate(
  model: networks.Model,
  params: Any,
  lanes: Lane,
  images: np.ndarray,
  scale: float,
  batch_size: int,
  place: Placement,
  each: pieces.Pieces = pieces.computed,
  beside: Beside = NOTHING,
) -> dict[str, np.ndarray]:
  """Returns the parts of the rate [G] over `images` [n, *event]; see `evaluation.aggregate`.

  `each` computes the pieces, one for each turn of lanes; `beside` is what is known of the images.
  """
  # A batch of codes meets all n posteriors at once.
  size = max(1, min(len(images), batch_size // len(images)))
  batches = evaluation.cut(images, size, beside)

  def one_lane(params, lane, batches):
    return evaluation.aggregate(model, params, lane, batches, scale)

  title, program = 'the parts of the rate', lanewise(one_lane, place)
  return pieces.in_pieces(each, title, program, (params, lanes), [(batches,)])[0]


def encode(
  model: networks.Model,
  params: Any,
  lanes: Lane,
  images: np.ndarray,
  scale: float,
  place: Placement,
  beside: Beside = NOTHING,
) -> np.ndarray:
  """Returns the centres of the posteriors of `images` [n, *event], [G, n, Z]."""

  @evaluation.highest_precision
  def one_lane(params, lane, x, beside):
    return evaluation.centres(model, params, lane, x, beside)

  x = np.asarray(data.to_values(images, scale))
  return jax.device_get(placement.joined(lanewise(one_lane, place)(params, lanes, x, beside)))


class Pictures(NamedTuple):
  """Pixels in [0, 255], for people to look at."""

  originals: np.ndarray  # uint8 [n, *event]
  reconstructions: np.ndarray  # uint8 [G, n, *event]
  samples: np.ndarray  # uint8 [G, m, *event]
  traversals: np.ndarray  # uint8 [G, rows, columns, *event]
  units: np.ndarray  # uint8 [G, U, columns, *event]
  interpolations: np.ndarray  # uint8 [G, pairs, columns, *event]
  codes: np.ndarray  # float32 [G, c, 2]: no pixels, but where examples lie


_UNITS = 8  # latents that are walked along
_INTERPOLATED = 4  # of the images, two by two


def make_pictures(
  model: networks.Model,
  images: np.ndarray,
  coded: np.ndarray,
  scale: float,
  shown: tuple[ArrayLike, ArrayLike],
  size: int,
  place: Placement,
) -> Callable[..., Pictures]:
  """Returns (params [G], lanes [G], usage [G, Z]) -> the pictures of each lane.

  They are reconstructions of `images` [n, *event], prior samples and walks along z.

  The traversal moves the two latents of the largest usage [G, Z], see `evaluation.traverse`;
  `units` one latent after the other, see `evaluation.walk`; `interpolations` go from image to image
  on straight lines of z. `codes` are where the examples `coded` [c, *event] lie along the two
  latents used most, the centres of their posteriors; a lane of one latent has it twice.

  Args:
    shown: the values that are drawn as black and white, `Dataset.range`; what is beyond them is
      clipped. Of the data set and not of these images: their colours would change with the choice.
      One for all values of an example, or one for each, [*event].
    size: prior samples, and images of each walk.
  """
  count = len(images)

  @evaluation.highest_precision
  def one_lane(params, lane, usage, x):
    z = evaluation.centres(model, params, lane, x)
    walks = (
      evaluation.walk(model, params, lane, usage, _UNITS, size),
      evaluation.between(z[: min(count, _INTERPOLATED)], size),
    )
    flat = [walk.reshape(-1, walk.shape[-1]) for walk in walks]
    made = evaluation.decode(model, params, lane, jnp.concatenate([z[:count], *flat]))
    ends = (count, count + len(flat[0]))
    reconstructions, units, lines = jnp.split(made, ends)
    event = made.shape[1:]
    order = evaluation.most_used(model, lane, usage)
    return (
      reconstructions,
      evaluation.sample_prior(model, params, lane, size),
      evaluation.traverse(model, params, lane, usage, size),
      units.reshape(*walks[0].shape[:2], *event),
      lines.reshape(*walks[1].shape[:2], *event),
      z[count:, order[jnp.array([0, min(1, order.size - 1)])]],
    )

  x = np.asarray(data.to_values(np.concatenate([images, coded]), scale))
  black, white = shown

  def to_pixels(values):
    values = np.nan_to_num(np.asarray(values, np.float64))
    unit = (values - black) / np.maximum(white - black, np.finfo(np.float32).tiny)
    return np.round(255 * np.clip(unit, 0, 1)).astype(np.uint8)

  program = lanewise(one_lane, place, per_lane=3)

  def pictures(params: Any, lanes: Lane, usage: Array) -> Pictures:
    *made, codes = jax.device_get(placement.joined(program(params, lanes, usage, x)))
    return Pictures(to_pixels(x[:count]), *map(to_pixels, made), np.asarray(codes, np.float32))

  return pictures
