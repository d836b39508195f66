"""What averaged parameters, weight decay and clipped gradients are worth on the digits.

  python -m experiments.optimisation --workdir=runs/optimisation

Each of them alone beside plain Adam, at a constant learning rate, at five times that rate, and at
one that falls on half a cosine to 0, all else as in `configs/digits.py` at 8 latents. A lane is
compared with the plain one of its seed, on the same images: the seed decides the initial weights
and the noise, so that the differences vary less than the figures.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from configs import digits
from experiments import table
from vae_jax import lane_fields

_SEEDS = (0, 1, 2, 3)
_CHANGES = (
  dict(ema_decay=0.99),
  dict(ema_decay=0.999),
  dict(weight_decay=0.01),
  dict(weight_decay=0.1),
  dict(weight_decay=1.0),
  dict(clip_norm=10.0),
  dict(clip_norm=3.0),
)


def configs(schedule: str) -> dict[str, dict[str, Any]]:
  """Returns the launches, one for each learning rate and its schedule."""
  config = digits.get_config().to_dict()
  stays = config['schedule']
  falls = stays | dict(name='cosine', decay_steps=config['train']['steps'], factor=0.0)
  rates = {'constant': (2e-3, stays), 'large': (1e-2, stays), 'cosine': (2e-3, falls)}
  return {
    name: table.scheduled(config | {'lanes': _lanes(config, rate), 'schedule': settings}, schedule)
    for name, (rate, settings) in rates.items()
  }


def _lanes(config: Mapping[str, Any], learning_rate: float) -> dict[str, Any]:
  """Returns the section `lanes`: no change and each change, with each seed."""
  plain = lane_fields.DEFAULTS | dict(latent_size=8, learning_rate=learning_rate)
  points = tuple(
    tuple((plain | change | dict(seed=seed)).values())
    for change in ({}, *_CHANGES)
    for seed in _SEEDS
  )
  return config['lanes'] | dict(combine='list', points=points)


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Returns the mean over the seeds of each change, and that of its differences from plain Adam."""
  return [
    _row(name, launch, change, quantity, key)
    for name, launch in launches.items()
    for change in _CHANGES
    for quantity, key in (('NLL, validation', 'validation/nll'), ('NLL, test', 'test/nll'))
  ]


def _row(
  name: str, launch: table.Launch, change: Mapping[str, float], quantity: str, key: str
) -> table.Row:
  ((field, value),) = change.items()
  plain, ours = (
    [lane[key] for lane in launch.rows if all(lane[f] == v for f, v in wanted.items())]
    for wanted in (dict.fromkeys(('ema_decay', 'weight_decay', 'clip_norm'), 0.0), change)
  )
  error = np.std(np.subtract(ours, plain), ddof=1) / np.sqrt(len(_SEEDS))
  return table.Row(
    f'{name}, {field} {value:g}',
    f'{quantity}, difference +- {error:.3f}',
    float(np.mean(ours)),
    len(_SEEDS),
    reference=float(np.mean(plain)),
    digits=3,
  )


if __name__ == '__main__':
  table.start('optimisation', configs, rows)
