"""Bounds of log p(x): pure functions of one example; the caller vmaps over batch and lanes.

`elbo_terms` samples, the bounds only combine: terms first, reduction after. A bound has the type
`Bound`, (terms, beta) -> [], and is chosen once where the learner is built.
"""

from collections.abc import Callable
from typing import NamedTuple

import chex
import distrax
import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import densities


class ElboTerms(NamedTuple):
  """What every bound is made of, for one x and L samples of z. Nats per example."""

  log_likelihood: Array  # [L] log p(x | z_l); higher is better
  log_ratio: Array  # [L] log p(z_l) - log q(z_l | x)
  kl: Array  # [] KL(q(z | x) || p(z)), closed form; lower is better


Rate = Callable[[ElboTerms], Array]
Bound = Callable[[ElboTerms, Array], Array]


def elbo_terms(
  posterior: distrax.Normal,
  decode: Callable[[Array], distrax.Distribution],
  x: Array,
  noise: Array,
  mask: Array,
) -> ElboTerms:
  """Samples z by reparameterisation and returns the terms of the bound.

    z_l = mu + sigma * noise_l,  l = 1 .. L

  Kingma & Welling 2014, eqs. 4 and 10, arxiv.org/abs/1312.6114. Inert latents (mask 0) are 0 in z
  and absent from the sums.

  Args:
    posterior: q(z | x), factorised over Z; encoded once, however many samples are drawn.
    decode: z [Z] -> p(x | z).
    x: one example [*event].
    noise: standard normal draws [L, Z].
    mask: [Z], 1 where a latent is active.
  """
  chex.assert_rank([noise, mask], [2, 1])
  prior = densities.standard_normal(mask.size)
  z = mask * (posterior.loc + posterior.scale * noise)  # [L, Z]
  # log q(z | x) from the noise: (z - mu) / sigma would cancel where sigma << |mu|.
  log_q = prior.log_prob(noise) - jnp.log(posterior.scale)  # [L, Z]
  return ElboTerms(
    log_likelihood=jax.vmap(lambda z_l: decode(z_l).log_prob(x))(z),
    log_ratio=jnp.sum(mask * (prior.log_prob(z) - log_q), axis=-1),
    kl=jnp.sum(mask * posterior.kl_divergence(prior)),
  )


def analytic_kl(terms: ElboTerms) -> Array:
  """The rate in closed form, without sampling noise. Nats per example; lower is better."""
  return terms.kl


def sampled_kl(terms: ElboTerms) -> Array:
  """The rate as mean_l log q(z_l | x) - log p(z_l), unbiased. Nats per example; lower is better."""
  return -jnp.mean(terms.log_ratio)


def distortion(terms: ElboTerms) -> Array:
  """D = -mean_l log p(x | z_l). Nats per example; lower is better."""
  return -jnp.mean(terms.log_likelihood)


def beta_elbo(terms: ElboTerms, beta: Array | float, rate: Rate) -> Array:
  """Weights the rate by beta. Nats per example; higher is better.

    ELBO_beta = mean_l log p(x | z_l) - beta R

  beta = 1 is the L-sample ELBO (Kingma & Welling 2014, eq. 7 with the closed form and eq. 6 with
  the sampled one, arxiv.org/abs/1312.6114), any other beta the objective of the beta-VAE (Higgins
  et al. 2017, eq. 4). Its mean over the noise is a lower bound of log p(x) for beta >= 1 only.
  """
  chex.assert_rank(terms.log_likelihood, 1)
  return -distortion(terms) - beta * rate(terms)


def iwae_bound(terms: ElboTerms) -> Array:
  """The importance-weighted bound. Nats per example; higher is better.

    L_L = log 1/L sum_l w_l,  w_l = p(x | z_l) p(z_l) / q(z_l | x)

  Burda et al. 2016, eq. 8, arxiv.org/abs/1509.00519. Its mean over the noise grows with L and stays
  below log p(x); at L = 1 it is the ELBO with the sampled rate. The weights need the sampled ratio:
  the closed-form KL has no place inside them.
  """
  chex.assert_rank(terms.log_likelihood, 1)
  weights = log_weights(terms)
  return jax.nn.logsumexp(weights) - jnp.log(weights.size)


def log_weights(terms: ElboTerms) -> Array:
  """Returns log w_l [L], the log importance weights of `iwae_bound`."""
  return terms.log_likelihood + terms.log_ratio
