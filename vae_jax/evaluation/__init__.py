"""What a trained lane is worth: bounds over a data set, evidence, its latents, pictures.

Everything here is of one lane, pure, and streams over the data in batches; the caller vmaps over
lanes and jits. Matrix products run at the highest precision, which a GPU and a TPU else lower.
"""

from vae_jax.evaluation.aggregate import aggregate
from vae_jax.evaluation.averages import (
  ACTIVE_VARIANCE,
  Evaluation,
  evaluate,
  is_active,
  refitted,
  refitted_to,
)
from vae_jax.evaluation.batches import Batches, cut, fitting_size, highest_precision
from vae_jax.evaluation.constant import best_scale, constant_distortion
from vae_jax.evaluation.evidence import (
  Evidence,
  Nll,
  curve_samples,
  evidence,
  make_weights_of,
  nll_of,
)
from vae_jax.evaluation.mixtures import Mixture, drawn_codes
from vae_jax.evaluation.mixtures import fit as fit_mixture
from vae_jax.evaluation.pictures import (
  between,
  centres,
  decode,
  draw,
  most_used,
  sample_prior,
  traverse,
  walk,
)

__all__ = [
  'ACTIVE_VARIANCE',
  'Batches',
  'Evaluation',
  'Evidence',
  'Mixture',
  'Nll',
  'aggregate',
  'best_scale',
  'between',
  'centres',
  'constant_distortion',
  'curve_samples',
  'cut',
  'decode',
  'draw',
  'drawn_codes',
  'evaluate',
  'evidence',
  'fit_mixture',
  'fitting_size',
  'highest_precision',
  'is_active',
  'make_weights_of',
  'most_used',
  'nll_of',
  'refitted',
  'refitted_to',
  'sample_prior',
  'traverse',
  'walk',
]
