"""The objective of one network for every beta: the MR-VAE."""

from typing import Annotated

from jax import Array

from vae_jax import checks, errors
from vae_jax.lanes import Lane
from vae_jax.objectives.objective import Means, Objective, no_terms

Beta = Annotated[float, checks.real(1e-6, 1e6)]


def multi_rate(lowest: Beta = 0.01, highest: Beta = 10.0) -> Objective:
  """The beta-ELBO of networks that see beta, over all betas at once (Bae et al. 2023, MR-VAE).

    E_beta [-D(beta) - beta R(beta)],   log beta ~ U(log lowest, log highest)

  arxiv.org/abs/2212.03905, section 4. Each example of a training step has a beta of its own, drawn
  from the noise of the lane; encoder and decoder see it, see `networks.gates`. The beta of the lane
  is the one at which it is evaluated, and the others are in curve.csv. What is logged of training
  batches are means over the betas.

  Args:
    lowest, highest: of beta, in nats per nat.

  Raises:
    InputError: there is nothing between them.
  """
  if not lowest < highest:
    raise errors.InputError(
      f'bound.lowest={lowest:g} is not below bound.highest={highest:g}; set bound.lowest below it'
    )

  def combine(means: Means, lane: Lane, step: Array) -> Array:
    del lane, step
    return -means['distortion'] - means['weighed_rate']

  return Objective(no_terms, combine, lane_fields=('beta',), beta_range=(lowest, highest))
