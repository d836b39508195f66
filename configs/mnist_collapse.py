"""Where collapse sets in on static MNIST: 6 betas from 16 to 40, 3 seeds, beside the forecast.

  vae-jax train --config=mnist_collapse --workdir=runs/mnist_collapse

The forecast, of correlations of pixels alone (vae_jax/forecast.py), has 4 latents at beta 16 and
none from beta 32.7 on; the picture is figures/active_units.png. What came out (docs/beta.md): 3 or
4 are active at beta 16, with a rate of 1.6 nats, 0 or 1 at 24, none from 28 on. It takes about 50
CPU minutes.
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
