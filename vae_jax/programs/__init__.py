"""The compiled programs of a launch: one lane's functions, mapped over the lanes and jitted.

All lanes of the grid go through the same program, at once or so many at a time as it is wide.
Everything that differs between them is data in `Lane`, so that another beta, seed or latent size
never compiles anew.
"""

from vae_jax.programs.chunks import (
  States,
  Training,
  bytes_of,
  chunk_shapes,
  compile_chunk,
  init,
  make_chunk,
  make_init,
  multipliers_of,
  params_of,
  run_chunk,
  state_shapes,
  take_chunk,
)
from vae_jax.programs.divergence import Findings, make_examine
from vae_jax.programs.importance import make_nll, nll
from vae_jax.programs.lanewise import Lanewise, lanewise
from vae_jax.programs.mixtures import mixtures
from vae_jax.programs.pieces import Arrays, Pieces, computed, in_pieces
from vae_jax.programs.reviews import (
  Pictures,
  Shown,
  aggregate,
  encode,
  make_evaluate,
  make_pictures,
  make_refit,
)

__all__ = [
  'Arrays',
  'Findings',
  'Lanewise',
  'Pictures',
  'Pieces',
  'Shown',
  'States',
  'Training',
  'aggregate',
  'bytes_of',
  'chunk_shapes',
  'compile_chunk',
  'computed',
  'encode',
  'in_pieces',
  'init',
  'lanewise',
  'make_chunk',
  'make_evaluate',
  'make_examine',
  'make_init',
  'make_nll',
  'make_pictures',
  'make_refit',
  'mixtures',
  'multipliers_of',
  'nll',
  'params_of',
  'run_chunk',
  'state_shapes',
  'take_chunk',
]
