"""Residual nets on MNIST at four betas: rate and distortion beside the published ones.

  vae-jax train --config=mnist_resnet --workdir=runs/mnist_resnet
  vae-jax train --config=mnist_resnet --workdir=runs/mnist_resnet --config.train.steps=1875 \\
    --config.train.evaluate_every=1875 --config.train.checkpoint_every=375      # two of 8 passes

Two passes took 71 min on two cores that had other work, 8 lanes: at beta 1 a rate of 31.5 and a
distortion of 69.3 nats, ELBO -100.8, NLL 95.6 +- 1.0 (50 importance samples, 500 images).
experiments/README.md has the other betas beside what was published of 8 passes.
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'mnist_resnet'
  config.lanes.update(beta=(0.01, 0.1, 1.0, 10.0), latent_size=(32,), seed=(0, 1))
  config.data.update(name='mnist', binarize='dynamic')  # the recipe has no validation split
  style = dict(name='resnet', activation='silu', kernel_init='he')
  config.encoder = dict(style, widths=(16, 32, 64))
  config.decoder = dict(style, widths=(64, 32, 16))
  config.train.update(
    steps=7500,  # 8 passes
    batch_size=64,
    evaluate_every=1500,
    checkpoint_every=500,
  )
  config.evaluation.update(test_images=0, nll_images=500, nll_samples=50, batch_size=500)
  return config
