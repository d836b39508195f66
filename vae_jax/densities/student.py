"""Student's t as a likelihood p(x | z): of real values with outliers; one example, no keys."""

from typing import Annotated

import distrax
import jax
import jax.numpy as jnp
from jax import Array
from tensorflow_probability.substrates import jax as tfp

from vae_jax import checks
from vae_jax.densities.events import per_example
from vae_jax.densities.likelihoods import Likelihood, Outputs, Scale, learned_scale

_LEAST_FREEDOM = 1.0  # above it there is a mean


class _StudentT(tfp.distributions.StudentT):
  """TFP's, drawn by JAX: its own draws have float64 inside, of which JAX warns."""

  def _sample_n(self, n: int, seed: Array | None = None) -> Array:
    shape = (n, *self.loc.shape)
    return self.loc + self.scale * jax.random.t(seed, jnp.broadcast_to(self.df, shape), shape)

  def _mean(self) -> Array:
    return self.loc  # df is above 1


def student_t(
  df: Annotated[float, checks.real(1.001, 1e6)] = 4.0,
  learn_df: Annotated[bool, checks.flag] = False,
  scale: Annotated[str, checks.choice('fixed', 'shared', 'per_pixel')] = 'shared',
  initial_scale: Scale = 1.0,
  min_scale: Scale = 0.001,
) -> Likelihood:
  """Student's t over real values: outliers cost the logarithm of their distance, not its square.

    log p(x | z) = sum_d log Gamma((v + 1) / 2) - log Gamma(v / 2) - 1/2 log(pi v) - log s_d
                   - (v + 1) / 2 log(1 + ((x_d - m_d) / s_d)^2 / v)

  A `gaussian` of scale s as the degrees of freedom v grow. Takahashi et al. 2018, "Student-t
  variational autoencoder for robust density estimation", IJCAI. A learned scale is that of
  `gaussian`; a learned v is 1 + softplus(r + c), c such that v = df at r = 0: above 1, so that
  there is a mean. Finite at outputs of +-1e4. Nats per example; higher is better.

  Args:
    df: v, above 1; where it is learned, at the start.
    learn_df: whether one v is learned for all values.
    scale: 'fixed' (s = initial_scale), 'shared' (one s, learned), or 'per_pixel' (a second head of
      the decoder, one s per value and z).
    initial_scale: s at the start, in units of x.
    min_scale: the lower bound of a learned s, below initial_scale.
  """
  num_heads = 2 if scale == 'per_pixel' else 1

  def make(outputs: Outputs) -> distrax.Distribution:
    loc, *raw = outputs
    s = initial_scale if scale == 'fixed' else learned_scale(raw[0], initial_scale, min_scale)
    v = learned_scale(raw[-1], df, _LEAST_FREEDOM) if learn_df else jnp.float32(df)
    s, v = (jnp.broadcast_to(value, loc.shape) for value in (s, v))
    return per_example(_StudentT(df=v, loc=loc, scale=s))

  return Likelihood(
    supports=('real',),
    num_heads=num_heads,
    make=make,
    num_shared=int(scale == 'shared') + int(learn_df),
    output_of_mean=jnp.asarray,
    at_scale=None if scale == 'fixed' else lambda s: student_t(df, learn_df, scale, s, min_scale),
    min_scale=min_scale,
  )
