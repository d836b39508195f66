"""Priors p(z), one example each, no keys.

A prior has

  log_prob(z [Z])                      -> log p(z) [P], in parts whose sum is the density
  sample(noise [Z], uniform [])        -> z [Z] ~ p(z), from standard normal and uniform noise

What the P parts are, the type says, by the words of `posteriors`: `by_latent`, and `factorises`.
Latents of mask 0 are 0 in z and absent from log p.

A closed form of KL(q || p) is a method [P] of the posterior, and the prior names it:

  closed_form          'kl_to_standard_normal'; '' where no posterior has one
"""

from collections.abc import Callable
from typing import Any, ClassVar, Protocol

import distrax
import flax.struct
import jax
import jax.numpy as jnp
from jax import Array

from vae_jax.densities import posteriors


class Prior(Protocol):
  """What every prior can do; see the module."""

  by_latent: ClassVar[bool]
  factorises: ClassVar[bool]
  closed_form: ClassVar[str]

  def log_prob(self, z: Array) -> Array: ...

  def sample(self, noise: Array, uniform: Array) -> Array: ...


@flax.struct.dataclass
class StandardNormal:
  """p(z) = N(z; 0, I), P = Z."""

  by_latent: ClassVar[bool] = True
  factorises: ClassVar[bool] = True
  closed_form: ClassVar[str] = 'kl_to_standard_normal'

  mask: Array  # [Z]

  def log_prob(self, z: Array) -> Array:
    """Returns log p(z) [Z]."""
    return self.mask * posteriors.log_normal(z)

  def sample(self, noise: Array, uniform: Array) -> Array:
    """Returns the noise of the active latents."""
    del uniform
    return self.mask * noise


@flax.struct.dataclass
class Mixture:
  """p(z) = sum_k w_k q_k(z), P = 1.

  A mixture of learned Gaussians, or the VampPrior, whose components are the posteriors of K learned
  pseudo-inputs (Tomczak & Welling 2018, eqs. 8 and 9, arxiv.org/abs/1705.07120).

  Attributes:
    components: a posterior whose leaves have a leading axis [K].
    log_weights: [K], up to a constant.
  """

  by_latent: ClassVar[bool] = False
  factorises: ClassVar[bool] = False
  closed_form: ClassVar[str] = ''

  components: Any
  log_weights: Array  # [K]

  def log_prob(self, z: Array) -> Array:
    """Returns log p(z) [1]."""
    parts = jax.vmap(lambda component: jnp.sum(component.log_prob(z)))(self.components)  # [K]
    return jax.nn.logsumexp(jax.nn.log_softmax(self.log_weights) + parts)[None]

  def sample(self, noise: Array, uniform: Array) -> Array:
    """Returns a draw of the component at which the weights sum up to `uniform`."""
    below = jnp.cumsum(jax.nn.softmax(self.log_weights)) <= uniform
    # Rounding may leave the last sum below 1, and a uniform draw above it.
    chosen = jnp.minimum(jnp.sum(below), below.size - 1)
    return jax.tree.map(lambda leaf: leaf[chosen], self.components).sample(noise)[0]


@flax.struct.dataclass
class FlowPrior:
  """p(z) = N(f^-1(z); 0, I) |det df^-1 / dz|, P = 1; Chen et al. 2017, arXiv 1611.02731.

  Attributes:
    params: of the map.
    mask: [Z].
    make: params, mask -> f, from noise to z.
  """

  by_latent: ClassVar[bool] = False
  factorises: ClassVar[bool] = False
  closed_form: ClassVar[str] = ''

  params: Any
  mask: Array
  make: Callable[[Any, Array], distrax.Bijector] = flax.struct.field(pytree_node=False)

  def log_prob(self, z: Array) -> Array:
    """Returns log p(z) [1]."""
    noise, log_det = self.make(self.params, self.mask).inverse_and_log_det(z)
    return (jnp.sum(self.mask * posteriors.log_normal(noise)) + log_det)[None]

  def sample(self, noise: Array, uniform: Array) -> Array:
    """Returns f(noise)."""
    del uniform
    return self.make(self.params, self.mask).forward(self.mask * noise)


@flax.struct.dataclass
class TwoLayerPrior:
  """p(z_1, z_2) = N(z_2; 0, I) p(z_1 | z_2), p(z_1 | z_2) diagonal, z = (z_1, z_2), P = Z.

  Burda et al. 2016, eq. 5, arxiv.org/abs/1509.00519.

  Attributes:
    params: of the network that maps z_2 to p(z_1 | z_2).
    mask: [Z].
    lower_size: the size of z_1.
    make: params, z_2, mask of z_2 -> p(z_1 | z_2), a DiagonalGaussian.
  """

  by_latent: ClassVar[bool] = True
  factorises: ClassVar[bool] = False
  closed_form: ClassVar[str] = ''

  params: Any
  mask: Array
  lower_size: int = flax.struct.field(pytree_node=False)
  make: Callable[[Any, Array, Array], Any] = flax.struct.field(pytree_node=False)

  def log_prob(self, z: Array) -> Array:
    """Returns log p(z_1 | z_2) and log p(z_2), [Z]."""
    z_1, z_2 = jnp.split(z, [self.lower_size])
    upper_mask = self.mask[self.lower_size :]
    lower = self.make(self.params, z_2, upper_mask).log_prob(z_1)
    return jnp.concatenate([lower, upper_mask * posteriors.log_normal(z_2)])

  def sample(self, noise: Array, uniform: Array) -> Array:
    """Returns z_2 and then z_1 given z_2, from the noise."""
    del uniform
    noise_1, noise_2 = jnp.split(noise, [self.lower_size])
    upper_mask = self.mask[self.lower_size :]
    z_2 = upper_mask * noise_2
    z_1, _ = self.make(self.params, z_2, upper_mask).sample(noise_1)
    return jnp.concatenate([z_1, z_2])


def has_closed_form(posterior: type[posteriors.Posterior], prior: type[Prior]) -> bool:
  """Tells whether KL(q || p) has a closed form: the method of q that p names."""
  return bool(prior.closed_form) and hasattr(posterior, prior.closed_form)
