"""Parts of a user's own, as a module outside of the package has them: named 'own_parts:...'.

What obeys the laws stands first; `Unmasked`, `OneHead` and the other parts below each break one.
"""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import linen as nn
from jax import Array
from tensorflow_probability.substrates import jax as tfp

from vae_jax import checks, densities, networks, objectives, weighting
from vae_jax.densities.likelihoods import inverse_softplus

LOWEST = 1e-3  # a rate from which it can still be learned


class ResidualEncoder(nn.Module):
  """Residual blocks: h + W relu(V h), `depth` of them."""

  depth: Annotated[int, checks.whole(1, 8)]
  width: int = 8

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Returns features [width] for x [*event]."""
    h = nn.Dense(self.width, name='inputs')(jnp.ravel(x))
    for i in range(self.depth):
      inside = nn.relu(nn.Dense(self.width, name=f'inside_{i}')(h))
      h = h + nn.Dense(self.width, name=f'block_{i}')(inside)
    return h


class Decoder(nn.Module):
  """One hidden layer, whose kernel begins with the variance of the active latents."""

  event: Sequence[int]
  num_heads: int
  width: int = 8
  pixel_bias: Sequence[float] = ()

  @nn.compact
  def __call__(self, z: Array, mask: Array) -> Array:
    """Returns [num_heads, *event] for z [Z] and mask [Z]."""
    init = networks.initializer('lecun', rows=mask)
    h = jnp.tanh(nn.Dense(self.width, kernel_init=init, name='first')(mask * z))
    size = self.num_heads * int(np.prod(self.event))
    bias = jnp.zeros(size).at[: len(self.pixel_bias)].set(jnp.asarray(self.pixel_bias))
    h = nn.Dense(size, bias_init=lambda *_: bias, name='last')(h)
    return h.reshape(self.num_heads, *self.event)


def poisson() -> densities.Likelihood:
  """Counts of the rate softplus(output)."""
  return densities.Likelihood(
    supports=('count',),
    num_heads=1,
    make=lambda outputs: densities.per_example(
      tfp.distributions.Poisson(LOWEST + nn.softplus(outputs[0]))
    ),
    output_of_mean=lambda mean: inverse_softplus(jnp.maximum(mean, 2 * LOWEST) - LOWEST),
  )


def student_t(freedom: float = 4.0, scale: float = 1.0) -> densities.Likelihood:
  """Real values with far outliers."""
  return densities.Likelihood(
    supports=('unit', 'real'),
    num_heads=1,
    make=lambda outputs: densities.per_example(
      tfp.distributions.StudentT(freedom, loc=outputs[0], scale=scale)
    ),
    output_of_mean=jnp.asarray,
    lost_on_unit=0.0,
  )


@flax.struct.dataclass
class Logistic:
  """q(z | x) = prod_j logistic(z_j; loc_j, scale_j), P = Z."""

  by_latent: ClassVar[bool] = True
  factorises: ClassVar[bool] = True

  loc: Array  # [Z]
  scale: Array  # [Z]
  mask: Array  # [Z]

  def sample(self, noise: Array) -> tuple[Array, Array]:
    """Returns z and log q [Z]: a standard logistic is the logit of a standard normal's CDF."""
    logit = jax.scipy.stats.norm.logcdf(noise) - jax.scipy.stats.norm.logcdf(-noise)
    z = self.mask * (self.loc + self.scale * logit)
    return z, self.mask * (jax.scipy.stats.logistic.logpdf(logit) - jnp.log(self.scale))

  def log_prob(self, z: Array) -> Array:
    """Returns log q(z | x) [Z]."""
    return self.mask * jax.scipy.stats.logistic.logpdf(z, self.loc, self.scale)


class _Head(nn.Module):
  """Location and log-scale of Z latents from features."""

  @nn.compact
  def __call__(self, features: Array, mask: Array) -> Array:
    return mask * nn.Dense(2 * mask.size)(features).reshape(2, -1)


def logistic() -> networks.PosteriorNetwork:
  """A dense layer to the parameters of a Logistic."""

  def make(params: Any, features: Array, mask: Array) -> Logistic:
    loc, log_scale = _Head().apply(params, features, mask)
    return Logistic(loc, densities.scale_of(log_scale), mask)

  return networks.PosteriorNetwork(_Head().init, make, Logistic)


