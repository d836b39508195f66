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
from vae_jax.networks import flows, layers


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
  """From parameters to p(z); the attributes are those of a PosteriorNetwork."""

  init: Callable[[Array, Array], Any]
  make: Callable[..., densities.Prior]
  density: type[densities.Prior]
  lower_size: int = 0


NumLayers = Annotated[int, checks.whole(1, 1000)]
NumComponents = Annotated[int, checks.whole(1)]
FlowWidths = Annotated[Sequence[int], checks.tuple_of(checks.whole(1)), checks.not_empty]


def _gaussian(
  head: layers.GaussianHead, params: Any, features: Array, mask: Array, rows: Array | None = None
) -> densities.DiagonalGaussian:
  loc, log_scale = head.apply(params, features, mask, rows)
  return densities.DiagonalGaussian(loc, densities.scale_of(log_scale), mask)


def diagonal(kernel_init: str) -> PosteriorNetwork:
  """A Gaussian of independent latents.

  Args:
    kernel_init: a name of INITS.
  """
  head = layers.GaussianHead(kernel_init)
  return PosteriorNetwork(
    head.init,
    lambda params, features, mask: _gaussian(head, params, features, mask),
    densities.DiagonalGaussian,
  )


def full_covariance(kernel_init: str) -> PosteriorNetwork:
  """A Gaussian with a lower-triangular factor: its strict part is a head of its own."""
  head = layers.GaussianHead(kernel_init)

  def init(key: Array, features: Array, mask: Array) -> Any:
    # From zero: training begins at the diagonal Gaussian.
    below = jnp.zeros((features.size, mask.size, mask.size))
    return {'diagonal': head.init(key, features, mask), 'below': below}

  def make(params: Any, features: Array, mask: Array) -> densities.FullGaussian:
    diagonal = _gaussian(head, params['diagonal'], features, mask)
    below = jnp.tril(jnp.tensordot(features, params['below'], axes=1), k=-1)
    triangle = jnp.diag(diagonal.scale) + mask[:, None] * mask * below
    return densities.FullGaussian(diagonal.loc, triangle, mask)

  return PosteriorNetwork(init, make, densities.FullGaussian)


def flow_posterior(
  kernel_init: str, num_layers: NumLayers = 4, hidden: FlowWidths = (64,)
) -> PosteriorNetwork:
  """A Gaussian of independent latents, then a flow that sees the features of x.

  Args:
    kernel_init: a name of INITS, of the Gaussian.
    num_layers, hidden: of the flow, see `flows.CouplingFlow`.
  """
  head = layers.GaussianHead(kernel_init)
  flow = flows.CouplingFlow(num_layers, tuple(hidden))

  def init(key: Array, features: Array, mask: Array) -> Any:
    base_key, flow_key = jax.random.split(key)
    return {
      'base': head.init(base_key, features, mask),
      'flow': flow.init(flow_key, features, mask),
    }

  def make(params: Any, features: Array, mask: Array) -> densities.FlowPosterior:
    base = _gaussian(head, params['base'], features, mask)
    return densities.FlowPosterior(base, (params['flow'], features), flow.make)

  return PosteriorNetwork(init, make, densities.FlowPosterior)


class _Conditional(NamedTuple):
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
    return _gaussian(head, params['head'], features, mask)


def two_layer_posterior(
  kernel_init: str,
  activation: str,
  lower_size: Annotated[int, checks.whole(1, 1_000_000)] = 100,
  hidden: layers.Widths = (64,),
) -> PosteriorNetwork:
  """q(z_1 | x) from the features of x, then q(z_2 | z_1) from dense layers.

  Args:
    kernel_init, activation: names of INITS and ACTIVATIONS.
    lower_size: of z_1; the latent size of a lane is that of z_2.
    hidden: widths of the layers between the two.
  """
  head = layers.GaussianHead(kernel_init, unit_scale=True)
  conditional = _Conditional(hidden, activation, kernel_init)
  lower_mask = jnp.ones(lower_size)

  def init(key: Array, features: Array, mask: Array) -> Any:
    lower_key, upper_key = jax.random.split(key)
    return {
      'lower': head.init(lower_key, features, lower_mask),
      'upper': conditional.init(upper_key, lower_mask, mask[lower_size:]),
    }

  def upper(params: Any, z_1: Array, upper_mask: Array) -> densities.DiagonalGaussian:
    return conditional.make(params, z_1, lower_mask, upper_mask)

  def make(params: Any, features: Array, mask: Array) -> densities.TwoLayerPosterior:
    lower = _gaussian(head, params['lower'], features, lower_mask)
    return densities.TwoLayerPosterior(lower, params['upper'], mask[lower_size:], upper)

  return PosteriorNetwork(init, make, densities.TwoLayerPosterior, lower_size)


