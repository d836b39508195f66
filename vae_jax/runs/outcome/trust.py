"""Whether an NLL has enough importance samples, and how many to try if not."""

import logging
import math
from collections.abc import Sequence

import numpy as np

from vae_jax import evaluation

_MAX_LONELY = 0.1  # of the images may hang on one importance sample before a warning
_NAMED = 3  # lanes that a warning of many names
_MOST = 10**6  # samples that anybody would draw


def warn_of_few_samples(
  names: Sequence[str], found: evaluation.Nll, num_samples: int, split: str
) -> None:
  """Warns, in one line, of the lanes of whose images more than a tenth hang on one sample.

  Args:
    names: of the lanes, [G].
    found: their NLL.
    num_samples: K.
    split: whose images these are.
  """
  few = np.flatnonzero((found.lonely > _MAX_LONELY) & np.isfinite(found.mean))  # none that diverged
  if not len(few):
    return
  more = f' and {len(few) - _NAMED} more' if len(few) > _NAMED else ''
  gap = float(np.max(found.curve[few, -1] - found.curve[few, 0]))
  logging.warning(
    '%s: with %d samples one sample carries the NLL of up to %.0f %% of the %s examples (effective '
    'sample size below 2): it is an upper bound, %.1f nats below minus the ELBO; %s',
    ', '.join(names[i] for i in few[:_NAMED]) + more,
    num_samples,
    100 * found.lonely[few].max(),
    split,
    gap,
    _advice(samples_to_try(gap, num_samples)),
  )


def _advice(samples: int) -> str:
  if samples > _MOST:
    return 'no number of samples that could be drawn is enough'
  return f'try evaluation.nll_samples={samples}'


def samples_to_try(gap: float, num_samples: int) -> int:
  """Returns the next of 1, 2, 5, 10, 20 ... from which on the weights carry a mean.

    K = max(4 exp(gap), twice what it was)      gap = L_K - ELBO, in nats

  It takes about exp(KL(p(z | x) || q(z | x))) samples (Chatterjee & Diaconis 2018, theorem 1.1,
  arxiv.org/abs/1511.01437), and the gap is, at its end, the KL the other way round. The 4 is of log
  weights that are normal, of which both KLs are half the variance: from there on fewer than a tenth
  of the images have an effective sample size below 2.
  """
  wanted = max(2 * num_samples, 4 * math.exp(min(gap, 100.0)))
  power = 10 ** math.floor(math.log10(wanted))
  return next(digit * power for digit in (1, 2, 5, 10) if digit * power >= wanted)
