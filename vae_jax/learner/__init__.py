"""One lane's training as pure functions: init, step, evaluate; the caller vmaps over lanes."""

from vae_jax.learner.estimates import Estimator, batch_averages, batch_terms, metrics_of
from vae_jax.learner.randomness import (
  Keys,
  draw_antithetic,
  draw_noise,
  drawn_betas,
  lane_betas,
  lane_keys,
)
from vae_jax.learner.steps import KEPT_FIELDS, NOT_DIVERGED, Learner, State, make_learner

__all__ = [
  'KEPT_FIELDS',
  'NOT_DIVERGED',
  'Estimator',
  'Keys',
  'Learner',
  'State',
  'batch_averages',
  'batch_terms',
  'draw_antithetic',
  'draw_noise',
  'drawn_betas',
  'lane_betas',
  'lane_keys',
  'make_learner',
  'metrics_of',
]
