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

Imports go down these layers only:

  0  errors, checks, lane_fields, parts, config, paths, files, records, flops
  1  densities, lanes, placement, data
  2  switches, disentanglement, networks, bounds, weighting, objectives, optimizers
  3  learner, evaluation, programs, tracking, figures
  4  identity, validation, study, stopping, runs, multihost
  5  commands

and inside a layer a later name may import an earlier one, not the other way round. Flags of a
command line are known to the commands alone.
"""

__version__ = '0.1.0'
