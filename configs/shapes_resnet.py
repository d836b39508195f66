"""Drawn shapes with residual nets: do the codes know the factors, at four betas?

  vae-jax train --config=shapes_resnet --workdir=runs/shapes_resnet

Nothing to download: 3,840 images of squares, ellipses and hearts, whose shape, scale, orientation
and place are known.

Cost: 200 of the 3,000 steps take 5 min on two busy CPU cores, 4 lanes; the validation ELBO is then
-105.0 nats at beta 1. The whole has not been run here.
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'shapes_resnet'
  config.lanes.update(beta=(1.0, 2.0, 4.0, 8.0), latent_size=(10,))
  config.data.update(
    name='shapes',
    train_split='train[:90%]',  # in random order
    validation_split='train[90%:]',
    binarize='dynamic',
  )
  config.encoder = dict(name='resnet', widths=(16, 32, 64))
  config.decoder = dict(name='resnet', widths=(64, 32, 16))
  config.train.update(steps=3000, batch_size=64, evaluate_every=500, checkpoint_every=500)
  return config
