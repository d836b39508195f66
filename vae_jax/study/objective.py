"""From a config to its learner: objective, gradient estimator, optimiser."""

import logging
from collections.abc import Mapping

from vae_jax import bounds, errors, learner, networks, objectives, optimizers
from vae_jax.study.model import lower_size_of

RATES = {'analytic': bounds.analytic_kl, 'sampled': bounds.sampled_kl}
NOISES = {'independent': learner.draw_noise, 'antithetic': learner.draw_antithetic}


def learner_of(config: Mapping, num_examples: int, model: networks.Model) -> learner.Learner:
  """Returns the learner of a config whose training set has `num_examples`.

  A gradient that is biased for its bound is warned of, not refused: runs have been trained by it.
  """
  settings = config['bound']
  if settings['gradient'] == 'sticking_the_landing' and _has_weights(settings):
    logging.warning(
      "bound.gradient='sticking_the_landing' is biased for bound.name=%r with %d samples: the "
      "score that it drops has a mean there; bound.gradient='doubly_reparameterized' is unbiased",
      settings['name'],
      settings['num_samples'],
    )
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


def check_batch(config: Mapping, num_examples: int) -> None:
  """Raises InputError where a batch is no sample of the training set that its bound can read."""
  objective, size = _objective(config, num_examples), config['train']['batch_size']
  name, low, high = config['bound']['name'], objective.smallest_batch, objective.largest_batch
  if high is not None and high < low:
    raise errors.InputError(
      f'bound.name={name!r} compares examples, and data.train_split has {num_examples}; '
      f'it needs {low}'
    )
  nearest = max(low, size if high is None else min(size, high))
  if size != nearest:
    limit = f'at least {low}' if size < low else f'at most the {high} training images'
    raise errors.InputError(
      f'train.batch_size={size}: bound.name={name!r} compares the examples of a batch, {limit}; '
      f'the nearest valid value is {nearest}'
    )


def _has_weights(settings: Mapping) -> bool:
  """Returns whether a bound weighs samples against each other, and so is not the ELBO."""
  weighted = settings['name'] in ('iwae', 'miwae', 'ciwae')
  several = settings['num_samples'] > settings['num_groups']
  return weighted and several and settings['elbo_weight'] < 1


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
