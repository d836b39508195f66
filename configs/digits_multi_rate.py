"""One network for every beta from 0.01 to 10 on scikit-learn's 8x8 digits: an MR-VAE, 3 seeds.

  vae-jax train --config=digits_multi_rate --workdir=runs/digits_multi_rate

The networks are those of configs/digits.py, of 16 latents, gated by beta; results.csv has them at
beta 1, and curve.csv at 13 betas. Cost: 1 min on two CPU cores. At equal rate the distortion is
0.63 +- 0.05 nats above that of seven plain lanes, a beta each, of as many steps:
`experiments/multi_rate.py`.
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'digits_multi_rate'
  config.lanes.update(latent_size=(16,), seed=(0, 1, 2), learning_rate=(2e-3,))
  config.data.update(
    name='digits',
    train_split='train[:75%]',  # 1,078 of 1,438
    validation_split='train[75%:]',
    binarize='dynamic',  # drawn anew at each step; the other splits are drawn once
  )
  config.encoder.update(hidden=(128,))
  config.decoder.update(hidden=(128,))
  config.bound = dict(name='multi_rate')
  config.train.update(steps=3000, evaluate_every=500, checkpoint_every=500)
  config.evaluation.update(
    validation_images=359,  # of 360: as many as for testing, so that one program does both
    test_images=359,
    batch_size=400,
    nll_samples=500,
    nll_images=359,
    aggregate_images=359,
  )
  return config
