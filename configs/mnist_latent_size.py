"""Latent size in the networks of Kingma & Welling 2014, figure 2: superfluous latents do no harm.

  vae-jax train --config=mnist_latent_size --workdir=runs/mnist_latent_size

One tanh layer of 500, L = 1, batches of 100 (arxiv.org/abs/1312.6114), and Adam for their Adagrad.
Cost: 19 min on two busy cores, partly paused. Test ELBO -137.6, -121.7, -105.7, -101.1 and -102.9
nats. The paper has no validation split: what is chosen is chosen on the test set.
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'mnist_latent_size'
  config.lanes.update(latent_size=(3, 5, 10, 20, 200))
  config.data.update(name='mnist', binarize='dynamic')
  config.encoder.update(hidden=(500,), activation='tanh')
  config.decoder.update(hidden=(500,), activation='tanh')
  # 20 passes over the 60,000 images
  config.train.update(
    steps=12000, batch_size=100, log_every=200, evaluate_every=600, checkpoint_every=6000
  )
  config.evaluation.update(train_images=10000, test_images=10000, nll_samples=200)
  return config