def standard_normal() -> PriorNetwork:
  """N(0, I): nothing to learn."""
  return PriorNetwork(
    lambda key, mask: (),
    lambda params, mask, posterior_of: densities.StandardNormal(mask),
    densities.StandardNormal,
  )


def mixture(num_components: NumComponents = 50) -> PriorNetwork:
  """K learned Gaussians, starting from N(0, I) draws as their means and from scale 1.

  Args:
    num_components: K.
  """

  def init(key: Array, mask: Array) -> Any:
    loc = jax.random.normal(key, (mask.size, num_components)).T  # latent axis first, see layers
    return {
      'loc': mask * loc,
      'log_scale': jnp.zeros((num_components, mask.size)),
      'log_weights': jnp.zeros(num_components),
    }

  def make(params: Any, mask: Array, posterior_of: Any) -> densities.Mixture:
    del posterior_of
    components = densities.DiagonalGaussian(
      mask * params['loc'],
      densities.scale_of(mask * params['log_scale']),
      jnp.broadcast_to(mask, (num_components, mask.size)),
    )
    return densities.Mixture(components, params['log_weights'])

  return PriorNetwork(init, make, densities.Mixture)


# What pseudo-inputs are, as the encoder sees x, by the support of the data: any real numbers,
# numbers above 0, otherwise numbers in (0, 1).
_INPUTS_OF = {'real': lambda raw: raw, 'count': jax.nn.softplus}


def vamp(event: Sequence[int], support: str, num_components: NumComponents = 50) -> PriorNetwork:
  """The posteriors of K learned pseudo-inputs, evenly weighted.

  Args:
    event: shape of x.
    support: of the data, see `vae_jax.data`.
    num_components: K.
  """
  inputs_of = _INPUTS_OF.get(support, jax.nn.sigmoid)

  def init(key: Array, mask: Array) -> Any:
    del mask
    return jax.random.normal(key, (num_components, *event))

  def make(params: Any, mask: Array, posterior_of: Callable) -> densities.Mixture:
    del mask
    components = jax.vmap(posterior_of)(inputs_of(params))
    return densities.Mixture(components, jnp.zeros(num_components))

  return PriorNetwork(init, make, densities.Mixture)


def flow_prior(num_layers: NumLayers = 4, hidden: FlowWidths = (64,)) -> PriorNetwork:
  """A standard normal sent through a flow of coupling layers.

  Args:
    num_layers, hidden: of the flow, see `flows.CouplingFlow`.
  """
  flow = flows.CouplingFlow(num_layers, tuple(hidden))
  no_features = jnp.zeros(0)

  def make(params: Any, mask: Array, posterior_of: Any) -> densities.FlowPrior:
    del posterior_of
    return densities.FlowPrior((params, no_features), mask, flow.make)

  return PriorNetwork(
    lambda key, mask: flow.init(key, no_features, mask), make, densities.FlowPrior
  )


def two_layer_prior(
  lower_size: int, kernel_init: str, activation: str, hidden: layers.Widths = (64,)
) -> PriorNetwork:
  """N(0, I) for z_2, and p(z_1 | z_2) from dense layers.

  Args:
    lower_size: of z_1, as the posterior has it.
    kernel_init, activation: names of INITS and ACTIVATIONS.
    hidden: widths of the layers between the two.
  """
  conditional = _Conditional(hidden, activation, kernel_init)
  lower_mask = jnp.ones(lower_size)

  def lower(params: Any, z_2: Array, upper_mask: Array) -> densities.DiagonalGaussian:
    return conditional.make(params, z_2, upper_mask, lower_mask)

  def make(params: Any, mask: Array, posterior_of: Any) -> densities.TwoLayerPrior:
    del posterior_of
    return densities.TwoLayerPrior(params, mask, lower_size, lower)

  return PriorNetwork(
    lambda key, mask: conditional.init(key, mask[lower_size:], lower_mask),
    make,
    densities.TwoLayerPrior,
    max(lower_size, 1),  # it has two layers; beside a posterior of one it is refused
  )
