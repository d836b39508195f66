"""The programs that evaluate trained lanes: metrics, parts of the rate, codes, pictures."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import ArrayLike

from vae_jax import data, evaluation, learner, networks, placement
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
  """Pixels in [0, 255], for people to look at; None where there are none."""

  originals: np.ndarray  # uint8 [n, *event]
  reconstructions: np.ndarray  # uint8 [G, n, *event]
  samples: np.ndarray  # uint8 [G, m, *event]
  traversals: np.ndarray  # uint8 [G, rows, columns, *event]
  units: np.ndarray  # uint8 [G, U, columns, *event]
  interpolations: np.ndarray  # uint8 [G, pairs, columns, *event]
  codes: np.ndarray  # float32 [G, c, 2]: no pixels, but where examples lie
  by_condition: np.ndarray | None = None  # uint8 [G, K, m, *event]: the same z under K conditions
  aggregate_samples: np.ndarray | None = None  # uint8 [G, m, *event]: of mixtures of the codes
  walks_by_condition: np.ndarray | None = None  # uint8 [G, K, columns, *event]: of one latent


class Shown(NamedTuple):
  """The examples that pictures are of.

  Attributes:
    images: [n, *event], whose reconstructions are shown, as stored.
    beside: [n, ...], what is known of them.
    coded: [c, *event], whose codes are shown.
    beside_coded: [c, ...].
    typical: what is known of an example that is none of them.
    conditions: [K, ...], under which the same codes are decoded; None where none are told apart.
  """

  images: np.ndarray
  coded: np.ndarray
  beside: Beside = NOTHING
  beside_coded: Beside = NOTHING
  typical: Beside = NOTHING
  conditions: Beside | None = None


_UNITS = 8  # latents that are walked along
_INTERPOLATED = 4  # of the images, two by two


def make_pictures(
  model: networks.Model,
  shown: Shown,
  scale: float,
  ends: tuple[ArrayLike, ArrayLike],
  size: int,
  place: Placement,
) -> Callable[..., Pictures]:
  """Returns (params [G], lanes [G], usage [G, Z], mixtures [G] or None) -> pictures of each lane.

  They are reconstructions of images, prior samples and walks along z. The traversal moves the two
  latents of the largest usage [G, Z], see `evaluation.traverse`; `units` one latent after the
  other, see `evaluation.walk`; `interpolations` go from image to image on straight lines of z, and
  of what is known of the two. `codes` are where examples lie along the two latents used most, the
  centres of their posteriors; a lane of one latent has it twice. Samples are known as the images
  are, walks as the typical example.

  Args:
    ends: the values that are drawn as black and white, `Dataset.range`; what is beyond them is
      clipped. Of the data set and not of these images: their colours would change with the choice.
      One for all values of an example, or one for each, [*event].
    size: prior samples, and images of each walk.
  """
  count, event = len(shown.images), shown.images.shape[1:]

  def typical(number: int) -> Beside:
    return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (number, *leaf.shape)), shown.typical)

  @evaluation.highest_precision
  def one_lane(params, lane, usage_and_mixture, x):
    usage, mixture = usage_and_mixture
    beside = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), shown.beside, shown.beside_coded)
    z = evaluation.centres(model, params, lane, x, beside)
    pairs = jax.tree.map(lambda leaf: leaf[: min(count, _INTERPOLATED)], (z, shown.beside))
    lines, of_lines = jax.tree.map(lambda leaf: evaluation.between(leaf, size), pairs)
    samples = evaluation.sample_prior(model, params, lane, size)
    walk = evaluation.walk(model, params, lane, usage, _UNITS, size)
    plane = evaluation.traverse(model, params, lane, usage, size)
    of_samples = shown.beside.take(np.arange(size) % count)
    groups = [  # codes [..., Z], and what is known of each
      (z[:count], shown.beside),
      (samples, of_samples),
      (plane, typical(size * size)),
      (walk, typical(_UNITS * size)),
      (lines, _flat(of_lines, 2)),
    ]
    if shown.conditions is not None:
      groups += [_under(shown.conditions, samples), _under(shown.conditions, walk[0])]
    if mixture is not None:
      key = jax.random.fold_in(learner.lane_keys(lane).prior, 1)
      groups += [(mixture.sample(key, size, lane.mask), of_samples)]
    codes = jnp.concatenate([z.reshape(-1, z.shape[-1]) for z, _ in groups])
    known = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(each for _, each in groups))
    made = evaluation.decode(model, params, lane, codes, known)
    parts = jnp.split(made, np.cumsum([z[..., 0].size for z, _ in groups])[:-1])
    order = evaluation.most_used(model, lane, usage)
    return (
      z[count:, order[jnp.array([0, min(1, order.size - 1)])]],
      *(part.reshape(*z.shape[:-1], *event) for part, (z, _) in zip(parts, groups, strict=True)),
    )

  x = np.asarray(data.to_values(np.concatenate([shown.images, shown.coded]), scale))
  black, white = ends

  def to_pixels(values):
    values = np.nan_to_num(np.asarray(values, np.float64))
    unit = (values - black) / np.maximum(white - black, np.finfo(np.float32).tiny)
    return np.round(255 * np.clip(unit, 0, 1)).astype(np.uint8)

  program = lanewise(one_lane, place, per_lane=3)
  names = 'reconstructions', 'samples', 'traversals', 'units', 'interpolations'
  by_condition = ('by_condition', 'walks_by_condition') if shown.conditions is not None else ()

  def pictures(
    params: Any, lanes: Lane, usage: Array, mixtures: evaluation.Mixture | None = None
  ) -> Pictures:
    found = placement.joined(program(params, lanes, (usage, mixtures), x))
    codes, *made = jax.device_get(found)
    of_mixtures = () if mixtures is None else ('aggregate_samples',)
    pixels = zip((*names, *by_condition, *of_mixtures), map(to_pixels, made), strict=True)
    return Pictures(to_pixels(x[:count]), codes=np.asarray(codes, np.float32), **dict(pixels))

  return pictures


def _under(conditions: Beside, z: Array) -> tuple[Array, Beside]:
  """Returns codes [m, Z] under each of K conditions: [K, m, Z], and what is known [K m, ...]."""
  number = len(jax.tree.leaves(conditions)[0])
  known = jax.tree.map(lambda leaf: jnp.repeat(leaf, len(z), axis=0), conditions)
  return jnp.broadcast_to(z, (number, *z.shape)), known


def _flat(tree: Any, axes: int) -> Any:
  """Returns a tree whose first axes are one."""
  return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[axes:]), tree)