@flax.struct.dataclass
class Laplace:
  """p(z) = prod_j Laplace(z_j; 0, scale_j), P = Z."""

  by_latent: ClassVar[bool] = True
  factorises: ClassVar[bool] = True
  closed_form: ClassVar[str] = ''

  scale: Array  # [Z]
  mask: Array  # [Z]

  def log_prob(self, z: Array) -> Array:
    """Returns log p(z) [Z]."""
    return self.mask * jax.scipy.stats.laplace.logpdf(z, 0, self.scale)

  def sample(self, noise: Array, uniform: Array) -> Array:
    """Returns the quantiles at which the noise lies."""
    del uniform
    tail = jax.scipy.stats.norm.logcdf(-jnp.abs(noise))
    return self.mask * self.scale * -jnp.sign(noise) * (tail + jnp.log(2))


def laplace(initial_scale: float = 1.0) -> networks.PriorNetwork:
  """A Laplace prior whose scales are learned."""

  def make(params: Array, mask: Array, posterior_of: Any) -> Laplace:
    del posterior_of
    return Laplace(initial_scale * densities.scale_of(mask * params), mask)

  return networks.PriorNetwork(lambda key, mask: jnp.zeros(mask.size), make, Laplace)


def tempered(temperature: float = 1.0) -> objectives.Objective:
  """-T D - beta(step) R."""

  def combine(means: Any, lane: Any, step: Array) -> Array:
    rate = weighting.beta_at(lane, step) * means['rates'].sum()
    return -temperature * means['distortion'] - rate

  return objectives.Objective(
    objectives.no_terms, combine, lane_fields=('beta', 'warmup', 'warmup_steps')
  )


def momentum(learning_rate: Any, decay: float = 0.9) -> optax.GradientTransformation:
  """Gradient descent with momentum."""
  return optax.sgd(learning_rate, momentum=decay)


def halving(every: int = 100) -> Any:
  """Halves the rate every so many steps."""
  return lambda step: 0.5 ** (step // every)


def counts(seed: int, size: int = 120) -> dict[str, np.ndarray]:
  """Counts of two kinds of rows, as splits."""
  rng = np.random.default_rng(seed)
  rates = rng.uniform(0.5, 8, (2, 6))
  images = rng.poisson(rates[rng.integers(0, 2, size)]).astype(np.int32)
  cut = size * 3 // 4
  return {'train': images[:cut], 'test': images[cut:]}


def reals(seed: int, size: int = 120) -> dict[str, np.ndarray]:
  """Real numbers of a Student-t about two centres, as splits."""
  rng = np.random.default_rng(seed)
  centres = rng.normal(size=(2, 6))
  rows = centres[rng.integers(0, 2, size)] + 0.3 * rng.standard_t(4, (size, 6))
  cut = size * 3 // 4
  return {'train': rows[:cut].astype(np.float32), 'test': rows[cut:].astype(np.float32)}


class Unmasked(nn.Module):
  """A decoder that reads inert latents."""

  event: Sequence[int]
  num_heads: int

  @nn.compact
  def __call__(self, z: Array, mask: Array) -> Array:
    """Returns [num_heads, *event]."""
    size = self.num_heads * int(np.prod(self.event))
    return nn.Dense(size)(z).reshape(self.num_heads, *self.event)


class OneHead(nn.Module):
  """A decoder of one output without an axis for it."""

  event: Sequence[int]

  @nn.compact
  def __call__(self, z: Array, mask: Array) -> Array:
    """Returns [*event]."""
    return nn.Dense(int(np.prod(self.event)))(mask * z).reshape(self.event)


class Batched(nn.Module):
  """An encoder that takes the first axis for a batch."""

  @nn.compact
  def __call__(self, x: Array) -> Array:
    """Returns [N, 4]."""
    return nn.Dense(4)(x.reshape(len(x), -1))


def of_scales() -> objectives.Objective:
  """An objective that reads `scale`, which not every posterior has."""

  def terms(terms: Any, posteriors: Any, weights: Array, mask: Array) -> dict[str, Array]:
    return {'scale': objectives.mean(jnp.sum(mask * posteriors.scale, axis=-1), weights)}

  def combine(means: Any, lane: Any, step: Array) -> Array:
    return -means['distortion'] - means['rates'].sum() - means['scale']

  return objectives.Objective(terms, combine)
