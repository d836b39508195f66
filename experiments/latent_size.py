"""Latent sizes in the networks of Kingma & Welling 2014, figure 2, on MNIST and Frey Faces.

  python -m experiments.latent_size --workdir=runs/latent_size --frey=frey_faces.npz

One tanh layer of 500 (MNIST) or 200 (Frey Faces: Gaussian, mean through a sigmoid, a scale for
every pixel from the decoder), L = 1, batches of 100: arxiv.org/abs/1312.6114. The figure claims a
law: superfluous latents do not overfit. Here: from train to test the largest latent size loses at
most 1 % of the ELBO more than the size with the best test ELBO; how far it is below that one, which
more steps may change, is a row of its own. All sizes of a data set are lanes of one program. Frey
Faces have no public copy to fetch: without --frey they are left out. Adam stands for the paper's
Adagrad.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

from configs import frey_gaussian, mnist_latent_size
from experiments import table

_RELATIVE_TOLERANCE = 0.01


def configs(schedule: str, frey: str) -> dict[str, dict[str, Any]]:
  """Returns a launch for each data set: what differs from the config files stands here alone."""
  result = {'mnist': mnist_latent_size.get_config().to_dict()}
  if frey:
    config = frey_gaussian.get_config().to_dict()
    config['data'] |= dict(path=frey)
    config['lanes'] |= dict(latent_size=(2, 5, 10, 20))
    config['bound'] |= dict(num_samples=1)
    config['train'] |= dict(batch_size=100)
    result['frey'] = config
  return {name: table.scheduled(config, schedule) for name, config in result.items()}


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Returns the bounds of every size, and the largest size held against the best."""
  return [row for name, launch in launches.items() for row in _launch_rows(name, launch)]


def _launch_rows(name: str, launch: table.Launch) -> list[table.Row]:
  result = []
  for lane in launch.rows:
    label = f'{name}, {lane["latent_size"]} latents'
    for split in ('train', 'test'):
      result.append(table.Row(label, f'ELBO, {split}', lane[f'{split}/elbo'], lane['seed']))
    result.append(table.units_row(label, lane))
  return result + _law(name, [lane for lane in launch.rows if lane['test/elbo'] is not None])


def _law(name: str, lanes: Sequence[Mapping[str, Any]]) -> list[table.Row]:
  """Returns what the largest size lacks, and overfits more, than the best; none of no lanes."""
  if not lanes:
    return []
  best = max(lanes, key=lambda lane: lane['test/elbo'])
  largest = max(lanes, key=lambda lane: lane['latent_size'])
  label, seed = f'{name}, {largest["latent_size"]} latents', largest['seed']
  return [
    table.Row(label, 'ELBO, test: best - this', best['test/elbo'] - largest['test/elbo'], seed),
    table.Row(
      label,
      "ELBO, train - test: above the best's",
      ours=max(0.0, _gap(largest) - _gap(best)),
      seed=seed,
      reference=0.0,
      tolerance=_RELATIVE_TOLERANCE * abs(best['test/elbo']),
    ),
  ]


def _gap(lane: Mapping[str, Any]) -> float:
  """Returns by how much the ELBO of a lane is higher on what it was trained on."""
  return lane['train/elbo'] - lane['test/elbo']


if __name__ == '__main__':
  own = flags.FlagValues()
  what = 'An .npz with the array `images` [1965, 28, 20, 1].'
  path = flags.DEFINE_string('frey', '', what, own)
  table.start('latent_size', lambda schedule: configs(schedule, path.value), rows, own=own)
