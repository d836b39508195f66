"""Likelihoods p(x | z) on distrax; one example, no keys.

Every likelihood but `cross_entropy` is a density over one example, so that `log_prob` is in nats.
"""

import math
from collections.abc import Callable
from typing import Annotated, NamedTuple

import distrax
import jax
import jax.numpy as jnp
from jax import Array
from tensorflow_probability.substrates import jax as tfp

from vae_jax import checks
from vae_jax.densities.events import per_example
from vae_jax.fast.softplus import softplus

MEAN_MARGIN = 1e-3  # a pixel starts from a mean this far, of the range, from black and white

Outputs = tuple[Array, ...] | Array


class Likelihood(NamedTuple):
  """p(x | z) as a function of the decoder's outputs.

  Attributes:
    supports: the supports of data (see `vae_jax.data`) that it is for: 'binary', 'unit', 'uint8',
      'count', 'real'.
    num_heads: how many outputs [*event] it reads from the decoder.
    num_shared: how many scalars, the same for every x and z, it reads after these; all start at 0.
    make: outputs (num_heads arrays [*event], then num_shared scalars) -> distribution over x, with
      `log_prob` [], `sample(seed=key)` and `mean()` [*event]. Without shared scalars the heads may
      come stacked, [num_heads, *event]: taking 256 apart costs far more than using them.
    output_of_mean: data mean [*event] -> first output whose distribution has that mean, the other
      outputs at 0. None where the first output alone cannot set the mean.
    is_density: whether exp(log_prob) sums or integrates to 1 over the support. If not, an 'elbo'
      of it bounds nothing, and there is no NLL.
    refit: (mean log-likelihood of a batch [] in nats per example, D, the shared scalars that it was
      computed under) -> the shared scalars under which that batch is likeliest, in closed form.
      None where the shared scalars, if any, are learned by gradient.
    at_scale: s -> the same likelihood, whose learned scale begins at s; None where it learns none.
    min_scale: the lower bound of a learned scale.
    lost_on_unit: of a density on the line, the nats that a pixel in [0, 1] loses at the least since
      a part of it lies outside; None of a density on its own support.
  """

  supports: tuple[str, ...]
  num_heads: int
  make: Callable[[Outputs], distrax.Distribution]
  num_shared: int = 0
  output_of_mean: Callable[[Array], Array] | None = None
  is_density: bool = True
  refit: Callable[[Array, int, tuple[Array, ...]], tuple[Array, ...]] | None = None
  at_scale: Callable[[Array], 'Likelihood'] | None = None
  min_scale: float = 0.0
  lost_on_unit: float | None = None


Scale = Annotated[float, checks.real(1e-6, 1e6)]  # in units of x, or of the range of x


def inverse_softplus(y: Array) -> Array:
  """Returns log(exp(y) - 1) for y > 0, without overflow."""
  return y + jnp.log(-jnp.expm1(-y))


def learned_scale(raw: Array, initial_scale: float, min_scale: float) -> Array:
  """Returns s = min_scale + softplus(raw + c), c such that s = initial_scale at raw = 0."""
  return min_scale + softplus(raw + inverse_softplus(jnp.float32(initial_scale - min_scale)))


def bisect(increasing: Callable[[Array], Array], target: Array, low: float, high: float) -> Array:
  """Returns where an increasing elementwise function reaches the target, within [low, high]."""

  def halve(_: Array, ends: tuple[Array, Array]) -> tuple[Array, Array]:
    middle = (ends[0] + ends[1]) / 2
    below = increasing(middle) < target
    return jnp.where(below, middle, ends[0]), jnp.where(below, ends[1], middle)

  target = jnp.asarray(target, jnp.float32)
  ends = jnp.full_like(target, low), jnp.full_like(target, high)
  return jax.lax.fori_loop(0, 40, halve, ends)[0]  # 2^-40: beyond the digits of float32


def logit_of_mean(mean: Array) -> Array:
  """Returns log(m / (1 - m)), with m clipped to [0.001, 0.999].

  A pixel that is black in every training image has mean 0 and logit -inf: the clip (Burda et al.
  2016 do the same) lets it still be learned.
  """
  mean = jnp.clip(mean, MEAN_MARGIN, 1 - MEAN_MARGIN)
  return jnp.log(mean) - jnp.log1p(-mean)


