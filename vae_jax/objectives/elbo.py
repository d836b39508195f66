"""The beta-ELBO, and what stands for its rate."""

from typing import Annotated

from jax import Array

from vae_jax import checks, weighting
from vae_jax.lanes import Lane
from vae_jax.objectives.objective import WARMED, Means, Objective, no_terms


def beta_elbo(
  free_bits_per: Annotated[str, checks.choice('latent', 'layer')] = 'latent', lower_size: int = 0
) -> Objective:
  """-D - beta(step) F, F the rate or what stands for it; see `weighting`.

  beta = 1 is the L-sample ELBO (Kingma & Welling 2014, eq. 7 with the closed form of the rate and
  eq. 6 with the sampled one, arxiv.org/abs/1312.6114), any other beta the objective of the beta-VAE
  (Higgins et al. 2017, eq. 4). Its mean over the noise is a lower bound of log p(x) for beta >= 1
  only.

  Args:
    free_bits_per: 'latent' or 'layer'.
    lower_size: of the lower of two layers of latents, 0 for one layer.
  """
  per_latent = free_bits_per == 'latent'

  def combine(means: Means, lane: Lane, step: Array) -> Array:
    rates = means['rates']
    groups = weighting.rate_groups(lane.mask, rates.size, per_latent, lower_size)
    rate = weighting.penalised_rate(rates, groups, lane, step)
    return -means['distortion'] - weighting.beta_at(lane, step) * rate

  return Objective(
    no_terms,
    combine,
    lane_fields=(*WARMED, 'free_bits', 'capacity', 'capacity_steps', 'target_rate'),
    weighs_rate=True,
    free_bits_by_latent=per_latent,
  )
