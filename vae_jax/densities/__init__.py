"""Densities of one example, on distrax: likelihoods p(x | z), posteriors q(z | x), priors p(z)."""

from vae_jax.densities.events import Shaped, per_example, rescaled
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

__all__ = [
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
  'categorical',
  'continuous_bernoulli',
  'cross_entropy',
  'discretized_logistic',
  'gaussian',
  'has_closed_form',
  'log_normal',
  'logit_of_mean',
  'per_example',
  'rescaled',
  'scale_of',
  'stopped',
]
