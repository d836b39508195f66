"""The laws of a likelihood."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from vae_jax import densities
from vae_jax.laws import broken as b

# Means inside of each support.
_MEANS = {'binary': (0.2, 0.7), 'unit': (0.2, 0.7), 'uint8': (60.0, 180.0), 'count': (0.5, 6.0)}
_REAL_MEANS = (-0.7, 1.3)


def check_likelihood(likelihood: Any, event: Sequence[int], what: str = 'the likelihood') -> None:
  """Checks a `densities.Likelihood` on outputs [num_heads, D] and x [D] of each of its supports.

  Args:
    likelihood: to check.
    event: shape of one example; its pixels come in a row.
    what: how it is called in a message.

  Raises:
    LawError: log_prob is not [], mean or samples are not [D], gradients are not finite,
      `output_of_mean` does not give the mean, or `at_scale` another likelihood.
  """
  if not isinstance(likelihood, densities.Likelihood):
    law = 'it is a densities.Likelihood'
    raise b.broken(what, law, type(likelihood).__name__, 'Likelihood')
  unknown = [support for support in likelihood.supports if support not in b.VALUES]
  if unknown or not likelihood.supports:
    raise b.broken(what, 'its supports are known', likelihood.supports, ', '.join(b.VALUES))
  size = math.prod(event)
  outputs = b.normal(7, likelihood.num_heads, size)
  shared = (jnp.zeros(()),) * likelihood.num_shared

  def make(outputs: Array) -> Any:
    return likelihood.make((*outputs, *shared) if shared else outputs)

  @jax.jit
  def values(outputs: Array, x: Array) -> Any:
    def log_prob(outputs: Array) -> Array:
      return make(outputs).log_prob(x)

    found = make(outputs)
    return {
      'log_prob': log_prob(outputs),
      'mean': found.mean(),
      'sample': jnp.asarray(densities.drawn(found, b.key()), jnp.float32),
      'gradient': jax.grad(lambda outputs: jnp.sum(log_prob(outputs)))(outputs),
    }

  _check_heads(likelihood, make, outputs, jnp.zeros(size), what)
  rng = np.random.default_rng(8)
  for support in likelihood.supports:
    x = jnp.asarray(b.VALUES[support](rng, (size,)), jnp.float32)
    with b.running(what, f'it is made of outputs {list(outputs.shape)} and asked for x [{size}]'):
      found = values(outputs, x)
    law = 'log_prob of one example is [] (densities.per_example makes all pixels one event)'
    b.check_shape(what, law, found['log_prob'], ())
    for name in ('mean', 'sample'):
      b.check_shape(what, f'its {name} is as x, [D]', found[name], (size,))
    law = f'log_prob, mean and gradients are finite on {support} values'
    b.check_finite(what, law, found)
    if likelihood.output_of_mean is not None:
      _check_mean(likelihood, make, support, size, what)
  if likelihood.at_scale is not None:
    with b.running(what, 'it begins at another scale'):
      other = likelihood.at_scale(2 * max(likelihood.min_scale, 0.5))
    if not isinstance(other, densities.Likelihood) or other.num_heads != likelihood.num_heads:
      law = 'at_scale(s) is the same likelihood with another start'
      raise b.broken(what, law, type(other).__name__, f'{likelihood.num_heads} heads')


def _check_heads(
  likelihood: densities.Likelihood,
  make: Callable[[Sequence[Array]], Any],
  outputs: Array,
  x: Array,
  what: str,
) -> None:
  """Refuses a likelihood that reads more outputs than it has.

  JAX takes the last one of an array for any that lies beyond. A tuple has none; what asks for more
  than its items, such as a shape, is no matter here.
  """
  try:
    jax.eval_shape(lambda outputs, x: make(outputs).log_prob(x), (*outputs,), x)
  except IndexError as error:
    law = f'it reads num_heads = {likelihood.num_heads} outputs'
    raise b.broken(what, law, 'one beyond them', 'outputs[i] of i < num_heads') from error
  except Exception:  # what a part raises of an array, too, is said with its line by the laws below
    pass


def _check_mean(
  likelihood: densities.Likelihood,
  make: Callable[[Array], Any],
  support: str,
  size: int,
  what: str,
) -> None:
  """Checks that the first output sets the mean, the others at 0."""
  mean = jnp.asarray(np.resize(_MEANS.get(support, _REAL_MEANS), size), jnp.float32)

  def mean_again(mean: Array) -> Array:
    first = likelihood.output_of_mean(mean)
    return make(jnp.zeros((likelihood.num_heads, size)).at[0].set(first)).mean()

  with b.running(what, 'output_of_mean is asked for the output of a mean'):
    again = jax.jit(mean_again)(mean)
  law = f'at output_of_mean(m), the other outputs at 0, the mean is m, of {support} values'
  b.check_same(what, law, mean, again, relative=0.01)
