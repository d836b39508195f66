"""Batches as a pure function of (seed, step): a resumed run sees the batches it would have seen."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend import random

_BINARIZE = 0x62696E  # 'bin': a tag far from the small numbers that other code folds in


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, num_examples: int) -> np.ndarray:
  """Returns the order of one epoch, int32 [n].

  Sorting the raw words of a counter-based generator, whose stream NumPy guarantees for good, and
  not `Generator.permutation`, which it does not.
  """
  words = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(num_examples)
  return np.argsort(words, kind='stable').astype(np.int32)


def batch_indices(
  seed: int, first_step: int, num_steps: int, batch_size: int, num_examples: int
) -> np.ndarray:
  """Returns which examples the steps of a chunk train on.

  The stream is one random permutation of the examples after the other, one for each epoch, so each
  example is seen exactly once a pass: step s takes the positions

    s N, ..., s N + N - 1        epoch, offset = divmod(position, n)

  and a batch may straddle two epochs (or hold several, if it is larger than the data set). On the
  host, between chunks: a sort of 60,000 words takes NumPy 3 ms, and XLA on a CPU 25 ms.

  Args:
    seed: the data seed.
    first_step: the first step of the chunk, from 0.
    num_steps: S.
    batch_size: N.
    num_examples: n.

  Returns:
    indices [S, N], int32. Row s does not depend on the chunk in which it is computed.
  """
  size = num_steps * batch_size
  epoch, offset = divmod(first_step * batch_size, num_examples)  # Python's integers: no overflow
  num_epochs = -(-(offset + size) // num_examples)
  orders = [_permutation(seed, epoch + e, num_examples) for e in range(num_epochs)]
  return np.concatenate(orders)[offset : offset + size].reshape(num_steps, batch_size)


def to_values(images: Array, scale: float) -> Array:
  """Returns stored / scale as float32: the values, or with dynamic binarisation the intensities."""
  return jnp.asarray(images).astype(jnp.float32) / scale


def to_batch(
  images: Array, scale: float, dynamic: bool, seed: Array | int, step: Array | int
) -> Array:
  """Returns the values that the model sees, from the values as they lie on the device.

    x = stored / scale, or with dynamic binarisation x ~ Bernoulli(stored / scale)

  Args:
    images: stored examples [N, *event], uint8 or float32.
    scale: Dataset.scale, or fixed_scale for Dataset.test and train_fixed.
    dynamic: Dataset.dynamic, static; False for Dataset.test and train_fixed.
    seed: the data seed; int32, may be traced.
    step: int32, may be traced. The draw is a function of (seed, step) and nothing else.

  Returns:
    x [N, *event], float32.
  """
  x = to_values(images, scale)
  if not dynamic:
    return x
  # The generator is named so that a global JAX setting cannot change the batches, and the stream is
  # tagged so that a lane whose seed equals the data seed draws from other keys.
  data_key = jax.random.fold_in(jax.random.key(seed, impl='threefry2x32'), _BINARIZE)
  binarize_key = jax.random.fold_in(data_key, step)
  return draw_binary(binarize_key, x)


def draw_binary(key: Array, mean: Array) -> Array:
  """Returns x in {0, 1}, float32, with P(x = 1) = mean rounded to 16 bits; 0 and 1 are exact.

  Two values a word, and both words of a Threefry block: a quarter of what `jax.random.bernoulli`
  computes, which would be an eighth of a small network's step.

  Args:
    key: of threefry2x32.
    mean: in [0, 1], any shape.
  """
  num_words = -(-mean.size // 2)
  counters = jnp.arange(num_words, dtype=jnp.uint32)
  words = random.threefry_2x32(jax.random.key_data(key), counters)
  halves = jnp.concatenate([words & 0xFFFF, words >> 16])[: mean.size].reshape(mean.shape)
  return (halves < jnp.round(mean * 2**16).astype(jnp.uint32)).astype(jnp.float32)
