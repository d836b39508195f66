"""CIFAR-10 in its bytes: residual nets and a discretised logistic, two betas as lanes.

  vae-jax train --config=cifar10_resnet --workdir=runs/cifar10
  vae-jax train --config=cifar10_resnet --workdir=runs/patches --config.data.name=patches \\
    --config.data.train_split=train --config.data.validation_split=validation   # no download

On the patches 2,000 of the 7,000 steps, and the NLL, take 26 min on two busy CPU cores: test NLL
10,810 +- 109 nats at beta 1, 5.08 bits a value, and 5.55 at beta 0.25 (1,000 images, 100 samples);
edges and colours of the photographs, no texture, and a faint grid of four pixels, fainter than
after 200 steps. From step 1,000 on the validation ELBO rose by 986 nats. The whole, and CIFAR-10,
have not been run here.
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
