"""Posteriors q(z | x) as maps of standard normal noise, one example each, no keys.

A posterior is a pytree (its leaves are what the encoder made) with

  loc                  [Z], the image of noise 0: the mean of a Gaussian, the centre of a flow
  sample(noise [Z])    -> z [Z], log q(z | x) [P]
  log_prob(z [Z])      -> log q(z | x) [P]

log q comes in P parts whose sum is the density. What the parts are, the type says:

  by_latent    P = Z, part j the density of z_j, given latents of other parts or not; else P = 1
  factorises   part j is the marginal density of z_j: q(z) = prod_j q(z_j)

A chain q(z_1 | x) q(z_2 | z_1) is by latent and does not factorise. `sample` computes log q from
the noise,

  log q(z | x) = log N(noise; 0, I) - log |det dz / dnoise|

since (z - mu) / sigma would cancel where sigma << |mu|. As a pytree, `jax.lax.stop_gradient` of a
posterior holds its parameters fixed: the sticking-the-landing estimator needs no more. Latents of
mask 0 are 0 in z and absent from every log q.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import distrax
import flax.struct
import jax
import jax.numpy as jnp
from jax import Array

# Beyond exp(+-40) a float32 neither resolves a scale beside a mean nor holds its square.
_MAX_LOG_SCALE = 40.0


class Posterior(Protocol):
  """What every posterior can do; see the module."""

  by_latent: ClassVar[bool]
  factorises: ClassVar[bool]

  @property
  def loc(self) -> Array: ...

  def sample(self, noise: Array) -> tuple[Array, Array]: ...

  def log_prob(self, z: Array) -> Array: ...


def scale_of(log_scale: Array) -> Array:
  """Returns exp(log_scale), log_scale clipped to +-40.

  It keeps the KL finite when nothing holds the scale (beta = 0).
  """
  return jnp.exp(jax.lax.clamp(-_MAX_LOG_SCALE, log_scale, _MAX_LOG_SCALE))


def log_normal(noise: Array) -> Array:
  """Returns log N(noise; 0, 1) of every element, in nats."""
  return distrax.Normal(0.0, 1.0).log_prob(noise)


@flax.struct.dataclass
class DiagonalGaussian:
  """q(z | x) = N(z; loc, diag(scale^2)), P = Z; Kingma & Welling 2014, eq. 9, arXiv 1312.6114."""

  by_latent: ClassVar[bool] = True
  factorises: ClassVar[bool] = True

  loc: Array  # [Z]
  scale: Array  # [Z]
  mask: Array  # [Z]

  def sample(self, noise: Array) -> tuple[Array, Array]:
    """Returns z = loc + scale * noise and log q [Z]."""
    z = self.mask * (self.loc + self.scale * noise)
    return z, self.mask * (log_normal(noise) - jnp.log(self.scale))

  def log_prob(self, z: Array) -> Array:
    """Returns log q(z | x) [Z]."""
    return self.mask * distrax.Normal(self.loc, self.scale).log_prob(z)

  def kl_to_standard_normal(self) -> Array:
    """Returns KL(q || N(0, I)) of every latent [Z], in closed form."""
    prior = distrax.Normal(jnp.zeros_like(self.loc), jnp.ones_like(self.loc))
    return self.mask * distrax.Normal(self.loc, self.scale).kl_divergence(prior)


@flax.struct.dataclass
class FullGaussian:
  """q(z | x) = N(z; loc, T T'), T lower triangular with a positive diagonal, P = 1.

  Kingma & Welling 2019, section 2.5.1, eqs. 2.31-2.36, arxiv.org/abs/1906.02691. Rows and columns
  of inert latents are those of the identity.
  """

  by_latent: ClassVar[bool] = False
  factorises: ClassVar[bool] = False

  loc: Array  # [Z]
  triangle: Array  # [Z, Z]
  mask: Array  # [Z]

  @property
  def scale(self) -> Array:
    """The standard deviation of every latent [Z]."""
    return jnp.sqrt(jnp.sum(jnp.square(self.triangle), axis=1))

  def _bijector(self) -> distrax.Bijector:
    matrix = distrax.TriangularLinear(self.triangle)
    shift = distrax.Block(distrax.ScalarAffine(shift=self.loc), 1)
    return distrax.Chain([shift, matrix])

  def sample(self, noise: Array) -> tuple[Array, Array]:
    """Returns z = loc + T noise and log q [1]."""
    z, log_det = self._bijector().forward_and_log_det(self.mask * noise)
    return z, (jnp.sum(self.mask * log_normal(noise)) - log_det)[None]

  def log_prob(self, z: Array) -> Array:
    """Returns log q(z | x) [1]."""
    noise, log_det = self._bijector().inverse_and_log_det(z)
    return (jnp.sum(self.mask * log_normal(noise)) + log_det)[None]

  def kl_to_standard_normal(self) -> Array:
    """Returns KL(q || N(0, I)) [1] = 1/2 (tr T T' + |loc|^2 - Z) - sum_i log T_ii."""
    squares = jnp.sum(jnp.square(self.triangle)) + jnp.sum(jnp.square(self.loc))
    log_det = jnp.sum(jnp.log(jnp.diagonal(self.triangle)))
    return (0.5 * (squares - self.mask.size) - log_det)[None]


@flax.struct.dataclass
class FlowPosterior:
  """A Gaussian sent through an invertible map, P = 1; Rezende & Mohamed 2015, arXiv 1505.05770.

    z = f(z_0),  z_0 ~ N(loc_0, diag(scale_0^2)),  log q(z) = log q_0(z_0) - log |det df / dz_0|

  Attributes:
    base: of z_0.
    params: of the map, with the features of x that it looks at.
    make: params, mask -> f, which leaves inert latents at 0.
  """

  by_latent: ClassVar[bool] = False
  factorises: ClassVar[bool] = False

  base: DiagonalGaussian
  params: Any
  make: Callable[[Any, Array], distrax.Bijector] = flax.struct.field(pytree_node=False)

  def _bijector(self) -> distrax.Bijector:
    return self.make(self.params, self.base.mask)

  @property
  def loc(self) -> Array:
    return self._bijector().forward(self.base.mask * self.base.loc)

  def sample(self, noise: Array) -> tuple[Array, Array]:
    """Returns z = f(loc_0 + scale_0 * noise) and log q [1]."""
    start, log_q = self.base.sample(noise)
    z, log_det = self._bijector().forward_and_log_det(start)
    return z, (jnp.sum(log_q) - log_det)[None]

  def log_prob(self, z: Array) -> Array:
    """Returns log q(z | x) [1]."""
    start, log_det = self._bijector().inverse_and_log_det(z)
    return (jnp.sum(self.base.log_prob(start)) + log_det)[None]


@flax.struct.dataclass
class TwoLayerPosterior:
  """q(z_1, z_2 | x) = q(z_1 | x) q(z_2 | z_1), both diagonal, z = (z_1, z_2), P = Z.

  Burda et al. 2016, eq. 6, arxiv.org/abs/1509.00519.

  Attributes:
    lower: q(z_1 | x).
    params: of the network that maps z_1 to q(z_2 | z_1).
    upper_mask: [Z_2].
    make: params, z_1, upper_mask -> q(z_2 | z_1).
  """

  by_latent: ClassVar[bool] = True
  factorises: ClassVar[bool] = False

  lower: DiagonalGaussian
  params: Any
  upper_mask: Array
  make: Callable[[Any, Array, Array], DiagonalGaussian] = flax.struct.field(pytree_node=False)

  def upper(self, lower: Array) -> DiagonalGaussian:
    """Returns q(z_2 | z_1) at z_1 = lower."""
    return self.make(self.params, lower, self.upper_mask)

  @property
  def loc(self) -> Array:
    return jnp.concatenate([self.lower.loc, self.upper(self.lower.loc).loc])

  @property
  def scale(self) -> Array:
    """The standard deviations [Z] of q(z_1 | x), and of q(z_2 | z_1) at its mean."""
    return jnp.concatenate([self.lower.scale, self.upper(self.lower.loc).scale])

  def sample(self, noise: Array) -> tuple[Array, Array]:
    """Returns z = (z_1, z_2) and log q [Z]."""
    cut = self.lower.loc.size
    z_1, log_q_1 = self.lower.sample(noise[:cut])
    z_2, log_q_2 = self.upper(z_1).sample(noise[cut:])
    return jnp.concatenate([z_1, z_2]), jnp.concatenate([log_q_1, log_q_2])

  def log_prob(self, z: Array) -> Array:
    """Returns log q(z_1 | x) and log q(z_2 | z_1), [Z]."""
    z_1, z_2 = jnp.split(z, [self.lower.loc.size])
    return jnp.concatenate([self.lower.log_prob(z_1), self.upper(z_1).log_prob(z_2)])


def stopped(posterior: Posterior) -> Posterior:
  """Returns the posterior with its parameters held fixed under differentiation."""
  return jax.lax.stop_gradient(posterior)
