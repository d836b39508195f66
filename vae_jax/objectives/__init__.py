"""What is trained on: named terms of a batch, and how a lane weighs them.

An `Objective` works in two stages, so that training on a batch and evaluation on a data set share
one formula: `terms` are averages over examples (evaluation averages them on over its batches), and
`combine` weighs the averages, once, at the end.
"""

from vae_jax.objectives.dip import dip_vae_i, dip_vae_ii
from vae_jax.objectives.elbo import beta_elbo
from vae_jax.objectives.multi_rate import multi_rate
from vae_jax.objectives.objective import Means, Objective, mean, no_terms
from vae_jax.objectives.tcvae import beta_tcvae, stratified_weights
from vae_jax.objectives.weighted import ciwae, iwae, miwae

__all__ = [
  'Means',
  'Objective',
  'beta_elbo',
  'beta_tcvae',
  'ciwae',
  'dip_vae_i',
  'dip_vae_ii',
  'iwae',
  'mean',
  'miwae',
  'multi_rate',
  'no_terms',
  'stratified_weights',
]
