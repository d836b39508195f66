"""A convolutional VAE on Fashion-MNIST, padded to 32x32 and in [0, 1]; unit-variance Gaussian.

  vae-jax train --config=fashion_conv --workdir=runs/fashion_conv

The networks of the convolutional VAE of TensorFlow Probability's examples; more samples for each
image are one flag away: --config.bound.num_samples=5. Cost: 275 s on two busy CPU cores (83 s on
free ones, before it had a validation set), 4,690 steps. Test ELBO -959.6 nats (rate 5.0, 6 of 16
units active), NLL 958.9 +- 0.2 (100 samples, 1,000 images).
"""

from ml_collections import config_dict

from vae_jax import config as settings


def get_config() -> config_dict.ConfigDict:
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'fashion_conv'
  config.lanes.update(latent_size=(16,), learning_rate=(1e-2,))
  config.data.update(
    name='fashion_mnist',
    train_split='train[:-10000]',
    validation_split='train[-10000:]',
    pad=(32, 32),
  )
  config.likelihood.update(name='gaussian')
  config.encoder.update(
    name='conv',
    channels=(4, 16),
    kernels=(3, 3),
    strides=(2, 2),
    padding='valid',  # 32 -> 15 -> 7
  )
  config.decoder.update(
    name='conv',
    channels=(1, 16, 8),  # a dense layer to 8x8x1, then 17, 35, 32
    kernels=(3, 3, 4),
    strides=(2, 2, 1),  # two transposed convolutions and a plain one
    padding='valid',
  )
  config.train.update(
    steps=4690,  # 12 passes over the 50,000 images
    log_every=67,
    evaluate_every=469,
    checkpoint_every=938,
  )
  config.evaluation.update(train_images=10000, validation_images=10000, test_images=10000)
  return config
