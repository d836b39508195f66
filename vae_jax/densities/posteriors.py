"""Posteriors q(z | x); one example, no keys."""

import distrax
import jax.numpy as jnp
from jax import Array

# Beyond exp(+-40) a float32 neither resolves a scale beside a mean nor holds its square.
_MAX_LOG_SCALE = 40.0


def diagonal_gaussian(loc: Array, log_scale: Array) -> distrax.Normal:
  """q(z | x) = N(z; loc, diag(exp(log_scale)^2)), one factor per latent: log_prob is [Z].

  Kept factorised so that a lane's mask can drop its inert latents before the sum. log_scale is
  clipped to +-40, which keeps the KL finite when nothing holds the scale (beta = 0).
  """
  return distrax.Normal(loc, jnp.exp(jnp.clip(log_scale, -_MAX_LOG_SCALE, _MAX_LOG_SCALE)))


def standard_normal(latent_size: int) -> distrax.Normal:
  """p(z) = N(z; 0, I), one factor per latent: log_prob is [Z]."""
  return distrax.Normal(jnp.zeros(latent_size), jnp.ones(latent_size))
