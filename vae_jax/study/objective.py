"""From a config to its learner: objective, gradient estimator, optimiser."""

from collections.abc import Mapping

from vae_jax import bounds, learner, networks, objectives, optimizers
from vae_jax.study.model import lower_size_of

RATES = {'analytic': bounds.analytic_kl, 'sampled': bounds.sampled_kl}
NOISES = {'independent': learner.draw_noise, 'antithetic': learner.draw_antithetic}


def learner_of(config: Mapping, num_examples: int, model: networks.Model) -> learner.Learner:
  """Returns the learner of a config whose training set has `num_examples`."""
  settings = config['bound']
  estimator = learner.Estimator(
    model=model,
    objective=_objective(config, num_examples),
    rate=RATES[settings['kl']],
    gradient=_gradient(settings),
  )
  schedule = optimizers.make_schedule(**config['schedule'])
  optimizer = optimizers.make_optimizer(**config['optimizer'], schedule=schedule)
  draw = NOISES[settings['noise']]
  return learner.make_learner(estimator, settings['num_samples'], optimizer, draw)


def _objective(config: Mapping, num_examples: int) -> objectives.Objective:
  settings = config['bound']
  per_latent = settings['free_bits_per'] == 'latent'
  makers = {
    'elbo': lambda: objectives.beta_elbo(per_latent, lower_size_of(config)),
    'iwae': lambda: objectives.importance_weighted(bounds.iwae_bound),
    'miwae': lambda: objectives.importance_weighted(
      lambda terms: bounds.miwae_bound(terms, settings['num_groups'])
    ),
    'ciwae': lambda: objectives.importance_weighted(
      lambda terms: bounds.ciwae_bound(terms, settings['elbo_weight'])
    ),
    'beta_tcvae': lambda: objectives.beta_tcvae(num_examples),
    'dip_vae_i': lambda: objectives.dip_vae('I', settings['diagonal_ratio']),
    'dip_vae_ii': lambda: objectives.dip_vae('II', settings['diagonal_ratio']),
  }
  return makers[settings['name']]()


def _gradient(settings: Mapping) -> bounds.Gradient:
  if settings['gradient'] == 'doubly_reparameterized':
    factors = bounds.path_weights(settings['num_groups'], settings['elbo_weight'])
    return bounds.doubly_reparameterized(factors)
  return getattr(bounds, settings['gradient'])
