"""Importance weighting on dynamically binarised MNIST: networks and schedule of Burda et al. 2016.

  vae-jax train --config=mnist_importance_weighted --workdir=runs/iwae

784-200-200-50, tanh, batches of 20, Adam, and 3^i passes at 1e-3 10^(-i/7), i = 0, 1, ...
(arxiv.org/abs/1509.00519). Here i ends at 3, after 40 passes; i = 7, after 3,280, is
--config.train.steps=9840000. The IWAE is bound.name='iwae' with bound.num_samples and
bound.kl='sampled'. Cost: 17 min on two busy cores. NLL 91.95 +- 0.78 nats (5,000 samples, 1,000
test images); the paper has 86.76 after 3,280 passes. Its recipe has no validation split: what is
chosen is chosen on the test set.
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'mnist_importance_weighted'
  config.lanes.update(latent_size=(50,))
  config.data.update(name='mnist', binarize='dynamic')
  config.encoder.update(hidden=(200, 200), activation='tanh', kernel_init='glorot')
  config.decoder.update(
    hidden=(200, 200), activation='tanh', kernel_init='glorot', output_bias='train_mean'
  )
  config.optimizer.update(eps=5e-6)  # theirs is 1e-4 of a sum over 20 examples
  config.schedule.update(name='tripling', decay_steps=3000, factor=0.719685673001152)  # 10^(-1/7)
  # 40 passes over the 60,000 images
  config.train.update(
    steps=120000, batch_size=20, log_every=1000, evaluate_every=12000, checkpoint_every=12000
  )
  config.evaluation.update(train_images=10000, test_images=10000, nll_samples=5000)
  return config
