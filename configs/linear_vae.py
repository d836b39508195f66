"""The linear VAE of grey MNIST with one learned variance: 2, 10, 20 and 50 latents as four lanes.

  python -m experiments.probabilistic_pca --workdir=runs/probabilistic_pca   # with exact answers
  vae-jax train --config=linear_vae --workdir=runs/linear_vae

The optimum is probabilistic PCA. Cost: 8 CPU minutes, on two cores 5 min. Test ELBO 14.36, 185.95,
306.42 and 517.26 nats (exact: 14.36, 186.02, 306.55 and 517.60), higher is better. All 60,000
images are trained on, as the exact answers are: there is no validation split.
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'linear_vae'
  config.lanes.update(combine='zip', latent_size=(2, 10, 20, 50), learning_rate=(5e-3,))
  config.data.update(name='mnist')
  config.likelihood.update(name='gaussian', scale='shared')
  config.decoder.update(output_bias='train_mean')
  config.bound.update(kl='sampled')
  config.optimizer.update(b2=0.99)
  config.schedule.update(name='cosine', warmup_steps=500, decay_steps=15500, factor=0.0)
  config.train.update(steps=16000, batch_size=256, evaluate_every=4000, checkpoint_every=4000)
  config.evaluation.update(train_images=60000, test_images=10000, nll_samples=50, nll_images=10000)
  return config