class _Binary(distrax.Bernoulli):
  """Of values that are 0 or 1: exact to the last bits also where log p is nearly 0."""

  def log_prob(self, value: Array) -> Array:
    return -softplus((1 - 2 * value) * self.logits)


class _Grey(distrax.Bernoulli):
  """The same formula of values from 0 to 1, with one softplus, too: distrax has two."""

  def log_prob(self, value: Array) -> Array:
    return value * self.logits - softplus(self.logits)


def bernoulli() -> Likelihood:
  """Bernoulli over binary pixels, in logits.

    log p(x | z) = sum_d x_d l_d - softplus(l_d)

  Kingma & Welling 2014, appendix C.1, arxiv.org/abs/1312.6114. It never forms the probability, so
  that values and gradients are finite at logits of +-1e4. Nats per example; higher is better.
  """
  return Likelihood(
    supports=('binary',),
    num_heads=1,
    make=lambda outputs: per_example(_Binary(logits=outputs[0])),
    output_of_mean=logit_of_mean,
  )


def cross_entropy() -> Likelihood:
  """The Bernoulli's formula on grey pixels in [0, 1]: a loss of many programs, not a density.

    "log p(x | z)" = sum_d x_d l_d - softplus(l_d)

  Burgess et al. 2018, arxiv.org/abs/1804.03599, train it. Over [0, 1] its exponential integrates to
  1 / C(l_d) <= 1/2 per pixel, which depends on z: `continuous_bernoulli` is the same with C
  (Loaiza-Ganem & Cunningham 2019, arxiv.org/abs/1907.06845). An 'elbo' of it therefore bounds
  nothing and compares with no other likelihood's, and no NLL is reported. Its mean is sigmoid(l);
  its samples are binary. Higher is better.
  """
  return bernoulli()._replace(
    supports=('unit',),
    make=lambda outputs: per_example(_Grey(logits=outputs[0])),
    is_density=False,
  )


def continuous_bernoulli() -> Likelihood:
  """Continuous Bernoulli over grey pixels in [0, 1], in logits.

    log p(x | z) = sum_d x_d l_d - softplus(l_d) + log C(l_d)
    C(l) = l (exp(l) + 1) / (exp(l) - 1), and 2 at l = 0

  Loaiza-Ganem & Cunningham 2019, proposition 1, arxiv.org/abs/1907.06845. Its mean is
  1 / (1 - exp(-l)) - 1 / l, not sigmoid(l). TFP computes both by series about l = 0 and by their
  asymptotes at large |l|: values to rounding, gradients to 3e-6, finite at logits of +-1e4. Nats
  per example, of a density: it may be positive. Higher is better.
  """

  def pixels(logits: Array) -> tfp.distributions.Distribution:
    return tfp.distributions.ContinuousBernoulli(logits=logits)

  def make(outputs: Outputs) -> distrax.Distribution:
    (logits,) = outputs
    return per_example(pixels(logits))

  def output_of_mean(mean: Array) -> Array:
    # The bounds clip the mean to [0.01, 0.99]: 0.001 is at a logit of -1000, too far to leave.
    return bisect(lambda logits: pixels(logits).mean(), mean, -100.0, 100.0)

  return Likelihood(supports=('unit',), num_heads=1, make=make, output_of_mean=output_of_mean)


