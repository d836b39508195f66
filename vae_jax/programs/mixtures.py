"""Mixtures fitted to the codes of every lane: the codes on the devices, the fit on the host."""

from typing import Any

import numpy as np

from vae_jax import evaluation, networks, placement
from vae_jax.data import NOTHING, Beside
from vae_jax.lanes import Lane
from vae_jax.placement import Placement
from vae_jax.programs import pieces
from vae_jax.programs.lanewise import lanewise


def mixtures(
  model: networks.Model,
  params: Any,
  lanes: Lane,
  images: np.ndarray,
  held_out: np.ndarray,
  scale: float,
  num_components: int,
  place: Placement,
  each: pieces.Pieces = pieces.computed,
  beside: Beside = NOTHING,
  beside_held_out: Beside = NOTHING,
) -> dict[str, np.ndarray]:
  """Returns the mixtures [G] of the codes of `images` [n, *event], and `gain` [G].

  See `evaluation.fit_mixture`; `held_out` [m, *event] are those by which the gain is measured;
  `each` computes the pieces, one for each turn of lanes.
  """
  batches = evaluation.cut(images, len(images), beside)
  others = evaluation.cut(held_out, len(held_out), beside_held_out)

  def one_lane(params, lane, batches, others):
    z, _ = evaluation.drawn_codes(model, params, lane, batches, scale, index=1)
    held_out, log_prior = evaluation.drawn_codes(model, params, lane, others, scale, index=2)
    return {'z': z, 'held_out': held_out, 'log_prior': log_prior}

  title, program = 'codes', lanewise(one_lane, place)
  found = pieces.in_pieces(each, title, program, (params, lanes), [(batches, others)])[0]
  masks, seeds = np.asarray(lanes.mask), np.asarray(lanes.seed).tolist()
  fitted = [
    evaluation.fit_mixture(
      *(found[name][i] for name in ('z', 'held_out', 'log_prior')), masks[i], num_components, seed
    )
    for i, seed in enumerate(seeds[: placement.num_lanes(params)])
  ]
  gains = np.array([gain for _, gain in fitted])
  arrays = (np.stack(leaves) for leaves in zip(*(mixture for mixture, _ in fitted), strict=True))
  return evaluation.Mixture(*arrays)._asdict() | {'gain': gains}
