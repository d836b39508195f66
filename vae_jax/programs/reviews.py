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
from vae_jax.programs.lanewise import Lanewise, lanewise, over_data


def make_evaluate(learner: Learner, scale: float, place: Placement) -> Lanewise:
  """Returns (params [G], lanes [G], batches, step []) -> Evaluation [G]."""

  def one_lane(params, lane, batches, step):
    return evaluation.evaluate(learner, params, lane, over_data(batches), scale, step)

  return lanewise(one_lane, place)


def make_refit(learner: Learner, scale: float, place: Placement) -> Lanewise:
  """Returns (params [G], lanes [G], batches) -> the parameters to evaluate; see `refitted`."""

  def one_lane(params, lane, batches):
    return evaluation.refitted(learner, params, lane, over_data(batches), scale)

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
  """What lanes make, for people to look at; None where there is none.

  Pixels in [0, 255], uint8; or the values themselves, float32, where these are what is drawn.
  """

  originals: np.ndarray  # [n, *event]
  reconstructions: np.ndarray  # [G, n, *event]
  samples: np.ndarray  # [G, m, *event]
  traversals: np.ndarray | None  # [G, rows, columns, *event]; of pixels
  units: np.ndarray  # [G, U, columns, *event]
  interpolations: np.ndarray  # [G, pairs, columns, *event]
  codes: np.ndarray  # float32 [G, c, 2]: where examples lie
  by_condition: np.ndarray | None = None  # [G, K, m, *event]: the same z under K conditions
  aggregate_samples: np.ndarray | None = None  # [G, m, *event]: of mixtures of the codes
  walks_by_condition: np.ndarray | None = None  # [G, K, columns, *event]: of one latent
  columns: np.ndarray | None = None  # text [D]: the names of a table's columns
  categories: np.ndarray | None = None  # text [D, K]: what codes of a column stand for, '' for none


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
_STEPS = 8  # of each walk
_INTERPOLATED = 4  # of the images, two by two
_AT_ONCE = 128  # lanes whose pictures are on the devices, and no bytes yet, at a time
_OF_NOISE = 'samples', 'by_condition', 'aggregate_samples'  # whose codes are drawn


def make_pictures(
  model: networks.Model,
  shown: Shown,
  scale: float,
  ends: tuple[ArrayLike, ArrayLike] | None,
  size: int,
  place: Placement,
  is_drawn: bool = False,
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
      One for all values of an example, or one for each, [*event]. None for values and no pixels,
      of which there is no traversal.
    size: samples of each kind.
    is_drawn: whether samples are drawn from p(x | z), as data are; else they are its means.
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
    lines, of_lines = jax.tree.map(lambda leaf: evaluation.between(leaf, _STEPS), pairs)
    samples = evaluation.sample_prior(model, params, lane, size)
    walk = evaluation.walk(model, params, lane, usage, _UNITS, _STEPS)
    of_samples = shown.beside.take(np.arange(size) % count)
    groups = {  # codes [..., Z], and what is known of each
      'reconstructions': (z[:count], shown.beside),
      'samples': (samples, of_samples),
      'units': (walk, typical(_UNITS * _STEPS)),
      'interpolations': (lines, _flat(of_lines, 2)),
    }
    if ends is not None:
      plane = evaluation.traverse(model, params, lane, usage, _STEPS)
      groups['traversals'] = plane, typical(_STEPS * _STEPS)
    if shown.conditions is not None:
      groups['by_condition'] = _under(shown.conditions, samples)
      groups['walks_by_condition'] = _under(shown.conditions, walk[0])
    keys = learner.lane_keys(lane)
    if mixture is not None:
      key = jax.random.fold_in(keys.prior, 1)
      groups['aggregate_samples'] = mixture.sample(key, size, lane.mask), of_samples
    noisy = {name: groups.pop(name) for name in _OF_NOISE if is_drawn and name in groups}
    made = _split(groups, event, lambda *of: evaluation.decode(model, params, lane, *of))
    if noisy:
      key = jax.random.fold_in(keys.prior, 2)
      made |= _split(noisy, event, lambda *of: evaluation.draw(model, params, lane, key, *of))
    order = evaluation.most_used(model, lane, usage)
    return made, z[count:, order[jnp.array([0, min(1, order.size - 1)])]]

  x = np.asarray(data.to_values(np.concatenate([shown.images, shown.coded]), scale))

  def drawable(values):
    if ends is None:
      return np.asarray(values, np.float32)
    black, white = ends
    values = np.nan_to_num(np.asarray(values, np.float64))
    unit = (values - black) / np.maximum(white - black, np.finfo(np.float32).tiny)
    return np.round(255 * np.clip(unit, 0, 1)).astype(np.uint8)

  narrow = placement.narrowed(place, _AT_ONCE)
  program = lanewise(one_lane, narrow, per_lane=3).program

  def turn(*of_lanes: Any) -> tuple[dict[str, np.ndarray], np.ndarray]:
    made, codes = jax.device_get(program(*of_lanes, x))
    return {name: drawable(values) for name, values in made.items()}, np.asarray(codes, np.float32)

  def pictures(
    params: Any, lanes: Lane, usage: Array, mixtures: evaluation.Mixture | None = None
  ) -> Pictures:
    of_lanes = (params, lanes, (usage, mixtures))
    if narrow.width < place.width:  # what lies in wider turns is cut anew
      of_lanes = tuple(map(placement.joined, of_lanes))
    made, codes = placement.joined(placement.run_in_turns(narrow, turn, of_lanes))
    return Pictures(drawable(x[:count]), codes=codes, **{'traversals': None} | made)

  return pictures


def _split(
  groups: dict[str, tuple[Array, Beside]],
  event: tuple[int, ...],
  decode: Callable[[Array, Beside], Array],
) -> dict[str, Array]:
  """Returns what is decoded of each group of codes [..., Z], [..., *event]: by one program."""
  codes = jnp.concatenate([z.reshape(-1, z.shape[-1]) for z, _ in groups.values()])
  known = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(of for _, of in groups.values()))
  ends = np.cumsum([z[..., 0].size for z, _ in groups.values()])[:-1]
  parts = zip(groups.items(), jnp.split(decode(codes, known), ends), strict=True)
  return {name: part.reshape(*z.shape[:-1], *event) for (name, (z, _)), part in parts}


def _under(conditions: Beside, z: Array) -> tuple[Array, Beside]:
  """Returns codes [m, Z] under each of K conditions: [K, m, Z], and what is known [K m, ...]."""
  number = len(jax.tree.leaves(conditions)[0])
  known = jax.tree.map(lambda leaf: jnp.repeat(leaf, len(z), axis=0), conditions)
  return jnp.broadcast_to(z, (number, *z.shape)), known


def _flat(tree: Any, axes: int) -> Any:
  """Returns a tree whose first axes are one."""
  return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[axes:]), tree)
