"""The laws of an encoder and of a decoder."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax.laws import broken as b

_NARROW, _WIDE = 2, 64  # latents of a decoder without padding, and with much of it
_DRAWS = 32
_MOST_APART = 2.0  # a ratio of spreads; with the fan-in of all 64 latents it is 5.7


class _AtBeta(NamedTuple):
  """A network that sees beta as one that does not: in the middle of the range."""

  net: Any

  def init(self, key: Array, *inputs: Array) -> Any:
    return self.net.init(key, *inputs, jnp.float32(0))

  def apply(self, params: Any, *inputs: Array) -> Any:
    return self.net.apply(params, *inputs, jnp.float32(0))


def _check_ends(what: str, net: Any, *inputs: Array) -> None:
  """Checks a network at the lowest and at the highest beta."""
  start = jax.jit(_AtBeta(net).init)(b.key(), *inputs)

  @jax.jit
  def values(params: Any, eta: Array) -> Any:
    squares = lambda params: jnp.sum(jnp.square(net.apply(params, *inputs, eta)))  # noqa: E731
    return net.apply(params, *inputs, eta), jax.grad(squares)(params)

  ends = jnp.float32(-math.sqrt(3)), jnp.float32(math.sqrt(3))  # a uniform number of variance 1
  with b.running(what, 'it is given another eta'):
    found = [values(params, eta) for params in (start, b.moved(start)) for eta in ends]
  b.check_finite(what, 'its outputs and gradients are finite at the ends of eta', found)
  if np.array_equal(found[2][0], found[3][0]):
    raise b.broken(what, 'it sees beta, so eta [] changes what it makes', 'no change', 'a change')


def check_encoder(
  encoder: Any,
  event: Sequence[int],
  support: str = 'unit',
  what: str = 'the encoder',
  sees_beta: bool = False,
) -> None:
  """Checks an encoder: x [*event] -> features [H], of one example.

  Args:
    encoder: a Flax module.
    event: shape of one example.
    support: of the values that it sees: 'binary', 'unit', 'real' or 'count'; 8-bit levels come
      divided by 255, and are 'unit'.
    what: how it is called in a message.
    sees_beta: whether it is given eta [], too: the laws hold over the whole range of beta then.

  Raises:
    LawError: features of another shape than [H], or gradients that are not finite.
  """
  if sees_beta:
    check_encoder(_AtBeta(encoder), event, support, what)
    return _check_ends(what, encoder, jnp.full(tuple(event), 0.5))
  x = jnp.asarray(b.VALUES[support](np.random.default_rng(1), tuple(event)), jnp.float32)
  with b.running(what, f'it encodes one example of shape {list(event)}'):
    params = jax.jit(encoder.init)(b.key(), x)
    features = b.shapes_of(encoder.apply, params, x)
  law = f'it maps one example x {list(event)}, without a batch axis, to features [H]'
  size = math.prod(getattr(features, 'shape', ()))
  b.check_shape(what, law, features, (size,))
  if not size:
    raise b.broken(what, law, 'no features', 'one at least')
  with b.running(what, 'its gradient is computed'):
    squares = lambda params: jnp.sum(jnp.square(encoder.apply(params, x)))  # noqa: E731
    value, gradient = jax.jit(jax.value_and_grad(squares))(params)
  b.check_finite(what, 'features and gradients are finite', (value, gradient))


def check_decoder(
  decoder: Any,
  event: Sequence[int],
  num_heads: int,
  what: str = 'the decoder',
  sees_beta: bool = False,
) -> None:
  """Checks a decoder: z [Z], mask [Z] -> outputs [num_heads, *event].

  A lane of few latents is padded to the largest: what its decoder makes, its gradients and the size
  of its initial weights are those of the decoder without padding.

  Args:
    decoder: a Flax module.
    event: shape of one example.
    num_heads: as the likelihood has it.
    what: how it is called in a message.
    sees_beta: as for an encoder.

  Raises:
    LawError: outputs of another shape, that depend on inert latents or begin smaller with them, or
      gradients that are not finite.
  """
  mask, z = jnp.asarray(b.MASK), b.normal(2, b.WIDTH)
  if sees_beta:
    check_decoder(_AtBeta(decoder), event, num_heads, what)
    return _check_ends(what, decoder, z, mask)
  with b.running(what, f'it decodes z [{b.WIDTH}] with a mask [{b.WIDTH}]'):
    start = jax.jit(decoder.init)(b.key(), z, mask)
    outputs = b.shapes_of(decoder.apply, start, z, mask)
  b.check_shape(
    what,
    f'it maps z [Z] and mask [Z] to [num_heads, *event] = {[num_heads, *event]}',
    outputs,
    (num_heads, *event),
  )
  params = b.moved(start)

  @jax.jit
  def values(params: Any, z: Array) -> Any:
    squares = lambda params: jnp.sum(jnp.square(decoder.apply(params, z, mask)))  # noqa: E731
    return decoder.apply(params, z, mask), jax.grad(squares)(params)

  with b.running(what, 'its gradient is computed'):
    found = values(params, z)
    moved = values(params, z + 3 * (1 - mask))
    active = values(params, z + mask)
  b.check_finite(what, 'outputs and gradients are finite', (found, values(start, z)))
  law = 'latents of mask 0 change neither the outputs nor the gradients (multiply z by the mask)'
  b.check_same(what, law, found, moved)
  if np.array_equal(found[0], active[0]):
    raise b.broken(what, 'latents of mask 1 change the outputs', 'no change', 'a change')
  _check_start(decoder, what)


def _check_start(decoder: Any, what: str) -> None:
  """Checks that inert latents do not make the initial weights of the active ones smaller."""

  def spread(width: int) -> float:
    def change(key: Array) -> Array:
      mask = (jnp.arange(width) < _NARROW).astype(jnp.float32)
      params = decoder.init(key, mask, mask)
      ends = [decoder.apply(params, z, mask) for z in (mask, jnp.zeros(width))]
      return jnp.mean(jnp.square(ends[0] - ends[1]))

    changes = jax.jit(lambda key: jax.vmap(change)(jax.random.split(key, _DRAWS)))
    return math.sqrt(np.mean(changes(b.key())))

  with b.running(what, 'it is initialised'):
    narrow, wide = spread(_NARROW), spread(_WIDE)
  if not 1 / _MOST_APART <= (wide + 1e-12) / (narrow + 1e-12) <= _MOST_APART:
    raise b.broken(
      what,
      'padding does not change the size of its initial weights (begin the first kernel with '
      'networks.initializer(scheme, rows=mask))',
      f'{wide:.3g} with {_WIDE - _NARROW} inert latents',
      f'about {narrow:.3g}',
    )
