"""Bounds of log p(x): pure functions of one example; the caller vmaps over batch and lanes.

`elbo_terms` samples, the bounds only combine: terms first, reduction after. Three choices are
functions that are handed in once, where the learner is built:

  Bound      terms -> [], the weighting of the rate aside: `elbo`, `iwae`, `miwae`, `ciwae`
  Rate       terms -> the rate by part [P]: `analytic_kl`, `sampled_kl`
  Gradient   how the terms depend on the encoder: `reparameterized`, `sticking_the_landing`,
             `doubly_reparameterized`. It never changes a value: what is logged is the bound itself.
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
  """What every bound is made of, for one x and L samples of z. Nats per example.

  P is Z where posterior and prior both come by latent (see `densities.posteriors`), 1 where one
  does not.
  """

  z: Array  # [L, Z]
  log_likelihood: Array  # [L] log p(x | z_l); higher is better
  log_ratio: Array  # [L, P] log p(z_l) - log q(z_l | x), the parts of a sum
  kl: Array | None  # [P] KL(q(z | x) || p(z)), lower is better; None without a closed form


TermsOf = Callable[[Array, Array], ElboTerms]  # z [L, Z], log q(z | x) [L, P] -> terms
Gradient = Callable[[densities.Posterior, Array, Array, TermsOf], ElboTerms]
Rate = Callable[[ElboTerms], Array]
Bound = Callable[[ElboTerms], Array]


def elbo_terms(
  posterior: densities.Posterior,
  prior: densities.Prior,
  decode: Callable[[Array], distrax.Distribution],
  x: Array,
  noise: Array,
  gradient: Gradient | None = None,
) -> ElboTerms:
  """Samples z by reparameterisation and returns the terms of the bound.

    z_l = g(noise_l; x),  l = 1 .. L

  Kingma & Welling 2014, eqs. 4 and 10, arxiv.org/abs/1312.6114.

  Args:
    posterior: q(z | x); encoded once, however many samples are drawn.
    prior: p(z).
    decode: z [Z] -> p(x | z).
    x: one example [*event].
    noise: standard normal draws [L, Z].
    gradient: how the terms depend on the encoder; None for `reparameterized`.
  """
  chex.assert_rank(noise, 2)
  closed_form = densities.has_closed_form(type(posterior), type(prior))

  def log_ratio(log_p: Array, log_q: Array) -> Array:
    if posterior.by_latent and prior.by_latent:
      return log_p - log_q
    return jnp.sum(log_p, axis=-1, keepdims=True) - jnp.sum(log_q, axis=-1, keepdims=True)

  def terms_of(z: Array, log_q: Array) -> ElboTerms:
    return ElboTerms(
      z=z,
      log_likelihood=jax.vmap(lambda z_l: decode(z_l).log_prob(x))(z),
      log_ratio=log_ratio(jax.vmap(prior.log_prob)(z), log_q),
      kl=getattr(posterior, prior.closed_form)() if closed_form else None,
    )

  z, log_q = jax.vmap(posterior.sample)(noise)  # [L, Z], [L, P]
  return (gradient or reparameterized)(posterior, z, log_q, terms_of)


def reparameterized(
  posterior: densities.Posterior, z: Array, log_q: Array, terms_of: TermsOf
) -> ElboTerms:
  """The whole derivative: through z, and through the parameters of log q(z | x) themselves.

  Kingma & Welling 2014, section 2.3, arxiv.org/abs/1312.6114.
  """
  del posterior
  return terms_of(z, log_q)


def sticking_the_landing(
  posterior: densities.Posterior, z: Array, log_q: Array, terms_of: TermsOf
) -> ElboTerms:
  """The derivative through z alone: log q(z | x) with its own parameters held fixed.

  What is dropped is the score, whose mean is 0; where q is the true posterior, nothing is left of
  the encoder's gradient, and so none of its noise. Roeder et al. 2017, eq. 6,
  arxiv.org/abs/1703.09194. It is unbiased for the ELBO with the sampled rate.
  """
  through_z = jax.vmap(densities.stopped(posterior).log_prob)(z)
  # The value from the noise, which does not cancel; the derivative from z.
  held = jax.lax.stop_gradient(log_q) + through_z - jax.lax.stop_gradient(through_z)
  return terms_of(z, held)


def doubly_reparameterized(path_weights: Callable[[Array], Array]) -> Gradient:
  """The derivative through z alone, weighed once more: for importance-weighted bounds.

    d/dphi L_L = E sum_l v_l^2 d log w_l / dz_l dz_l / dphi,  v_l = w_l / sum_k w_k

  Tucker et al. 2019, eq. 8, arxiv.org/abs/1810.04152. The derivative with respect to the decoder
  and the prior is unchanged. The terms are written down twice, on the same z: XLA computes them
  once.

  Args:
    path_weights: log w [L] -> the factor [L] of each sample's derivative by z; of the IWAE v_l.
  """

  def gradient(
    posterior: densities.Posterior, z: Array, log_q: Array, terms_of: TermsOf
  ) -> ElboTerms:
    weights = path_weights(jax.lax.stop_gradient(log_weights(terms_of(z, log_q))))
    return sticking_the_landing(posterior, _weigh_derivative(z, weights), log_q, terms_of)

  return gradient


@jax.custom_vjp
def _weigh_derivative(z: Array, weights: Array) -> Array:
  """Returns z [L, Z]; what is differentiated through it is multiplied by weights [L]."""
  del weights
  return z


_weigh_derivative.defvjp(
  lambda z, weights: (z, weights),
  lambda weights, cotangent: (weights[:, None] * cotangent, jnp.zeros_like(weights)),
)


def analytic_kl(terms: ElboTerms) -> Array:
  """The rate in closed form [P], without sampling noise. Nats per example; lower is better."""
  return terms.kl


def sampled_kl(terms: ElboTerms) -> Array:
  """The rate as mean_l log q(z_l | x) - log p(z_l) [P], unbiased. Nats; lower is better."""
  return -jnp.mean(terms.log_ratio, axis=0)


def distortion(terms: ElboTerms) -> Array:
  """D = -mean_l log p(x | z_l). Nats per example; lower is better."""
  chex.assert_rank(terms.log_likelihood, 1)
  return -jnp.mean(terms.log_likelihood)


def log_weights(terms: ElboTerms) -> Array:
  """Returns log w_l = log p(x | z_l) + log p(z_l) - log q(z_l | x), [L]."""
  return terms.log_likelihood + jnp.sum(terms.log_ratio, axis=-1)


def iwae_bound(terms: ElboTerms) -> Array:
  """The importance-weighted bound. Nats per example; higher is better.

    L_L = log 1/L sum_l w_l,  w_l = p(x | z_l) p(z_l) / q(z_l | x)

  Burda et al. 2016, eq. 8, arxiv.org/abs/1509.00519. Its mean over the noise grows with L and stays
  below log p(x); at L = 1 it is the ELBO with the sampled rate. The weights need the sampled ratio:
  the closed-form KL has no place inside them.
  """
  return miwae_bound(terms, 1)


def miwae_bound(terms: ElboTerms, num_groups: int) -> Array:
  """The mean of M importance-weighted bounds of K = L / M samples each. Nats; higher is better.

    MIWAE = 1/M sum_m log 1/K sum_k w_mk

  Rainforth et al. 2018, eq. 14, arxiv.org/abs/1802.04537. M = 1 is the IWAE, M = L the ELBO.
  """
  weights = log_weights(terms).reshape(num_groups, -1)  # [M, K]
  return jnp.mean(jax.nn.logsumexp(weights, axis=1)) - jnp.log(weights.shape[1])


def ciwae_bound(terms: ElboTerms, elbo_weight: float) -> Array:
  """A convex combination of ELBO and IWAE on the same samples. Nats; higher is better.

    CIWAE = b mean_l log w_l + (1 - b) log 1/L sum_l w_l,  b = elbo_weight

  Rainforth et al. 2018, eq. 15, arxiv.org/abs/1802.04537.
  """
  elbo = jnp.mean(log_weights(terms))
  return elbo_weight * elbo + (1 - elbo_weight) * iwae_bound(terms)


def path_weights(num_groups: int, elbo_weight: float) -> Callable[[Array], Array]:
  """Returns log w [L] -> factors [L] for `doubly_reparameterized`, of MIWAE or CIWAE.

  With v the weights normalised in their group, the derivative of the bound by log w_l is v_l / M,
  and of the CIWAE b / L + (1 - b) v_l. Only the importance-weighted part is weighed once more:

    IWAE, MIWAE  v_l        CIWAE  (b / L + (1 - b) v_l^2) / (b / L + (1 - b) v_l)
  """

  def factors(log_w: Array) -> Array:
    v = jax.nn.softmax(log_w.reshape(num_groups, -1), axis=1).reshape(-1)
    if not elbo_weight:
      return v
    once = elbo_weight / v.size
    return (once + (1 - elbo_weight) * v**2) / (once + (1 - elbo_weight) * v)

  return factors
