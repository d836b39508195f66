"""Likelihoods p(x | z) of counts x in {0, 1, 2, ...}; one example, no keys.

All are probabilities, not densities: `log_prob` is in nats and never positive.
"""

import math
from typing import Annotated

import distrax
import jax
import jax.numpy as jnp
from jax import Array
from tensorflow_probability.substrates import jax as tfp

from vae_jax import checks
from vae_jax.densities.events import per_example
from vae_jax.densities.likelihoods import Likelihood, Outputs, Scale, learned_scale

_LARGEST = 24 * math.log(2)  # log of the most counts that float32 tells apart, 2^24
_MOST_DRAWN = 1e9  # what an int32 holds
MEAN_MARGIN = 1e-3  # a value that is 0 in every training example starts from this mean


def log_rate(output: Array) -> Array:
  """Returns the logarithm of the rate of an output.

    log rate(o) = o                          for o <= c = 24 log 2
                = c + log(1 + o - c)         beyond it

  The rate is exp(o) wherever there are counts, and goes on along its tangent: exp(o) itself is
  beyond float32 from o = 89 on, with a gradient that ends a training.
  """
  return jnp.minimum(output, _LARGEST) + jnp.log1p(jnp.maximum(output - _LARGEST, 0.0))


def output_of_rate(mean: Array) -> Array:
  """Returns the output whose rate is a mean, of at least `MEAN_MARGIN`."""
  return jnp.log(jnp.maximum(mean, MEAN_MARGIN))


# TFP draws both with float64 inside, of which JAX warns, and through loops that it unrolls.
class _Poisson(tfp.distributions.Poisson):
  """TFP's, drawn by JAX."""

  def _sample_n(self, n: int, seed: Array | None = None) -> Array:
    return _drawn(seed, jnp.exp(self.log_rate), n)


class _NegativeBinomial(tfp.distributions.NegativeBinomial):
  """TFP's, drawn as a Poisson whose rate is drawn from a gamma distribution."""

  def _sample_n(self, n: int, seed: Array | None = None) -> Array:
    rate_key, key = jax.random.split(seed)
    shape = (n, *self.total_count.shape)
    gamma = jax.random.gamma(rate_key, jnp.broadcast_to(self.total_count, shape))
    return _drawn(key, gamma * jnp.exp(self.logits), n)


def _drawn(key: Array, rates: Array, n: int) -> Array:
  rates = jnp.broadcast_to(rates, (n, *rates.shape[-1:]))
  return jax.random.poisson(key, jnp.minimum(rates, _MOST_DRAWN)).astype(jnp.float32)


def poisson() -> Likelihood:
  """Poisson over counts, by the logarithm of the rate.

    log p(x | z) = sum_d x_d log r_d - r_d - log x_d!        r_d = s rate(o_d)

  `log_rate` has the rate of an output o; s is the size factor of the example (`data.size_factor`),
  such as how many molecules of a cell were read, and 1 without one. Finite at outputs of +-1e4.
  Nats per example; higher is better.
  """
  return _poisson(1.0)


def _poisson(size: Array | float) -> Likelihood:
  def make(outputs: Outputs) -> distrax.Distribution:
    return per_example(_Poisson(log_rate=log_rate(outputs[0]) + jnp.log(size)))

  return Likelihood(
    supports=('count',),
    num_heads=1,
    make=make,
    output_of_mean=output_of_rate,
    variance=lambda mean: mean * (mean > MEAN_MARGIN),
    encoder_input=jnp.log1p,
    sized=_poisson,
  )


Dispersion = Annotated[str, checks.choice('fixed', 'shared', 'per_value')]


def negative_binomial(
  dispersion: Dispersion = 'shared', initial_dispersion: Scale = 1.0, min_dispersion: Scale = 0.001
) -> Likelihood:
  """Negative binomial over counts, by mean and dispersion: a Poisson whose rate varies.

    log p(x | z) = sum_d log Gamma(x_d + 1 / a) - log Gamma(1 / a) - log x_d!
                   - 1 / a log(1 + a m_d) + x_d log(a m_d / (1 + a m_d))
    m_d = s rate(o_d)        Var x_d = m_d + a m_d^2

  The dispersion a is 0 for a Poisson; learned, it is min_dispersion + softplus(r + c), c such that
  a = initial_dispersion at r = 0. Mean, size factor s and `rate` are those of `poisson`. Hilbe
  2011, "Negative Binomial Regression", 8.2 (NB2); of gene counts: Lopez et al. 2018,
  doi.org/10.1038/s41592-018-0229-2. Finite at outputs of +-1e4. Nats per example; higher is better.

  Args:
    dispersion: 'fixed' (a = initial_dispersion), 'shared' (one a, learned), or 'per_value' (a
      second head of the decoder, one a per value and z).
    initial_dispersion: a at the start.
    min_dispersion: the lower bound of a learned a, below initial_dispersion.
  """
  return _negative_binomial(1.0, dispersion, initial_dispersion, min_dispersion)


def _negative_binomial(
  size: Array | float, dispersion: str, initial: float, lowest: float
) -> Likelihood:
  def make(outputs: Outputs) -> distrax.Distribution:
    log_mean = log_rate(outputs[0]) + jnp.log(size)
    a = jnp.float32(initial)
    if dispersion != 'fixed':
      a = learned_scale(outputs[1], initial, lowest)
    a = jnp.broadcast_to(a, log_mean.shape)
    return per_example(_NegativeBinomial(total_count=1 / a, logits=log_mean + jnp.log(a)))

  return Likelihood(
    supports=('count',),
    num_heads=2 if dispersion == 'per_value' else 1,
    make=make,
    num_shared=int(dispersion == 'shared'),
    output_of_mean=output_of_rate,
    encoder_input=jnp.log1p,
    sized=lambda size: _negative_binomial(size, dispersion, initial, lowest),
  )
