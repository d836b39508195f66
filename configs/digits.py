"""Beta x latent size on scikit-learn's 8x8 digits: 5 betas x 4 latent sizes x 2 seeds = 40 lanes.

  vae-jax train --config=digits --workdir=runs/digits

The data set is inside scikit-learn: no download. Cost: 57 s on two CPU cores. The best lanes have
beta 1 and 8 or 16 latents: NLL 22.8 +- 0.2 nats on the validation set, by which they are chosen,
and 22.8 +- 0.2 on the test set (500 importance samples, 359 images each).
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'digits'
  config.lanes.update(
    beta=(0.25, 0.5, 1.0, 2.0, 4.0),
    latent_size=(2, 4, 8, 16),
    seed=(0, 1),
    learning_rate=(2e-3,),
  )
  config.data.update(
    name='digits',
    train_split='train[:75%]',  # 1,078 of 1,438
    validation_split='train[75%:]',
    binarize='dynamic',  # drawn anew at each step; the other splits are drawn once
  )
  config.encoder.update(hidden=(128,))
  config.decoder.update(hidden=(128,))
  config.train.update(steps=3000, evaluate_every=500, checkpoint_every=500)
  config.evaluation.update(
    validation_images=359,  # of 360: as many as for testing, so that one program does both
    test_images=359,
    batch_size=400,
    nll_samples=500,
    nll_images=359,
    aggregate_images=359,
  )
  return config
