"""What a part has to obey, checked by its shapes and by a few numbers; nothing is trained.

`study.from_config` holds parts from outside to these laws before anything is created, and
`vae_jax.testing` offers them to the tests of those who write them. A broken law is one line: the
part, the law, what is seen and what is wanted.
"""

from vae_jax.laws.broken import LawError, running
from vae_jax.laws.latents import check_posterior, check_prior
from vae_jax.laws.likelihood import check_likelihood
from vae_jax.laws.networks import check_decoder, check_encoder
from vae_jax.laws.objective import check_objective, settling
from vae_jax.laws.optimizer import check_optimizer, check_schedule

__all__ = [
  'LawError',
  'check_decoder',
  'check_encoder',
  'check_likelihood',
  'check_objective',
  'check_optimizer',
  'check_posterior',
  'check_prior',
  'check_schedule',
  'running',
  'settling',
]
