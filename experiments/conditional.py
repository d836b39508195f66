"""What a label is worth: the ELBO given true labels, given shuffled ones, and without any.

  python -m experiments.conditional --workdir=runs/conditional

A conditional model p(x | label) whose labels are shuffled knows nothing more than one without: it
has the same ELBO, up to what ten more inputs overfit. With true labels z need not hold the class,
and the NLL falls by the information that the label has of x, I(x; label) <= log 10 = 2.30 nats, and
by more where a model without labels is short of latents or of examples.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from configs import digits
from experiments import table
from vae_jax import data


def shuffled_digits(seed: int = 0) -> dict[str, data.Examples]:
  """Returns the digits with labels that are shuffled in each split: a loader for `data.name`."""
  source = data.open_source({'name': 'digits'})
  rng = np.random.default_rng(seed)

  def shuffled(examples: data.Examples) -> data.Examples:
    return data.Examples(
      examples.images, beside={'label': rng.permutation(examples.factors['label'])}
    )

  return {split: shuffled(source.read(split)) for split in source.splits}


def configs(schedule: str) -> dict[str, dict[str, Any]]:
  """Returns the launches: what differs from the config file stands here alone."""
  config = digits.get_config().to_dict()
  config['lanes'] |= dict(beta=(1.0,), latent_size=(2, 8), seed=(0, 1, 2, 3))
  given = config['data'] | dict(conditions=('label',))
  shuffled = given | dict(name='experiments.conditional:shuffled_digits')
  kinds = {'none': config['data'], 'shuffled': shuffled, 'true': given}
  return {
    name: table.scheduled(config | {'data': settings}, schedule) for name, settings in kinds.items()
  }


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Compares every lane with the lane of the same seed that knows no labels."""
  without = {lane['name']: lane for lane in launches['none'].rows}
  return [
    table.Row(
      f'{name} labels, {lane["latent_size"]} latents',
      quantity,
      lane[key],
      lane['seed'],
      reference=without[lane['name']][key],
    )
    for name in ('shuffled', 'true')
    for lane in launches[name].rows
    for quantity, key in (('ELBO, test', 'test/elbo'), ('NLL, test', 'test/nll'))
  ]


if __name__ == '__main__':
  table.start('conditional', configs, rows)
