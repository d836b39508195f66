"""MNIST as grey levels: cross-entropy, with networks as wide as the image.

  vae-jax train --config=mnist_cross_entropy --workdir=runs/mnist_cross_entropy

One hidden layer of 784 on each side; the average of L = 5 cross-entropies, and the KL in closed
form. The cross-entropy of grey levels is no likelihood: the "ELBO" bounds nothing and there is no
NLL; likelihood.name='continuous_bernoulli' is the density next to it.
Cost: 20 min on two very busy cores. Test "ELBO" -103.6 nats (D 77.9, R 25.7).
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'mnist_cross_entropy'
  config.lanes.update(latent_size=(20,))
  config.data.update(name='mnist', train_split='train[:-10000]', validation_split='train[-10000:]')
  config.likelihood.update(name='cross_entropy')
  config.encoder.update(hidden=(784,))
  config.decoder.update(hidden=(784,))
  config.bound.update(num_samples=5)
  # 12 passes over the 50,000 images
  config.train.update(steps=4690, log_every=67, evaluate_every=469, checkpoint_every=938)
  config.evaluation.update(train_images=10000, validation_images=10000, test_images=10000)
  return config
