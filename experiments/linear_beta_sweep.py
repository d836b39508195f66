"""The linear VAE of fixed variance over beta, against its closed form.

  python -m experiments.linear_beta_sweep --workdir=runs/linear_beta_sweep

configs/linear_vae.py with 50 latents: variance 0.05 at eight betas, in three launches of different
schedules, and variance 1 at beta 1. Latent i is active where l_i > beta s^2. Along it R falls, D
rises and dD/dR = -beta, which is printed twice: as finite differences of the closed form at each
beta, and as the slope from one trained lane to the next (a chord: between the two betas). Exact
figures: `closed_form.optimum`.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from configs import linear_vae
from experiments import closed_form, table
from vae_jax import data


class Schedule(NamedTuple):
  """What sets one launch apart."""

  variance: float
  betas: tuple[float, ...]
  learning_rate: float
  steps: int
  noise: str = 'independent'
  num_samples: int = 1


SCHEDULES = {
  # So small a beta hardly holds the rate: it comes down last.
  'small_beta': Schedule(0.05, (0.1,), 1e-2, 50_000),
  'middle': Schedule(0.05, (1.0, 4.0, 8.0, 16.0, 110.0), 5e-3, 16_000),
  # An eigenvalue within 10 % of beta s^2: its latent is lost in the noise of one sample.
  'borderline': Schedule(0.05, (32.0, 64.0), 5e-3, 40_000, 'antithetic', 2),
  'unit_variance': Schedule(1.0, (1.0,), 5e-3, 16_000),
}

# (data set, variance) -> beta -> active units, R, D (or the ELBO), as known beforehand.
REFERENCE = {
  ('mnist', 0.05): {
    0.1: {'active units': 50, 'R, train': 117.50, 'D, train': -358.92},
    1.0: {'active units': 50, 'R, train': 59.94, 'D, train': -336.42},
    4.0: {'active units': 45, 'R, train': 25.48, 'D, train': -262.19},
    8.0: {'active units': 28, 'R, train': 13.01, 'D, train': -192.24},
    16.0: {'active units': 15, 'R, train': 5.81, 'D, train': -112.09},
    32.0: {'active units': 7, 'R, train': 2.10, 'D, train': -29.81},
    64.0: {'active units': 3, 'R, train': 0.32, 'D, train': 48.26},
    110.0: {'active units': 0, 'R, train': 0.0, 'D, train': 73.37},
  },
  ('mnist', 1.0): {1.0: {'active units': 12, 'ELBO, train': -743.186}},
}

_RELATIVE_TOLERANCE = 0.01  # of R and of D
_SMALLEST_TOLERANCE = 0.02  # nats, where the exact figure is close to 0
_ELBO_TOLERANCE = 0.5  # nats
_SAMPLES = 16  # of z per image: with one, D has a standard error of 0.2 nats where R is small
_STEP = 1e-4  # of the finite differences, relative to beta


def configs(schedule: str) -> dict[str, dict[str, Any]]:
  """Returns a launch for each schedule: what differs from the config file stands here alone."""
  return {name: table.scheduled(_config(s), schedule) for name, s in SCHEDULES.items()}


def _config(schedule: Schedule) -> dict[str, Any]:
  config = linear_vae.get_config().to_dict()
  config['lanes'] |= dict(
    beta=schedule.betas, latent_size=(50,), learning_rate=(schedule.learning_rate,)
  )
  config['likelihood'] |= dict(scale='fixed', initial_scale=schedule.variance**0.5)
  config['bound'] |= dict(kl='analytic', noise=schedule.noise, num_samples=schedule.num_samples)
  config['schedule'] |= dict(decay_steps=schedule.steps - config['schedule']['warmup_steps'])
  config['train'] |= dict(steps=schedule.steps)
  return config


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Compares every lane with the closed form, then the slopes with -beta; by variance."""
  sweeps = {}
  for launch in launches.values():
    variance = round(launch.config['likelihood']['initial_scale'] ** 2, 9)
    sweeps.setdefault(variance, []).append(launch)
  return [row for variance, parts in sweeps.items() for row in _sweep_rows(variance, parts)]


