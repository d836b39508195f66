"""Posteriors from the features of x, and learned priors: the networks of the latent side.

Both are pairs of pure functions, chosen where the model is built:

  PosteriorNetwork   init(key, features [H], mask [Z]) -> params
                     make(params, features, mask) -> densities.Posterior
  PriorNetwork       init(key, mask) -> params
                     make(params, mask, posterior_of) -> densities.Prior

`posterior_of`, x [*event] -> posterior, is what the VampPrior is made of; the others ignore it.
`density` is the class of what `make` returns: what it can, by_latent, factorises, closed_form, is
known before there are parameters. Posterior and prior go together where their `lower_size` is one.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from vae_jax import checks, densities
from vae_jax.networks import layers


class PosteriorNetwork(NamedTuple):
  """From features of x to q(z | x).

  Attributes:
    init, make: see the module.
    density: the class of what is made.
    lower_size: of the lower of two layers of latents, which the decoder reads; 0 for one layer.
  """

  init: Callable[[Array, Array, Array], Any]
  make: Callable[[Any, Array, Array], densities.Posterior]
  density: type[densities.Posterior]
  lower_size: int = 0


class PriorNetwork(NamedTuple):
  """From parameters to p(z).

  Attributes:
    init, make, density, lower_size: as of a PosteriorNetwork.
    reads_encoder: whether it is made of what the encoder makes of some x.
  """

  init: Callable[[Array, Array], Any]
  make: Callable[..., densities.Prior]
  density: type[densities.Prior]
  lower_size: int = 0
  reads_encoder: bool = False


NumLayers = Annotated[int, checks.whole(1, 1000)]
NumComponents = Annotated[int, checks.whole(1)]
FlowWidths = Annotated[Sequence[int], checks.tuple_of(checks.whole(1)), checks.not_empty]


def gaussian(
  head: layers.GaussianHead, params: Any, features: Array, mask: Array, rows: Array | None = None
) -> densities.DiagonalGaussian:
  """Returns the Gaussian of independent latents [Z] that a head makes of features [I]."""
  loc, log_scale = head.apply(params, features, mask, rows)
  return densities.DiagonalGaussian(loc, densities.scale_of(log_scale), mask)


class Conditional(NamedTuple):
  """A diagonal Gaussian of one layer of latents given another: an Mlp and a head."""

  hidden: Sequence[int]
  activation: str
  kernel_init: str

  def _parts(self) -> tuple[layers.Mlp, layers.GaussianHead]:
    mlp = layers.Mlp(self.hidden, self.activation, self.kernel_init)
    return mlp, layers.GaussianHead(self.kernel_init, unit_scale=True)

  def init(self, key: Array, given_mask: Array, mask: Array) -> Any:
    mlp, head = self._parts()
    mlp_key, head_key = jax.random.split(key)
    given = jnp.zeros(given_mask.size)
    params = mlp.init(mlp_key, given, given_mask)
    rows = None if self.hidden else given_mask
    features = mlp.apply(params, given, given_mask)
    return {'mlp': params, 'head': head.init(head_key, features, mask, rows)}

  def make(self, params: Any, given: Array, given_mask: Array, mask: Array):
    mlp, head = self._parts()
    features = mlp.apply(params['mlp'], given_mask * given, given_mask)
    return gaussian(head, params['head'], features, mask)
