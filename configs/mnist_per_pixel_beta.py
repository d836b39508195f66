"""Beta, from 0, and latent size on grey MNIST, for a loss of means over pixels and latents.

  vae-jax train --config=mnist_per_pixel_beta --workdir=runs/per_pixel_beta

The original's loss is the cross-entropy averaged over 784 pixels plus w times the KL averaged over
Z latents; in nats beta = 784 w / Z, and results.csv has w as beta_normalised. Its own point is
w = 0.01 and Z = 10: beta 0.784. Here w varies at Z = 10 and Z varies at w = 0.01, as one program.
Cost: 79 s on two busy cores. Test D / R in nats (of a cross-entropy): 117.3 / 16.0 at its own
point, 107.1 / 168 at beta 0, 207.2 / 0.0 at w = 1, where all units collapse.
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'mnist_per_pixel_beta'
  config.lanes.update(
    combine='list',
    points=(  # (beta, latent_size, seed, learning_rate)
      (0.0, 10, 0, 1e-3),
      (0.0784, 10, 0, 1e-3),
      (0.784, 10, 0, 1e-3),
      (7.84, 10, 0, 1e-3),
      (78.4, 10, 0, 1e-3),
      (3.92, 2, 0, 1e-3),
      (1.568, 5, 0, 1e-3),
      (0.392, 20, 0, 1e-3),
      (0.1568, 50, 0, 1e-3),
    ),
  )
  # Both, as the original does: its test figures are of images that were trained on.
  config.data.update(name='mnist', train_split='train+test')
  config.likelihood.update(name='cross_entropy')
  config.encoder.update(hidden=(100, 100))
  config.decoder.update(hidden=(100, 100))
  config.optimizer.update(eps=7.84e-6)  # theirs is 1e-8 of a loss that is 784 times smaller
  config.train.update(
    steps=1024,
    batch_size=64,
    log_every=128,
    log_powers_of_two=True,
    evaluate_every=128,
    checkpoint_every=512,
  )
  config.evaluation.update(train_images=10000, test_images=10000, nll_samples=200, nll_images=10000)
  return config
