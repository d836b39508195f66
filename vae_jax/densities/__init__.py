"""Densities of one example, on distrax: likelihoods p(x | z), posteriors q(z | x), priors p(z)."""

from vae_jax.densities.columns import Column, by_column
from vae_jax.densities.counts import negative_binomial, poisson
from vae_jax.densities.events import Shaped, drawn, is_product, of_observed, per_example, rescaled
from vae_jax.densities.gaussians import gaussian
from vae_jax.densities.levels import categorical, discretized_logistic
from vae_jax.densities.likelihoods import (
  Likelihood,
  bernoulli,
  continuous_bernoulli,
  cross_entropy,
  logit_of_mean,
)
from vae_jax.densities.posteriors import (
  DiagonalGaussian,
  FlowPosterior,
  FullGaussian,
  Posterior,
  TwoLayerPosterior,
  log_normal,
  scale_of,
  stopped,
)
from vae_jax.densities.priors import (
  FlowPrior,
  Mixture,
  Prior,
  StandardNormal,
  TwoLayerPrior,
  has_closed_form,
)
from vae_jax.densities.student import student_t

__all__ = [
  'Column',
  'DiagonalGaussian',
  'FlowPosterior',
  'FlowPrior',
  'FullGaussian',
  'Likelihood',
  'Mixture',
  'Posterior',
  'Prior',
  'Shaped',
  'StandardNormal',
  'TwoLayerPosterior',
  'TwoLayerPrior',
  'bernoulli',
  'by_column',
  'categorical',
  'continuous_bernoulli',
  'cross_entropy',
  'discretized_logistic',
  'drawn',
  'gaussian',
  'has_closed_form',
  'is_product',
  'log_normal',
  'logit_of_mean',
  'negative_binomial',
  'of_observed',
  'per_example',
  'poisson',
  'rescaled',
  'scale_of',
  'stopped',
  'student_t',
]
