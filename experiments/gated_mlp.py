"""A gated MLP with a warm-up of beta on dynamically binarised MNIST and Fashion-MNIST.

  python -m experiments.gated_mlp --workdir=runs/gated_mlp

784-300-300-40 of gated layers: the VAE with a standard normal prior in table 1 of Norouzi et al.
2020, arxiv.org/abs/2004.04795, which warms beta up over 100 passes and stops early. The short
schedule is one seed over 20 passes, warmed up over 5: it shows how far that comes, not the
published figure. --schedule=full is 400 passes and three seeds.
"""

from collections.abc import Mapping
from typing import Any

from configs import mnist_gated
from experiments import table

PUBLISHED = {'mnist': 84.45, 'fashion_mnist': 228.70}  # NLL of 5,000 samples, nats
_STEPS_A_PASS = 600


def configs(schedule: str) -> dict[str, dict[str, Any]]:
  """Returns a launch for each data set: what differs from the config file stands here alone."""
  return {name: _config(schedule, name) for name in PUBLISHED}


def _config(schedule: str, name: str) -> dict[str, Any]:
  config = mnist_gated.get_config().to_dict()
  config['data'] |= dict(name=name)
  if schedule == 'full':
    config['lanes'] |= dict(seed=(0, 1, 2))
    config['evaluation'] |= dict(nll_images=10_000)
  else:
    config['lanes'] |= dict(warmup_steps=(5 * _STEPS_A_PASS,))
    config['train'] |= dict(steps=20 * _STEPS_A_PASS)
  return config


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Compares the NLL of every lane with the published one."""
  return [
    row
    for name, launch in launches.items()
    for lane in launch.rows
    for row in (table.nll_row(name, lane, PUBLISHED[name]), table.units_row(name, lane))
  ]


if __name__ == '__main__':
  table.start('gated_mlp', configs, rows, schedule='short')
