"""The program of the importance-sampled NLL: a batch of images at a time."""

import math
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import Array

from vae_jax import evaluation, networks
from vae_jax.lanes import Lane
from vae_jax.placement import Placement
from vae_jax.programs import mapping, pieces


def make_nll(
  model: networks.Model,
  images: np.ndarray,
  scale: float,
  num_samples: int,
  batch_size: int,
  place: Placement,
) -> tuple[Callable[..., evaluation.Evidence], evaluation.Batches]:
  """Returns `evaluation.evidence` of all lanes, jitted, and the batches that it is for.

  The program is (params [G], lanes [G], some of the batches, the index of their first) -> [G]; the
  noise of a batch depends on its index alone. What a lane decodes at a time is as many images as
  samples, if it can be; see `nll` for the arguments.
  """
  chunk = min(num_samples, math.isqrt(batch_size))
  batches = evaluation.cut(images, min(len(images), max(1, batch_size // chunk)))

  def one_lane(params, lane, batches, first):
    return evaluation.evidence(model, params, lane, batches, scale, num_samples, chunk, first)

  mapped = mapping.over_lanes(one_lane, place, (0, 0, None, None))
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
  each: pieces.Pieces = pieces.computed,
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
    each: computes the pieces, each a batch of the lanes of one turn.
  """
  program, batches = make_nll(model, images, scale, num_samples, batch_size, place)

  def by_name(*arguments: Any) -> dict[str, Array]:
    return program(*arguments)._asdict()

  one_by_one = [(batches.part(i), np.int32(i)) for i in range(len(batches.weights))]
  found = pieces.in_pieces(each, 'NLL', place, by_name, (params, lanes), one_by_one)
  values = {name: np.concatenate([part[name] for part in found], axis=1) for name in found[0]}
  return evaluation.nll_of(
    evaluation.Evidence(**values), batches.weights, math.prod(images.shape[1:])
  )
