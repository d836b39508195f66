"""The program of the importance-sampled NLL: a batch of images at a time."""

import math
from typing import Any

import numpy as np
from jax import Array

from vae_jax import evaluation, networks
from vae_jax.data import NOTHING, Beside
from vae_jax.lanes import Lane
from vae_jax.placement import Placement
from vae_jax.programs import pieces
from vae_jax.programs.lanewise import Lanewise, lanewise, over_data


def make_nll(
  model: networks.Model,
  images: np.ndarray,
  scale: float,
  num_samples: int,
  batch_size: int,
  place: Placement,
  beside: Beside = NOTHING,
) -> tuple[Lanewise, evaluation.Batches]:
  """Returns the program of `evaluation.evidence` and the batches that it is for.

  The program is (params [G], lanes [G], some of the batches, the index of their first) -> its
  fields [G] by name; the noise of a batch depends on its index alone. What a lane decodes at a time
  is as many images as samples, if it can be; see `nll` for the arguments.
  """
  chunk = min(num_samples, math.isqrt(batch_size))
  batches = evaluation.cut(images, min(len(images), max(1, batch_size // chunk)), beside)

  def one_lane(params, lane, batches, first) -> dict[str, Array]:
    settings = scale, num_samples, chunk, first
    return evaluation.evidence(model, params, lane, over_data(batches), *settings)._asdict()

  options = place.compiler_options(num_rows=batches.weights.shape[1] * chunk)
  return lanewise(one_lane, place, compiler_options=options), batches


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
  title: str = 'NLL',
  beside: Beside = NOTHING,
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
    title: of the pieces.
    beside: what is known of the images.
  """
  program, batches = make_nll(model, images, scale, num_samples, batch_size, place, beside)
  one_by_one = [(batches.part(i), np.int32(i)) for i in range(len(batches.weights))]
  found = pieces.in_pieces(each, title, program, (params, lanes), one_by_one)
  values = {name: np.concatenate([part[name] for part in found], axis=1) for name in found[0]}
  return evaluation.nll_of(
    evaluation.Evidence(**values), batches.weights, math.prod(images.shape[1:])
  )