def _sweep_rows(variance: float, launches: Sequence[table.Launch]) -> list[table.Row]:
  dataset = data.load(**launches[0].config['data'])
  eigenvalues = closed_form.spectrum(dataset.train, dataset.scale).eigenvalues
  known = REFERENCE.get((dataset.name, variance), {})
  lanes = sorted(
    [lane for launch in launches for lane in _evaluated(launch)], key=lambda lane: lane['beta']
  )
  result = []
  for lane in lanes:
    result += _lane_rows(lane, eigenvalues, variance, known.get(lane['beta'], {}))
  return result + _slope_rows(lanes, eigenvalues, variance)


def _evaluated(launch: table.Launch) -> list[dict[str, Any]]:
  """Returns the lanes of a launch, their metrics those of many samples."""
  terms = table.evaluate(launch, bound={'num_samples': _SAMPLES})
  return [
    {**lane, **{name: values[i] for name, values in terms.items()}}
    for i, lane in enumerate(launch.rows)
  ]


def _lane_rows(
  lane: Mapping, eigenvalues: np.ndarray, variance: float, reference: Mapping
) -> list[table.Row]:
  at = (lane['latent_size'], variance, lane['beta'])
  exact = closed_form.optimum(eigenvalues, eigenvalues, *at)
  near = closed_form.num_borderline(eigenvalues, *at)

  def row(quantity, exact, ours, tolerance, digits=3):
    label = f's^2 = {variance:g}, beta = {lane["beta"]:g}'
    known = reference.get(quantity)
    return table.Row(label, quantity, ours, lane['seed'], known, exact, tolerance, digits)

  result = [
    row('active units', exact.active_units, lane['test/active_units'], near, 0),
    row('R, train', exact.rate, lane['train/rate'], _relative(exact.rate)),
    row('D, train', exact.distortion, lane['train/distortion'], _relative(exact.distortion)),
  ]
  if lane['beta'] == 1:
    result.append(row('ELBO, train', exact.elbo, lane['train/elbo'], _ELBO_TOLERANCE))
  return result


def _relative(exact: float) -> float:
  return max(_RELATIVE_TOLERANCE * abs(exact), _SMALLEST_TOLERANCE)


def _slope_rows(
  lanes: Sequence[Mapping], eigenvalues: np.ndarray, variance: float
) -> list[table.Row]:
  """Returns -dD/dR: of the closed form at each beta, and of the chords between trained lanes."""

  def exact(beta):
    return closed_form.optimum(eigenvalues, eigenvalues, lanes[0]['latent_size'], variance, beta)

  def row(label, lane, slope, ours, tolerance):
    label = f's^2 = {variance:g}, {label}'
    return table.Row(label, '-dD/dR', ours, lane['seed'], None, slope, tolerance * slope, digits=3)

  result = []
  for lane in lanes:
    beta = lane['beta']
    low, high = exact(beta * (1 - _STEP)), exact(beta * (1 + _STEP))
    if high.active_units:
      result.append(row(f'closed form at {beta:g}', lane, beta, _slope(low, high), 1e-3))
  for low, high in pairwise(lanes):
    ends = exact(low['beta']), exact(high['beta'])
    if ends[0].active_units:  # two collapsed lanes are one point
      label = f'trained, {low["beta"]:g} to {high["beta"]:g}'
      result.append(row(label, low, _slope(*ends), _slope(*map(_trained, (low, high))), 0.02))
  return result


def _slope(low: closed_form.Optimum, high: closed_form.Optimum) -> float:
  return (high.distortion - low.distortion) / (low.rate - high.rate)


def _trained(lane: Mapping) -> closed_form.Optimum:
  values = [lane[f'train/{name}'] for name in ('rate', 'distortion')]
  return closed_form.Optimum(*(np.nan if v is None else v for v in values), active_units=0)


if __name__ == '__main__':
  table.start('linear_beta_sweep', configs, rows)
