"""Variational autoencoders in JAX: a beta x latent-size sweep trained as one program.

Axes, named once and used in every shape comment:

  G  lanes of the grid: one hyperparameter point each (beta, latent size, seed, learning rate)
  N  examples of a batch
  L  samples of z per example (the L of Kingma & Welling, the k of Burda et al.)
  Z  latents of the program: the largest latent size of the grid; smaller lanes carry a mask [Z]
  D  event: the pixels of one example; `*event` where the shape [H, W, C] matters
  S  optimiser steps of one chunk

Units and signs: everything is in nats per example: summed over the event and over the latents,
averaged over the batch. A bound (ELBO, IWAE) and a log-likelihood are higher-is-better; a rate, a
distortion, a KL, an NLL and a loss are lower-is-better. With the rate R = KL(q(z|x) || p(z)) and
the distortion D = -E_q[log p(x|z)]:

  ELBO = -D - R        objective = -D - beta R        loss = -objective

The front door, for Python (docs/python.md):

  run = vae_jax.train(config, workdir)        train a study, or go on with it
  run = vae_jax.load(workdir)                 load any run that has a checkpoint
  vae_jax.compare(workdir, workdir)           did a change help?

Imports go down these layers only:

  0  errors, checks, lane_fields, parts, config, paths, config_files, files, records, flops
  1  fast, densities, lanes, placement, data, forecast, verdict, comparison, launches, standing
  2  switches, disentanglement, networks, bounds, weighting, objectives, optimizers, laws, testing
  3  learner, evaluation, programs, tracking, figures, report
  4  identity, validation, study, ahead, stopping, runs, multihost, sweeps, front
  5  commands

and inside a layer a later name may import an earlier one, not the other way round. Flags of a
command line are known to the commands alone.
"""

import importlib

__version__ = '0.1.0'

_FRONT = ('Lane', 'Run', 'compare', 'load', 'train')


def __getattr__(name: str):
  """Imports the front door when it is asked for: JAX takes a second to import."""
  if name not in _FRONT:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(importlib.import_module('vae_jax.front'), name)


def __dir__() -> list[str]:
  return sorted([*globals(), *_FRONT])
