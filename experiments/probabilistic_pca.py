"""The linear VAE with one learned variance against probabilistic PCA: 2, 10, 20, 50 latents.

  python -m experiments.probabilistic_pca --workdir=runs/probabilistic_pca

Trains configs/linear_vae.py. At its optimum q(z | x) is the posterior, so log w is the same for all
z: the ELBO of 1 and of 50 samples and the importance-weighted bound of 50 agree, and the first two
do so without noise because the rate is sampled. Exact figures: `closed_form.optimum`.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from configs import linear_vae
from experiments import closed_form, table
from vae_jax import data, learner, study

# (data set, latents) -> ELBO on train and test, and for one s^2 and R, as known beforehand.
REFERENCE = {
  ('mnist', 2): {'ELBO, train': 12.428, 'ELBO, test': 14.360},
  ('mnist', 10): {'ELBO, train': 182.155, 'ELBO, test': 186.024},
  ('mnist', 20): {
    'ELBO, train': 299.758,
    'ELBO, test': 306.549,
    'variance s^2': 0.024597,
    'R, train': 40.203,
  },
  ('mnist', 50): {'ELBO, train': 507.905, 'ELBO, test': 517.603},
}

_ELBO_TOLERANCE = 0.5  # nats
_RELATIVE_TOLERANCE = 0.01  # of R and of s^2
_MANY = 50  # samples
_MANY_NAME = f'ELBO of {_MANY} samples, test'


def configs(schedule: str) -> dict[str, dict[str, Any]]:
  """Returns the one launch: the config file as it stands."""
  return {'lanes': table.scheduled(linear_vae.get_config().to_dict(), schedule)}


def rows(launches: Mapping[str, table.Launch]) -> list[table.Row]:
  """Compares every lane with probabilistic PCA of the images that it was trained on."""
  launch = launches['lanes']
  dataset = data.load(**launch.config['data'])
  train = closed_form.spectrum(dataset.train, dataset.scale)
  moments = closed_form.second_moments(dataset.test, dataset.scale, train)
  ours = _ours(launch)
  result = []
  for i, lane in enumerate(launch.rows):
    exact_figures = exact(train.eigenvalues, moments, lane['latent_size'])
    known = REFERENCE.get((dataset.name, lane['latent_size']), {})
    result += [
      _row(lane, name, known.get(name), exact_figures[name], ours[name][i]) for name in ours
    ]
  return result


def _ours(launch: table.Launch) -> dict[str, list]:
  """Returns every figure of the table over the lanes [G]."""
  built, state = table.restore(launch)
  columns = {key: [lane[key] for lane in launch.rows] for key in launch.rows[0]}
  many = table.evaluate(launch, bound={'num_samples': _MANY}, evaluation={'train_images': 1})
  rate = table.evaluate(launch, bound={'kl': 'analytic'})  # sampled, R has noise; the ELBO has not
  return {
    'ELBO, train': columns['train/elbo'],
    'ELBO, test': columns['test/elbo'],
    _MANY_NAME: many['test/elbo'],
    'IWAE = -NLL, test': [nll and -nll for nll in columns['test/nll']],
    'variance s^2': _variances(built, state),
    'R, train': rate['train/rate'],
    'R, test': rate['test/rate'],
  }


def _variances(built: study.Study, state: learner.State) -> list[float]:
  """Returns the learned s^2 [G], the same for all pixels and all z."""

  def variance(params, lane):
    decoded = built.model.decode(params, jnp.zeros_like(lane.mask), lane.mask)
    return jnp.mean(decoded.flat.variance())

  return jax.vmap(variance)(state.params, built.lanes).tolist()


def exact(eigenvalues: np.ndarray, moments: np.ndarray, latent_size: int) -> dict[str, float]:
  """Returns every figure of the table as the closed form has it."""
  variance = closed_form.learned_variance(eigenvalues, latent_size)
  train, test = (
    closed_form.optimum(eigenvalues, values, latent_size, variance, beta=1.0)
    for values in (eigenvalues, moments)
  )
  return {
    'ELBO, train': train.elbo,
    'ELBO, test': test.elbo,
    _MANY_NAME: test.elbo,
    'IWAE = -NLL, test': test.elbo,
    'variance s^2': variance,
    'R, train': train.rate,
    'R, test': test.rate,
  }


def _row(
  lane: Mapping, name: str, reference: float | None, exact: float, ours: float | None
) -> table.Row:
  is_bound = name.startswith(('ELBO', 'IWAE'))
  return table.Row(
    label=f'{lane["latent_size"]} latents',
    quantity=name,
    reference=reference,
    exact=exact,
    ours=ours,
    tolerance=_ELBO_TOLERANCE if is_bound else _RELATIVE_TOLERANCE * exact,
    seed=lane['seed'],
    digits=6 if name.startswith('variance') else 3,
  )


if __name__ == '__main__':
  table.start('probabilistic_pca', configs, rows)
