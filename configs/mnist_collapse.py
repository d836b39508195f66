"""Where collapse sets in on static MNIST: 6 betas from 16 to 40, 3 seeds, beside the forecast.

  vae-jax train --config=mnist_collapse --workdir=runs/mnist_collapse

The forecast, of correlations of pixels alone (vae_jax/forecast.py), has 4 latents at beta 16 and
none from beta 32.7 on; the picture is figures/active_units.png. A latent leaves collapse the more
slowly the nearer beta is to its onset: at beta 24 the rate is 0.003 nats at step 390, 0.06 at 1950.
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'mnist_collapse'
  config.lanes.update(
    beta=(16.0, 20.0, 24.0, 28.0, 32.0, 40.0),
    latent_size=(16,),  # more than are active at any of these
    seed=(0, 1, 2),
  )
  config.data.update(name='binarized_mnist', validation_split='validation')
  config.encoder.update(hidden=(500,))
  config.decoder.update(hidden=(500,), output_bias='train_mean')
  # 30 passes over the 50,000 images
  config.train.update(steps=11700, log_every=195, evaluate_every=1170, checkpoint_every=3900)
  config.evaluation.update(train_images=2000, validation_images=10000, test_images=10000)
  return config
