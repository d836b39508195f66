"""Two networks and three numbers of samples on scikit-learn's digits: 6 launches of 12 lanes.

  vae-jax sweep --config=digits_launches --workdir=runs/launches

Cost: 4 min 46 s on two CPU cores. Over all 72 lanes the best point is the network of two layers,
L = 20, beta 1 and 4 latents: 22.6 +- 0.4 nats of NLL on the validation set (500 importance samples,
359 images). With two seeds none of the other 35 points can be told from it.
"""

from vae_jax import config as settings


def get_config():
  """Returns what differs from `vae_jax.config.base`: what all launches have."""
  config = settings.base()
  config.study = 'digits_launches'
  config.lanes.update(beta=(0.5, 1.0, 2.0), latent_size=(4, 8), seed=(0, 1), learning_rate=(2e-3,))
  config.data.update(
    name='digits',
    binarize='dynamic',
    train_split='train[:75%]',
    validation_split='train[75%:]',
  )
  config.decoder.update(output_bias='train_mean')
  config.train.update(steps=2000, evaluate_every=500, checkpoint_every=500)
  config.evaluation.update(
    validation_images=359, test_images=359, batch_size=400, nll_samples=500, nll_images=359
  )
  return config


def launches():
  """Yields the keys that are each launch's own: another network or L is another program."""
  for hidden in ((128,), (128, 64)):
    for num_samples in (1, 5, 20):
      yield {
        'encoder.hidden': hidden,
        'decoder.hidden': hidden[::-1],
        'bound.num_samples': num_samples,
      }
