"""Collapse: with beta far above 1 a VAE ends at the best picture that ignores z.

  python -m experiments.collapse_floor --workdir=runs/collapse_floor

Trains configs/mnist_static.py at beta 100. Then q(z | x) is the prior: R = 0, no active unit, and D
is that of independent pixels. Exact figure: `closed_form.bernoulli_floor`.
"""

from collections.abc import Mapping
from typing import Any

from configs import mnist_static
from experiments import closed_form, table
from vae_jax import data

# data set -> D on the test images as known beforehand: 205.8 to 206.0, by how black pixels count.
REFERENCE = {'binarized_mnist': 206.0}

_TOLERANCE = 0.5  # nats
_RATE_TOLERANCE = 0.01  # nats


def configs(schedule: str) -> dict[str, dict[str, Any]]:
  """Returns the launch: what differs from the config file stands here alone."""
  config = mnist_static.get_config().to_dict()
  config['lanes'] |= dict(beta=(100.0,), seed=(0, 1), learning_rate=(4e-3,))
  config['data'] |= dict(validation_split='')  # nothing is chosen
  config['schedule'] |= dict(name='cosine', warmup_steps=100, decay_steps=3800, factor=0.0)
  config['evaluation'] |= dict(train_images=50000, nll_samples=50)
  return {'lanes': table.scheduled(config, schedule)}


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Compares every lane with independent pixels at the means of the training images."""
  launch = launches['lanes']
  dataset = data.load(**launch.config['data'])
  floors = {
    split: closed_form.bernoulli_floor(dataset.train_fixed, images)
    for split, images in {'train': dataset.train_fixed, 'test': dataset.test}.items()
  }
  result = []
  for lane in launch.rows:
    for quantity, reference, exact, key, tolerance in (
      ('D, train', None, floors['train'], 'train/distortion', _TOLERANCE),
      ('D, test', REFERENCE.get(dataset.name), floors['test'], 'test/distortion', _TOLERANCE),
      ('R, test', 0.0, 0.0, 'test/rate', _RATE_TOLERANCE),
      ('active units', 0, 0, 'test/active_units', 0),
    ):
      label = f'beta = {lane["beta"]:g}'
      result.append(
        table.Row(label, quantity, lane[key], lane['seed'], reference, exact, tolerance, digits=3)
      )
  return result


if __name__ == '__main__':
  table.start('collapse_floor', configs, rows)