def gaussian(
  scale: Annotated[str, checks.choice('fixed', 'shared', 'optimal', 'per_pixel')] = 'fixed',
  initial_scale: Scale = 1.0,
  min_scale: Scale = 0.001,
  mean: Annotated[str, checks.choice('identity', 'sigmoid')] = 'identity',
) -> Likelihood:
  """Gaussian over real or unit-interval pixels, normaliser included.

    log p(x | z) = sum_d -1/2 ((x_d - m_d) / s_d)^2 - log s_d - 1/2 log(2 pi)

  Kingma & Welling 2014, appendix C.2, arxiv.org/abs/1312.6114. A learned scale is
  s = min_scale + softplus(r + c), c such that s = initial_scale at r = 0: bounded below, so that
  the density cannot run to +inf on a pixel that never varies. Nats per example; higher is better.

  On unit-interval pixels it is a density on the line and not on their support: no more of N(m, s^2)
  lies in [0, 1] than erf(1 / (2 sqrt(2) s)), and what lies outside is lost to every image. With
  s = 1 that is 0.96 nats a pixel at the least, 983 nats of 32 x 32. Its figures compare with those
  of other Gaussians, not with those of a density on [0, 1] such as the continuous Bernoulli.

  Args:
    scale: 'fixed' (s = initial_scale), 'shared' (one s, learned by gradient), 'optimal' (one s,
      refitted in closed form, see `optimal_scale`; no gradient reaches it), or 'per_pixel' (a
      second head of the decoder, one s per pixel and z).
    initial_scale: s at the start, in units of x.
    min_scale: the lower bound of a learned s, below initial_scale.
    mean: 'identity' (m = output) or 'sigmoid' (m in (0, 1), for unit-interval data).
  """

  def make(outputs: Outputs) -> distrax.Distribution:
    loc = jax.nn.sigmoid(outputs[0]) if mean == 'sigmoid' else outputs[0]
    s = initial_scale
    if scale != 'fixed':
      raw = jax.lax.stop_gradient(outputs[1]) if scale == 'optimal' else outputs[1]
      s = learned_scale(raw, initial_scale, min_scale)
    return per_example(distrax.Normal(loc, jnp.broadcast_to(s, loc.shape)))

  def refit(log_likelihood: Array, event_size: int, shared: tuple[Array, ...]) -> tuple[Array, ...]:
    s = learned_scale(shared[0], initial_scale, min_scale)
    excess = optimal_scale(log_likelihood, event_size, s) - min_scale
    # softplus never reaches 0: the bound is met to a ten-thousandth.
    excess = jnp.maximum(excess, 1e-4 * min_scale)
    start = inverse_softplus(jnp.float32(initial_scale - min_scale))
    return (inverse_softplus(excess) - start,)

  is_fixed = scale == 'fixed'
  return Likelihood(
    supports=('unit',) if mean == 'sigmoid' else ('unit', 'real'),
    num_heads=2 if scale == 'per_pixel' else 1,
    make=make,
    num_shared=1 if scale in ('shared', 'optimal') else 0,
    output_of_mean=logit_of_mean if mean == 'sigmoid' else jnp.asarray,
    refit=refit if scale == 'optimal' else None,
    at_scale=None if is_fixed else lambda s: gaussian(scale, s, min_scale, mean),
    min_scale=min_scale,
    # Of a learned scale nothing is known: it may become small.
    lost_on_unit=-math.log(_most_within_unit(initial_scale)) if is_fixed else 0.0,
  )


def _most_within_unit(scale: float) -> float:
  """Returns the most of N(m, s^2) that lies in [0, 1]: at m = 1/2, erf(1 / (2 sqrt(2) s))."""
  return math.erf(1 / (2 * math.sqrt(2) * scale))


def optimal_scale(log_likelihood: Array, event_size: int, scale: Array) -> Array:
  """Returns the one scale under which Gaussian pixels are likeliest, at least scale / 100.

    s*^2 = MSE = -2 s^2 (l / D + 1/2 log(2 pi s^2))

  The optimal sigma-VAE of Rybkin et al. 2021, eq. 5, arxiv.org/abs/2006.13202: s*^2 is the mean
  square error of a batch, here read back from its log-likelihood under the scale s it was computed
  with. Alternating this with gradient steps at the refitted s is coordinate ascent: at s* the
  gradient for all other parameters is the sigma-VAE's, since that of s is 0 (envelope theorem),
  and every reported figure is under a density with a known scale.

  Args:
    log_likelihood: l [], the mean over the batch and the samples of z, in nats per example.
    event_size: D.
    scale: s [], in units of x.
  """
  log_normaliser = jnp.log(scale) + 0.5 * math.log(2 * math.pi)
  mean_square = -2 * scale**2 * (log_likelihood / event_size + log_normaliser)
  # Below some 1e-5 s^2 the error is lost in the rounding of the normaliser beside it, and may come
  # out negative: one refit divides s by 100 at most, and the next one sees better.
  return jnp.sqrt(jnp.maximum(mean_square, (scale / 100) ** 2))
