"""A study that trains for some seconds: long enough to be stopped in many places."""

from ml_collections import config_dict

from configs import digits


def get_config() -> config_dict.ConfigDict:
  config = digits.get_config()
  config.data.update(train_split='train', validation_split='')
  config.lanes.update(dict(beta=(0.5, 4.0), latent_size=(2, 5), seed=(0,)))
  config.encoder.hidden = config.decoder.hidden = (16,)
  # A schedule, so that a counter that is not in the checkpoint would show.
  config.schedule.update(dict(name='cosine', warmup_steps=150, decay_steps=750, factor=0.1))
  config.train.update(
    dict(steps=1000, batch_size=32, log_every=20, evaluate_every=200, checkpoint_every=100)
  )
  config.evaluation.update(dict(train_images=50, test_images=50, nll_samples=20, nll_images=30))
  config.evaluation.mixture_components = 0  # each process would import scikit-learn
  return config
