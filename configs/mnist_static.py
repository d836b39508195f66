"""Static MNIST, one lane: the 784-500-20 ReLU VAE of the Flax examples, 10 passes.

  vae-jax train --config=mnist_static --workdir=runs/mnist_static

The data set is TFDS `binarized_mnist`, Larochelle's fixed binarisation: 50,000 images for training,
10,000 for validation. Cost: 30 s on two CPU cores, 420 steps/s. Test ELBO -103.36 nats (the Flax
examples report about -104), NLL 98.11 +- 0.25 (200 samples, 10,000 images).
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'mnist_static'
  config.lanes.update(latent_size=(20,))
  config.data.update(name='binarized_mnist', validation_split='validation')
  config.encoder.update(hidden=(500,))
  config.decoder.update(hidden=(500,))
  # 10 passes over the 50,000 images
  config.train.update(steps=3900, log_every=39, evaluate_every=390, checkpoint_every=1950)
  config.evaluation.update(
    train_images=10000,
    validation_images=10000,
    test_images=10000,
    nll_samples=200,
    nll_images=10000,
  )
  return config
