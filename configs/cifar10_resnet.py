"""CIFAR-10 in its bytes: residual nets and a discretised logistic, two betas as lanes.

  vae-jax train --config=cifar10_resnet --workdir=runs/cifar10
  vae-jax train --config=cifar10_resnet --workdir=runs/patches --config.data.name=patches \\
    --config.data.train_split=train --config.data.validation_split=validation   # no download

The whole has not been run here. On the patches 200 of the 7,000 steps take 5 min on two busy CPU
cores: test ELBO -13,573 nats at beta 1, the colours of the photographs, and a grid that so few
steps leave.
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'cifar10_resnet'
  config.lanes.update(beta=(0.25, 1.0), latent_size=(64,))
  config.data.update(
    name='cifar10',
    train_split='train[:-5000]',
    validation_split='train[-5000:]',
    scale_to_unit=False,
  )
  config.likelihood.update(name='discretized_logistic', initial_scale=0.15)
  config.encoder = dict(name='resnet', widths=(16, 32, 64))
  config.decoder = dict(name='resnet', widths=(64, 32, 16), output_bias='train_mean')
  config.train.update(
    steps=7000,  # 10 passes
    batch_size=64,
    evaluate_every=1000,
    checkpoint_every=1000,
  )
  return config
