"""Choice without labels: does UDR rank the lanes of a beta sweep as MIG does, which knows factors?

  python -m experiments.udr --workdir=runs/udr

Drawn shapes with five known factors, betas 1 to 16, five seeds each, ten latents; all lanes train
as one program. UDR (Duan et al. 2020, arxiv.org/abs/1905.12614) sees codes alone, MIG the factors,
too. What is reported is Spearman's rank correlation of the two: over all lanes, over the means of
the betas (which beta to take), and within a beta (which seed to take), each with its p value.
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
  config.lanes.update(beta=BETAS, latent_size=(10,), seed=(0, 1, 2, 3, 4), learning_rate=(1e-3,))
  config.data.update(name='shapes', binarize='dynamic')
  config.encoder.update(hidden=(256,))
  config.decoder.update(hidden=(256,), output_bias='train_mean')
  config.train.update(
    steps=10000, batch_size=64, log_every=250, evaluate_every=2500, checkpoint_every=2500
  )
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

  def row(label: str, *groups: Sequence[tuple[float, float]]) -> table.Row:
    correlation, p_value = rank_correlation(groups)
    quantity = f'rank correlation with MIG (n = {sum(map(len, groups))}, p = {p_value:.2g})'
    return table.Row(f'{name}, {label}', quantity, correlation, 0, digits=2)

  betas = sorted({lane['beta'] for lane in lanes})
  groups = [[(lane[name], lane['mig']) for lane in lanes if lane['beta'] == b] for b in betas]
  means = [tuple(np.mean(group, axis=0)) for group in groups]
  return [
    row('all lanes', [pair for group in groups for pair in group]),
    row('means of the betas', means),
    row('seeds within a beta', *groups),
  ]


def rank_correlation(groups: Sequence[Sequence[tuple[float, float]]]) -> tuple[float, float]:
  """Returns Spearman's correlation of pairs, ranked in their own group, and its p value.

  The p value, of both sides, is that of 99,999 pairings at random, each within its group: four
  means have no other one that could be trusted.
  """
  ranks = [stats.rankdata(group, axis=0) for group in groups]
  ranks = [group - group.mean(axis=0) for group in ranks]  # [n, 2], of what is left in a group
  random = np.random.default_rng(0)
  drawn = sum(random.permuted(np.tile(own[:, 0], (99_999, 1)), axis=1) @ own[:, 1] for own in ranks)
  both = np.concatenate(ranks)
  found = both[:, 0] @ both[:, 1]
  p_value = (1 + np.sum(np.abs(drawn) >= abs(found) - 1e-9)) / (1 + len(drawn))
  return float(found / np.sqrt(np.prod(np.sum(both**2, axis=0)))), float(p_value)


if __name__ == '__main__':
  table.start('udr', configs, rows)
