"""What a config means: `from_config` checks it and unpacks it, once; no settings travel on."""

from vae_jax.study.building import from_config, placed
from vae_jax.study.collapse import forecast_of, foretold
from vae_jax.study.foresight import Foresight, foresight_of
from vae_jax.study.lengths import cut_short
from vae_jax.study.meaning import Study
from vae_jax.study.points import grid_of, in_nats, points_of
from vae_jax.study.settings import TrainSettings
from vae_jax.study.start import Start, start_of
from vae_jax.study.trained import Trained, dataset_of, trained_of

__all__ = [
  'Foresight',
  'Start',
  'Study',
  'TrainSettings',
  'Trained',
  'cut_short',
  'dataset_of',
  'forecast_of',
  'foresight_of',
  'foretold',
  'from_config',
  'grid_of',
  'in_nats',
  'placed',
  'points_of',
  'start_of',
  'trained_of',
]
