"""Named data sets as arrays with a declared support, and batches as a function of (seed, step).

  images = data.load('mnist', ...)                      # once, on the host: Dataset
  feed = data.resident(train, schedule, sharding)       # or data.streamed
  rows, indices = feed.read(step, stop)                 # between chunks: m examples, [S, N]
  x = data.to_batch(rows.images[indices[s]], scale, ...) # inside jit: what the model sees
  rows = data.subset(len(test), count, seed)            # which examples stand for a split

Sources: `digits` and `patches` (scikit-learn, offline), `shapes` (drawn on the fly), the user's own
`npz`, `npy` and `folder` of pictures, 'package.module:load' (a function of theirs, see `own`), and
every TFDS data set that is prepared as array_record, read without TensorFlow and decoded once into
a verified cache.

Where the factors of variation are known, `Dataset.factors` holds them: for `shapes`, and for the
TFDS data sets that have several features `label_*` (dsprites, shapes3d, smallnorb). The order of
the examples is random in all of them, that of a hash in TFDS, so a slice such as train[:80%] is a
random split of the grid. All of dsprites is one split of 737,280 binary images [64, 64, 1]: 3.0 GB
of memory and of cache, whatever the slice.
"""

from vae_jax.data import blocks
from vae_jax.data.batches import batch_indices, draw_binary, to_batch, to_values
from vae_jax.data.beside import NOTHING, ROW_SUM, Beside, Condition, sizes, told_apart
from vae_jax.data.dataset import Dataset, seen
from vae_jax.data.description import (
  GREY,
  Split,
  are_bytes,
  describe,
  greyness,
  is_colour,
  line,
  moments,
  oddities,
)
from vae_jax.data.feeding import Feed, Rows, Schedule, resident, streamed
from vae_jax.data.kinds import KINDS, extremes
from vae_jax.data.moved import moved_to
from vae_jax.data.preparing import BINARIZE, Fitted, columns_asked, load, prepare
from vae_jax.data.sources import Examples, Source
from vae_jax.data.splits import AbsentError
from vae_jax.data.standard import STANDARDIZE, Standard
from vae_jax.data.stored import Factors, Stored, open_source, read
from vae_jax.data.subsets import subset

__all__ = [
  'BINARIZE',
  'GREY',
  'KINDS',
  'NOTHING',
  'ROW_SUM',
  'STANDARDIZE',
  'AbsentError',
  'Beside',
  'Condition',
  'Dataset',
  'Examples',
  'Factors',
  'Feed',
  'Fitted',
  'Rows',
  'Schedule',
  'Source',
  'Split',
  'Standard',
  'Stored',
  'are_bytes',
  'batch_indices',
  'blocks',
  'columns_asked',
  'describe',
  'draw_binary',
  'extremes',
  'greyness',
  'is_colour',
  'line',
  'load',
  'moments',
  'moved_to',
  'oddities',
  'open_source',
  'prepare',
  'read',
  'resident',
  'seen',
  'sizes',
  'streamed',
  'subset',
  'to_batch',
  'to_values',
  'told_apart',
]
