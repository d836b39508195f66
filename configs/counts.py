"""Counts: scikit-learn's digits as the number of 4 x 4 pixels that were ink, 0 to 16.

  vae-jax train --config=counts --workdir=runs/counts

Cost: 53 s on two busy CPU cores, 12 lanes. The best have beta 1 and 8 latents: NLL 102.9 +- 0.7
nats on the validation set (500 importance samples, 359 images, two seeds). Under a Poisson
(--config.likelihood.name=poisson) the best lane has 102.2, and with its other seed 109.8: it pays
more for a count where training had none.
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'counts'
  config.lanes.update(beta=(0.5, 1.0, 2.0), latent_size=(2, 8), seed=(0, 1), learning_rate=(2e-3,))
  config.data.update(
    name='digit_counts',
    kind='count',
    train_split='train[:75%]',
    validation_split='train[75%:]',
    scale_to_unit=False,
  )
  # Less or more than a Poisson: another key is likelihood.dispersion.
  config.likelihood = dict(name='negative_binomial')
  config.encoder.update(hidden=(128,))
  config.decoder.update(hidden=(128,), output_bias='train_mean')
  config.train.update(steps=2000, evaluate_every=500, checkpoint_every=500)
  config.evaluation.update(
    validation_images=359, test_images=359, batch_size=400, nll_samples=500, nll_images=359
  )
  return config
