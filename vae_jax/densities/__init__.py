"""Densities of one example, on distrax: likelihoods p(x | z), posteriors q(z | x), priors p(z)."""

from vae_jax.densities.likelihoods import Likelihood, bernoulli, gaussian, logit_of_mean
from vae_jax.densities.posteriors import diagonal_gaussian, standard_normal

__all__ = [
  'Likelihood',
  'bernoulli',
  'diagonal_gaussian',
  'gaussian',
  'logit_of_mean',
  'standard_normal',
]
