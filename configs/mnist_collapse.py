"""Where collapse sets in on static MNIST: 7 betas from 16 to 40, 3 seeds, beside the forecast.

  vae-jax train --config=mnist_collapse --workdir=runs/mnist_collapse

The forecast, of correlations of pixels alone (vae_jax/forecast.py), has 4 latents at beta 16 and
none from beta 32.7 on. The picture is figures/active_units.png.
"""

from ml_collections import config_dict

from vae_jax import config as settings


def get_config() -> config_dict.ConfigDict:
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'mnist_collapse'
  config.lanes.update(
    beta=(16.0, 20.0, 24.0, 28.0, 32.0, 36.0, 40.0),
    latent_size=(16,),  # more than are active at any of these
    seed=(0, 1, 2),
  )
  config.data.update(name='binarized_mnist', validation_split='validation')
  config.encoder.update(hidden=(500,))
  config.decoder.update(hidden=(500,), output_bias='train_mean')
  # Near its onset a latent is lost in the noise of independent samples at a large rate.
  config.bound.update(num_samples=2, noise='antithetic')
  config.schedule.update(name='cosine', decay_steps=5850, factor=0.0)
  config.train.update(
    steps=5850,  # 390 a pass over the 50,000 images
    log_every=117,
    evaluate_every=585,
    checkpoint_every=2925,
  )
  config.evaluation.update(train_images=2000, validation_images=10000, test_images=10000)
  return config
