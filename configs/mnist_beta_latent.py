"""Rate against distortion on MNIST: 7 betas x 5 latent sizes x 3 seeds = 105 lanes.

  vae-jax train --config=mnist_beta_latent --workdir=runs/mnist

Cost: 39 min on two busy CPU cores. For each latent size the rate falls and the distortion rises
with beta. Best: beta 1 with 50 latents, NLL 102.5 +- 0.8 nats on the validation set, 99.9 on the
test set (1,000 images, 100 samples); 20 latents cannot be told from it (+0.21 +- 0.40, paired).
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'mnist_beta_latent'
  config.lanes.update(
    beta=(0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0),
    latent_size=(2, 5, 10, 20, 50),
    seed=(0, 1, 2),
  )
  config.data.update(
    name='mnist',
    train_split='train[:-10000]',
    validation_split='train[-10000:]',
    binarize='dynamic',  # drawn anew at each step; the other splits are drawn once
  )
  config.encoder.update(hidden=(500,))
  config.decoder.update(hidden=(500,))
  # 6 passes over the 50,000 images
  config.train.update(steps=2345, log_every=67, evaluate_every=469, checkpoint_every=469)
  config.evaluation.update(
    train_images=2000, validation_images=10000, test_images=10000, batch_size=500
  )
  return config
