"""One network for every beta (MR-VAE) beside a network for each, at equal rate and with seeds.

  python -m experiments.multi_rate --workdir=runs/multi_rate
  python -m experiments.multi_rate --workdir=runs/multi_rate_mnist --data=mnist

Plain lanes at several betas have one curve D(R) a seed, and a network of `bound.name='multi_rate'`
has another. Both are interpolated over R (monotone cubics), and what is compared is the distortion
at equal rate: at single rates, and its mean over the rates that both have. The networks are as
large, and the seeds and the batches the same. Twice: with as many steps as one plain lane has
('equal steps'), and with as many as all plain lanes of a seed have together ('equal cost').

Bae et al. 2023, arxiv.org/abs/2212.03905, compare distortions of the two at equal beta, so at rates
that differ; theirs of MNIST stand beside ours as they are, of another network and schedule.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from absl import flags

from configs import digits_multi_rate, mnist_beta_latent
from experiments import table
from vae_jax import records
from vae_jax.comparison import curves

BETAS = (0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 4.0)
SEEDS = (0, 1, 2)
RATES = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0)  # nats, at which single distortions are compared
PUBLISHED = {0.01: (112.2, 47.5), 0.1: (76.1, 48.9), 1.0: (30.2, 65.3), 10.0: (4.7, 141.6)}  # R, D
_TERMS = ('test/rate', 'test/distortion')


def configs(schedule: str, data: str = 'digits') -> dict[str, dict[str, Any]]:
  """Returns three launches: plain lanes, and networks for every beta with two budgets."""
  config = digits_multi_rate.get_config().to_dict()
  if data == 'mnist':
    bound, config = config['bound'], mnist_beta_latent.get_config().to_dict()
    config['lanes'] |= dict(latent_size=(20,))
    config['bound'] = bound
  steps = config['train']['steps']
  config['lanes'] |= dict(beta=(1.0,), seed=SEEDS)
  config['train'] |= dict(evaluate_every=steps, checkpoint_every=steps)
  config['evaluation'] |= dict(nll_samples=10, nll_images=10)  # the NLL is not the question
  plain = {**config, 'lanes': config['lanes'] | dict(beta=BETAS)}
  plain['bound'] = config['bound'] | dict(name='elbo')
  longer = len(BETAS) * steps
  training = config['train'] | dict(steps=longer, evaluate_every=longer, checkpoint_every=steps)
  launches = {'plain': plain, 'equal steps': config, 'equal cost': {**config, 'train': training}}
  return {name: table.scheduled(each, schedule) for name, each in launches.items()}


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Returns the points of every curve at seed 0, then the differences at equal rate."""
  plain = {seed: points(launches['plain'].rows, seed) for seed in SEEDS}
  result = []
  for name, launch in launches.items():
    lines = launch.rows
    if name != 'plain':
      curve = records.read_table(launch.workdir / 'curve.csv', records.CURVE_COLUMNS)
      seeds = {row['lane']: row['seed'] for row in launch.rows}
      lines = [{**line, 'seed': seeds[line['lane']]} for line in curve]
    result += _point_rows(name, lines, launch.config['data']['name'])
    if name != 'plain':
      found = {seed: points(lines, seed) for seed in SEEDS}
      result += list(_gap_rows(name, plain, found))
  return result


def points(lines: Sequence[Mapping[str, Any]], seed: int) -> np.ndarray:
  """Returns the rates and distortions of a seed, [2, P]; None in either leaves a point out."""
  found = [[line[name] for name in _TERMS] for line in lines if line['seed'] == seed]
  return np.array([pair for pair in found if None not in pair], float).T


def _point_rows(name: str, lines: Sequence[Mapping[str, Any]], data: str) -> list[table.Row]:
  result = []
  for line, term in itertools.product([x for x in lines if x['seed'] == SEEDS[0]], _TERMS):
    beta = round(line['beta'], 3)
    published = PUBLISHED.get(beta, (None, None)) if data == 'mnist' and name != 'plain' else None
    known = None if published is None else published[_TERMS.index(term)]
    label = f'{name}, beta = {line["beta"]:.3g}'
    result.append(table.Row(label, term, line[term], line['seed'], reference=known))
  return result


def _gap_rows(
  name: str, plain: Mapping[int, np.ndarray], found: Mapping[int, np.ndarray]
) -> Iterator[table.Row]:
  """Yields how much more distortion the network for every beta has at equal rate, over seeds."""
  for rate in RATES:
    gaps = [curves.at(found[seed], rate) - curves.at(plain[seed], rate) for seed in SEEDS]
    yield _mean_row(name, f'D at R = {rate:g}', gaps)
  ends = [curves.overlap(plain[seed], found[seed]) for seed in SEEDS]
  low, high = max(low for low, _ in ends), min(high for _, high in ends)
  gaps = [curves.delta(plain[seed], found[seed]) for seed in SEEDS]
  yield _mean_row(name, f'mean D, R from {low:.2f} to {high:.1f}', gaps)


def _mean_row(name: str, what: str, gaps: Sequence[float]) -> table.Row:
  stderr = np.std(gaps, ddof=1) / math.sqrt(len(gaps))
  quantity = f'{what}, +- {stderr:.2f} of {len(gaps)} seeds'
  return table.Row(f'{name} - plain', quantity, float(np.mean(gaps)), SEEDS[0])


if __name__ == '__main__':
  own = flags.FlagValues()
  data = flags.DEFINE_enum('data', 'digits', ('digits', 'mnist'), 'The data set.', own)
  table.start('multi_rate', lambda schedule: configs(schedule, data.value), rows, own=own)
