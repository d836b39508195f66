"""Which examples of a split stand for it: a random sample, the same at every evaluation."""

import numpy as np

_SUBSET = 0x737562736574  # 'subset': far from the small numbers of the epochs of `batch_indices`


def subset(num_examples: int, count: int, seed: int) -> np.ndarray:
  """Returns the indices of a random sample without replacement, int64 [m].

  The first `count` examples of a file are no sample of it: files are often sorted, by class or by
  time. Of one seed a smaller sample is the beginning of a larger one, so that figures of more
  images include those of fewer. Where all are taken they come in their stored order.

  As for the batches, raw words of a counter-based generator, whose stream NumPy guarantees.

  Args:
    num_examples: n.
    count: how many are wanted; 0, or more than n, for all of them.
    seed: the data seed.
  """
  if not 0 < count < num_examples:
    return np.arange(num_examples)
  key = np.array([seed, _SUBSET], np.uint64)
  return np.argsort(np.random.Philox(key=key).random_raw(num_examples), kind='stable')[:count]
