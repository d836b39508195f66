"""How far single latents stand for single factors of variation: scores of codes against factors.

  codes [n, Z]    one code per example, for instance posterior means; without the padding of a lane
  factors [n, F]  the index of each factor's value

All scores are higher-is-better. A factor with one value only cannot be found or missed: it is left
out. Examples should cover the factors evenly and independently of each other, as a factorial grid
or a random sample of one does; of a slice of an ordered grid the scores are worthless.

`udr` needs no factors, but the codes of several seeds.
"""

import numpy as np

from vae_jax.disentanglement.gaps import mig, sap
from vae_jax.disentanglement.importance import Dci, dci
from vae_jax.disentanglement.inputs import is_finite
from vae_jax.disentanglement.interventions import beta_vae_score, factor_vae_score
from vae_jax.disentanglement.udr import INFORMATIVE_RATE, MOST_OTHERS, lasso, spearman, udr

__all__ = [
  'INFORMATIVE_RATE',
  'MOST_OTHERS',
  'NAMES',
  'Dci',
  'beta_vae_score',
  'dci',
  'factor_vae_score',
  'lasso',
  'mig',
  'sap',
  'scores',
  'spearman',
  'udr',
]

NAMES = (
  'mig',
  'dci_disentanglement',
  'dci_completeness',
  'dci_informativeness',
  'sap',
  'beta_vae_score',
  'factor_vae_score',
)


def scores(codes: np.ndarray, factors: np.ndarray, seed: int) -> dict[str, float]:
  """Returns all scores by the names of NAMES.

  Codes that are NaN or infinite score NaN, so that a lane that diverged does not stop the others.

  Args:
    codes: [n, Z], real.
    factors: [n, F], integer.
    seed: of the pairs, votes, trees and of the held-out examples; at least 0.

  Raises:
    InputError: the shapes do not fit, or no factor has two values.
  """
  if not is_finite(codes):
    return dict.fromkeys(NAMES, float('nan'))
  parts = dci(codes, factors, seed)
  values = (
    mig(codes, factors),
    parts.disentanglement,
    parts.completeness,
    parts.informativeness,
    sap(codes, factors),
    beta_vae_score(codes, factors, seed),
    factor_vae_score(codes, factors, seed),
  )
  return dict(zip(NAMES, values, strict=True))
