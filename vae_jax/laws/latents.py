"""The laws of a posterior and of a prior."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import densities, networks
from vae_jax.laws import broken as b

_FEATURES = 8


def check_posterior(posterior: Any, what: str = 'the posterior') -> None:
  """Checks a `networks.PosteriorNetwork` on features [8] and a mask with inert latents.

  Raises:
    LawError: it is none, its density is not as its class declares it, log q of `sample` is not that
      of `log_prob`, inert latents are not 0 or change something, or gradients are not finite.
  """
  _check_network(posterior, networks.PosteriorNetwork, ('by_latent', 'factorises'), what)
  mask = _mask(posterior.lower_size)
  features, noise = b.normal(3, _FEATURES), b.normal(4, mask.size)
  with b.running(what, f'it is made of features [{_FEATURES}] and a mask [{mask.size}]'):
    start = jax.jit(posterior.init)(b.key(), features, mask)
    made = b.shapes_of(posterior.make, start, features, mask)
  _check_made(posterior, made, what)
  params = b.randomized(start)

  @jax.jit
  def values(params: Any, noise: Array) -> Any:
    q = posterior.make(params, features, mask)
    z, log_q = q.sample(noise)
    return {'loc': q.loc, 'z': z, 'log_q': log_q, 'log_prob': q.log_prob(z)}

  @jax.jit
  def gradient(params: Any, noise: Array) -> Any:
    total = lambda params: sum(map(jnp.sum, values(params, noise).values()))  # noqa: E731
    return jax.grad(total)(params)

  with b.running(what, f'it samples from noise [{mask.size}]'):
    found = values(params, noise)
  parts = mask.size if posterior.density.by_latent else 1
  for name, size in (('loc', mask.size), ('z', mask.size), ('log_q', parts), ('log_prob', parts)):
    law = f'{name} is [{"Z" if size == mask.size else "1"}]'
    b.check_shape(what, law, found[name], (size,))
  law = 'log q of `sample` is that of `log_prob`'
  b.check_same(what, law, found['log_prob'], found['log_q'])
  _check_inert(what, found, mask, ('loc', 'z'), ('log_q', 'log_prob'), parts)
  moved = noise + 3 * (1 - mask)
  with b.running(what, 'its gradient is computed'):
    gradients = gradient(params, noise), gradient(params, moved)
  b.check_finite(what, 'samples, log q and gradients are finite', (found, gradients[0]))
  law = 'the noise of latents of mask 0 changes nothing'
  b.check_same(what, law, (found, gradients[0]), (values(params, moved), gradients[1]))


def check_prior(prior: Any, event: Sequence[int], what: str = 'the prior') -> None:
  """Checks a `networks.PriorNetwork`, with a diagonal posterior for who mixes posteriors.

  Args:
    prior: to check.
    event: shape of one example.
    what: how it is called in a message.

  Raises:
    LawError: see `check_posterior`.
  """
  _check_network(prior, networks.PriorNetwork, ('by_latent', 'factorises', 'closed_form'), what)
  mask = _mask(prior.lower_size)
  noise, uniform = b.normal(5, mask.size), jnp.float32(0.4)
  weights = b.normal(6, mask.size, int(np.prod(event)))

  def posterior_of(x: Array) -> densities.DiagonalGaussian:
    loc = mask * jnp.tanh(weights @ jnp.ravel(x))
    return densities.DiagonalGaussian(loc, jnp.exp(0.1 * loc), mask)

  def make(params: Any) -> Any:
    return prior.make(params, mask, posterior_of)

  with b.running(what, f'it is made of a mask [{mask.size}]'):
    start = jax.jit(prior.init)(b.key(), mask)
    made = b.shapes_of(make, start)
  _check_made(prior, made, what)
  params = b.randomized(start)

  @jax.jit
  def values(params: Any, noise: Array) -> Any:
    p = make(params)
    z = p.sample(noise, uniform)
    return {'z': z, 'log_prob': p.log_prob(z)}

  @jax.jit
  def gradient(params: Any, z: Array) -> Any:
    return jax.grad(lambda params: jnp.sum(make(params).log_prob(z)))(params)

  with b.running(what, f'it samples from noise [{mask.size}]'):
    found = values(params, noise)
  parts = mask.size if prior.density.by_latent else 1
  for name, size in (('z', mask.size), ('log_prob', parts)):
    law = f'{name} is [{"Z" if size == mask.size else "1"}]'
    b.check_shape(what, law, found[name], (size,))
  _check_inert(what, found, mask, ('z',), ('log_prob',), parts)
  with b.running(what, 'its gradient is computed'):
    slope = gradient(params, found['z'])
  b.check_finite(what, 'samples, log p and gradients are finite', (found, slope))
  law = 'the noise of latents of mask 0 changes nothing'
  b.check_same(what, law, found, values(params, noise + 3 * (1 - mask)))


def _mask(lower_size: int) -> Array:
  """Returns a mask of two active latents of four, above those of a lower layer."""
  return jnp.concatenate([jnp.ones(lower_size), jnp.asarray(b.MASK)])


def _check_network(network: Any, kind: type, names: Sequence[str], what: str) -> None:
  if not isinstance(network, kind):
    raise b.broken(what, f'it is a networks.{kind.__name__}', type(network).__name__, kind.__name__)
  for name in names:
    if not hasattr(network.density, name):
      density = network.density.__name__
      raise b.broken(
        what, f'its density declares {name}', f'none at {density}', f'{density}.{name}'
      )


def _check_made(network: Any, made: Any, what: str) -> None:
  if not isinstance(made, network.density):
    wanted = network.density.__name__
    raise b.broken(what, 'it makes what `density` names', type(made).__name__, wanted)


def _check_inert(
  what: str, found: Any, mask: Array, values: Sequence[str], logs: Sequence[str], parts: int
) -> None:
  """Checks that inert latents are 0, and absent from what comes by latent."""
  for name in (*values, *(logs if parts == mask.size else ())):
    inert = np.asarray(found[name])[np.asarray(mask) == 0]
    if np.any(inert) and np.all(np.isfinite(inert)):
      law = f'{name} is 0 where the mask is (multiply it by the mask)'
      raise b.broken(what, law, f'{inert[np.flatnonzero(inert)[0]]:g}', '0')
