"""Choice without labels: does UDR rank the lanes of a beta sweep as MIG does, which knows factors?

  python -m experiments.udr --workdir=runs/udr

Drawn shapes with five known factors, betas 1 to 16, five seeds each, ten latents; all lanes train
as one program. UDR (Duan et al. 2020, arxiv.org/abs/1905.12614) sees codes alone, MIG the factors,
too. What is reported is Spearman's rank correlation of the two: over all lanes, over the means of
the betas (which beta to take), and within a beta (which seed to take), each with its p value.

What came out after 1,000 steps shows no link: MIG is 0.03 to 0.06 at each beta, UDR grows from 0.15
to 0.38 with beta, and over 20 lanes the rank correlation is -0.15 (p = 0.51). Whether longer
training, with more to rank, shows one is open.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from experiments import table
from vae_jax import config as settings
from vae_jax import records

BETAS = (1.0, 4.0, 8.0, 16.0)


def configs(schedule: str) -> dict[str, dict[str, Any]]:
  """Returns the launch."""
  config = settings.base()
  config.study = 'udr'
  config.lanes.update(beta=BETAS, latent_size=(10,), seed=(0, 1, 2, 3, 4), learning_rate=(3e-3,))
  config.data.update(name='shapes', binarize='dynamic')
  config.encoder.update(hidden=(64,))
  config.decoder.update(hidden=(64,), output_bias='train_mean')
  config.train.update(steps=1000, batch_size=32, evaluate_every=1000, checkpoint_every=500)
  config.evaluation.update(nll_samples=1, nll_images=10, aggregate_images=100, factor_images=500)
  return {'shapes': table.scheduled(config.to_dict(), schedule)}


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Returns UDR and MIG of every beta, and how the two go together."""
  launch = launches['shapes']
  lanes = _scored(launch)
  result = []
  for beta in BETAS:
    own = [lane for lane in lanes if lane['beta'] == beta]
    for name in ('udr', 'udr_lasso', 'mig'):
      mean = float(np.mean([lane[name] for lane in own])) if own else None
      result.append(table.Row(f'beta = {beta:g}, mean of {len(own)}', name, mean, 0, digits=3))
  return result + _correlations(lanes, 'udr') + _correlations(lanes, 'udr_lasso')


def _scored(launch: table.Launch) -> list[dict[str, Any]]:
  """Returns the lanes that have both scores."""
  lanes = [dict(row) for row in launch.rows]
  for name, columns in (
    ('udr.csv', records.UDR_COLUMNS),
    ('disentanglement.csv', records.DISENTANGLEMENT_COLUMNS),
  ):
    for row in records.read_table(launch.workdir / name, columns):
      lanes[row['lane']] |= row
  return [lane for lane in lanes if lane.get('udr') is not None and lane['mig'] is not None]


def _correlations(lanes: Sequence[Mapping[str, Any]], name: str) -> list[table.Row]:
  """Returns the rank correlations of a score with MIG; the seed's column is of no use here."""

  def row(label: str, x: Any, y: Any) -> table.Row:
    found = stats.spearmanr(x, y)
    quantity = f'rank correlation with MIG (n = {len(x)}, p = {found.pvalue:.2g})'
    return table.Row(f'{name}, {label}', quantity, float(found.statistic), 0, digits=2)

  betas = sorted({lane['beta'] for lane in lanes})
  groups = [[lane for lane in lanes if lane['beta'] == beta] for beta in betas]
  means = [[np.mean([lane[key] for lane in group]) for group in groups] for key in (name, 'mig')]
  # Ranks within a beta, from its mean rank on: what the seed alone decides.
  within = [
    np.concatenate([stats.rankdata([lane[key] for lane in group]) for group in groups])
    for key in (name, 'mig')
  ]
  all_lanes = [[lane[key] for lane in lanes] for key in (name, 'mig')]
  return [
    row('all lanes', *all_lanes),
    row('means of the betas', *means),
    row('seeds within a beta', *within),
  ]


if __name__ == '__main__':
  table.start('udr', configs, rows)
