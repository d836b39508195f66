"""Likelihoods p(x | z) on distrax; one example, no keys.

Every likelihood but `cross_entropy` is a density over one example, so that `log_prob` is in nats.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import distrax
import jax
import jax.numpy as jnp
import numpy as np
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
    variance: mean [D] -> the variance [D] of x about it, up to the square of a learned scale; 0 of
      values so close to an end that the second order about the mean says nothing. None where the
      mean alone does not set it.
    lost_on_unit: of a density on the line, the nats that a pixel in [0, 1] loses at the least since
      a part of it lies outside; None of a density on its own support.
    encoder_input: x [*event], standardised where the likelihood sees it so -> what the encoder sees
      of it, such as log(1 + x) of counts; NaN stays NaN. None for x itself.
    sized: size factor s [], above 0 -> the likelihood of an example of that size, whose rates are
      multiplied by s. None where it has no rates.
    check: values [n, D] as they are stored -> what is wrong with them, '' for nothing; of a
      likelihood that differs from column to column. None where the support says it all.
    standardises: of each of D values, whether `data.standardize` may shift and scale it; None: all.
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
  variance: Callable[[np.ndarray], np.ndarray] | None = None
  lost_on_unit: float | None = None
  encoder_input: Callable[[Array], Array] | None = None
  sized: Callable[[Array], 'Likelihood'] | None = None
  check: Callable[[np.ndarray], str] | None = None
  standardises: Sequence[bool] | None = None


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


def _bernoulli_variance(mean: np.ndarray) -> np.ndarray:
  return mean * (1 - mean) * ((mean > MEAN_MARGIN) & (mean < 1 - MEAN_MARGIN))


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
    variance=_bernoulli_variance,
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
