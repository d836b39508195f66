"""A convolutional VAE on Fashion-MNIST, padded to 32x32 and in [0, 1]; unit-variance Gaussian.

  vae-jax train --config=fashion_conv --workdir=runs/fashion_conv

The networks of the convolutional VAE of TensorFlow Probability's examples. Cost: 275 s on two busy
CPU cores. Test ELBO -959.6 nats (rate 5.0, 6 of 16 units active), NLL 958.9 +- 0.2 (100 samples,
1,000 images).
"""

from vae_jax import config as settings


def get_config():
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
  # 32 pixels, 15, 7
  config.encoder = dict(
    name='conv', channels=(4, 16), kernels=(3, 3), strides=(2, 2), padding='valid'
  )
  # A dense layer to 8x8x1; 17 and 35 pixels by transposed convolutions, 32 by a plain one.
  config.decoder = dict(
    name='conv', channels=(1, 16, 8), kernels=(3, 3, 4), strides=(2, 2, 1), padding='valid'
  )
  # 12 passes over the 50,000 images
  config.train.update(steps=4690, log_every=67, evaluate_every=469, checkpoint_every=938)
  config.evaluation.update(train_images=10000, validation_images=10000, test_images=10000)
  return config
