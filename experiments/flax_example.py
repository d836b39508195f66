"""The VAE of Flax's example on static MNIST: test ELBO after 10 passes.

  python -m experiments.flax_example --workdir=runs/flax_example

784-500-20, ReLU, Bernoulli, Adam at 1e-3, batches of 128, analytic KL, L = 1 (examples/vae of
github.com/google/flax): configs/mnist_static.py with three seeds as lanes of one program.
"""

from collections.abc import Mapping
from typing import Any

from configs import mnist_static
from experiments import table

PUBLISHED = -104.0  # test ELBO, nats
_TOLERANCE = 1.5  # nats: the example draws other seeds and batches


def configs(schedule: str) -> dict[str, dict[str, Any]]:
  """Returns the launch: what differs from the config file stands here alone."""
  config = mnist_static.get_config().to_dict()
  config['lanes'] |= dict(seed=(0, 1, 2))
  config['data'] |= dict(validation_split='')  # nothing is chosen
  return {'lanes': table.scheduled(config, schedule)}


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Compares the test ELBO of every seed with the published one; the NLL stands beside it."""
  result = []
  for lane in launches['lanes'].rows:
    elbo = table.Row('784-500-20', 'ELBO, test', lane['test/elbo'], lane['seed'])
    result += [
      elbo._replace(reference=PUBLISHED, tolerance=_TOLERANCE),
      table.nll_row('784-500-20', lane),
    ]
  return result


if __name__ == '__main__':
  table.start('flax_example', configs, rows)
