"""The laws of an optimiser and of a schedule."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax.laws import broken as b

_STEPS = 3
_RATE = 0.1


def check_optimizer(
  make: Callable[[Callable[[Array], Array]], Any],
  padded: bool = True,
  what: str = 'the optimiser',
) -> None:
  """Checks an optimiser: count -> rate [] -> optax.GradientTransformation.

  Args:
    make: the factory, such as `lambda rate: optax.lion(rate)`.
    padded: whether lanes of several latent sizes are trained side by side.
    what: how it is called in a message.

  Raises:
    LawError: at a rate of 0 something moves, inert weights (0, with a gradient of 0) move, padding
      changes how the others move, or it goes uphill.
  """
  rows = b.normal(12, 2, 3)
  gradients = b.normal(13, _STEPS, 2, 3)

  def padding(values: Array) -> Array:
    """Returns [..., 4, 3] with two rows of zeros behind."""
    return jnp.concatenate([values, jnp.zeros_like(values)], axis=-2)

  @jax.jit
  def moved(rate: Array, start: Array, gradients: Array) -> Array:
    optimizer = make(lambda count: rate)  # traced, one per lane
    params = {'kernel': start, 'bias': jnp.ones(3)}
    state = optimizer.init(params)
    for gradient in gradients:
      grads = {'kernel': gradient, 'bias': jnp.ones(3)}
      updates, state = optimizer.update(grads, state, params)
      params = jax.tree.map(jnp.add, params, updates)
    return params['kernel']

  rate = jnp.float32(_RATE)
  with b.running(what, 'it updates parameters at a traced rate'):
    found = moved(rate, rows, gradients)
    still = moved(0 * rate, rows, gradients)
    wide = moved(rate, padding(rows), padding(gradients))
  b.check_shape(what, 'updates have the shapes of the parameters', found, rows.shape)
  b.check_finite(what, 'updates are finite', found)
  b.check_same(
    what, 'at a learning rate of 0 nothing moves (it asks for learning_rate)', rows, still
  )
  if not float(jnp.sum((found - rows) * gradients.sum(0))) < 0:
    raise b.broken(what, 'it goes against the gradient', 'a step uphill', 'one downhill')
  inert = wide[2:]
  if np.any(inert):
    law = 'an inert weight, 0 with a gradient of 0, does not move'
    raise b.broken(what, law, f'{float(jnp.abs(inert).max()):g}', '0')
  if padded:
    law = 'inert weights do not change how the others move (set lanes.latent_size to one size)'
    b.check_same(what, law, found, wide[:2])


def check_schedule(schedule: Any, what: str = 'the schedule') -> None:
  """Checks a schedule: step [] -> fraction of the peak learning rate [], in [0, 1].

  Raises:
    LawError: another shape, or a fraction outside of [0, 1] at a step up to the last of an int32.
  """
  law = 'it maps a step [] to a fraction [] of the peak learning rate'
  if not callable(schedule):
    raise b.broken(what, law, type(schedule).__name__, 'a function')
  steps = np.array([0, 1, 2, 10, 99, 1000, 12_345, 10**6, 2**31 - 2], np.int32)
  with b.running(what, 'it is asked for the rate of a traced step'):
    shape = b.shapes_of(lambda step: jnp.asarray(schedule(step)) * 1.0, jnp.int32(0))
    b.check_shape(what, law, shape, ())
    values = np.asarray(jax.jit(jax.vmap(lambda step: jnp.asarray(schedule(step)) * 1.0))(steps))
  for step, value in zip(steps, values, strict=True):
    if not -1e-6 <= value <= 1 + 1e-6:
      raise b.broken(what, f'its fraction at step {step} is in [0, 1]', f'{value:g}', '0 to 1')
