"""Named data sets as arrays with a declared support, and batches as a function of (seed, step).

  images = data.load('mnist', ...)                      # once, on the host: Dataset
  indices = data.batch_indices(seed, step, S, N, n)     # on the host, between chunks: [S, N]
  x = data.to_batch(train[indices[s]], scale, ...)      # inside jit: what the model sees

Sources: `digits` (scikit-learn, offline), `npz` (the user's own file), and every TFDS data set that
is prepared as array_record, read without TensorFlow and decoded once into a verified cache.
"""

from vae_jax.data.batches import batch_indices, to_batch, to_values
from vae_jax.data.dataset import BINARIZE, DATASETS, Dataset, load

__all__ = ['BINARIZE', 'DATASETS', 'Dataset', 'batch_indices', 'load', 'to_batch', 'to_values']
