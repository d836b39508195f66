"""Frey Faces: a Gaussian with a learned variance for every pixel, L = 7 samples.

  vae-jax train --config=frey_gaussian --workdir=runs/frey_gaussian \
    --config.data.path=frey_faces.npz

One tanh layer of 200 on each side, means and log-scales from both. The last fifth of the video is
for testing, and for choosing: the recipe has no validation split. Cost: 108 s on two busy cores.
Batch ELBO 1,200, test ELBO 636 nats (a later part of the video, of which the learned variances are
too sure), NLL at most -717 +- 30 (1,000 samples, of which 1.5 are effective; 393 images).
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`."""
  config = settings.base()
  config.study = 'frey_gaussian'
  # The file is a flag; its array is called `images`.
  config.data.update(name='npz', train_split='images[:80%]', test_split='images[80%:]')
  config.likelihood.update(
    name='gaussian',
    scale='per_pixel',
    initial_scale=0.2,
    min_scale=0.02,  # no pixel may run to a density without bound
    mean='sigmoid',
  )
  config.encoder.update(hidden=(200,), activation='tanh')
  config.decoder.update(hidden=(200,), activation='tanh', output_bias='train_mean')
  config.bound.update(num_samples=7)
  # 100 passes over the 1,572 images
  config.train.update(
    steps=4900, batch_size=32, log_every=49, evaluate_every=490, checkpoint_every=980
  )
  config.evaluation.update(test_images=393, nll_samples=1000, nll_images=393, aggregate_images=393)
  return config
