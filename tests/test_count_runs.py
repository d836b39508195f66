"""Runs on counts of a known model: its rates, dispersion and evidence come back."""

import numpy as np
import pytest
import scipy.stats

import vae_jax
from vae_jax.densities.likelihoods import learned_scale

BARE = ('traced_once', 'no_pictures', 'no_images', 'no_parts')  # of their runs, nobody reads more
pytestmark = [pytest.mark.run, pytest.mark.usefixtures(*BARE)]

RATES = np.array([[0.5, 2.0, 8.0, 1.0], [3.0, 0.7, 8.0, 20.0]])  # of each kind of cell, [2, D]
TRAIN, TEST = 4000, 500


def write(path, dispersion):
  """Writes the counts of cells of two kinds, read to various depths, and returns all of them."""
  rng = np.random.default_rng(0)
  kind, depth = rng.integers(0, 2, TRAIN + TEST), rng.lognormal(0.0, 0.5, TRAIN + TEST)
  means = depth[:, None] * RATES[kind]
  if dispersion:
    means = rng.gamma(1 / dispersion, dispersion * means)
  cells = dict(x=rng.poisson(means).astype(np.float32), kind=kind, depth=depth.astype(np.float32))
  ends = {'train': slice(TRAIN), 'test': slice(TRAIN, None)}
  parts = {split: {name: a[end] for name, a in cells.items()} for split, end in ends.items()}
  stored = {split: cells.pop('x') for split, cells in parts.items()}
  columns = {f'{s}_{name}': a for s, cells in parts.items() for name, a in cells.items()}
  np.savez(path, **stored, **columns)
  return {split: parts[split] | {'x': x} for split, x in stored.items()}


@pytest.mark.parametrize('dispersion', [pytest.param(0.0, marks=pytest.mark.slow), 0.4])
def test_the_rates_of_a_known_model_are_recovered(tmp_path, config, dispersion):
  """Nothing is left for the latents: their rate is 0, and the NLL that of the known model.

  Of a Poisson the fit is that of maximum likelihood, too: sum_n x_nd / sum_n s_n of a kind, with
  sizes s_n. The fitted model of P numbers has an NLL P / 2N below that of the truth on the N
  examples of its training, and as much above it on others, about.
  """
  cells = write(tmp_path / 'cells.npz', dispersion)
  config['data'] |= dict(name='npz', path=str(tmp_path / 'cells.npz'), kind='count')
  config['data'] |= dict(test_split='test', binarize='none', scale_to_unit=False)
  config['data'] |= dict(conditions=('kind',), size_factor='depth')
  config['likelihood'] = dict(name='negative_binomial' if dispersion else 'poisson')
  config['lanes'] |= dict(beta=(10.0,), latent_size=(1,), learning_rate=(5e-2,))
  config['encoder'] |= dict(hidden=())
  config['decoder'] |= dict(hidden=(), output_bias='train_mean')
  steps = 400 if dispersion else 900  # the optimum itself needs more than what is near the truth
  config['schedule'] = dict(name='cosine', decay_steps=steps, factor=0.0)
  config['train'] |= dict(steps=steps, batch_size=500, log_every=100, evaluate_every=steps)
  config['train'] |= dict(checkpoint_every=steps)
  config['evaluation'] |= dict(test_images=TEST, nll_images=TEST, nll_samples=10, batch_size=TEST)
  run = vae_jax.train(config, tmp_path / 'run')
  (lane,), (row,) = run.lanes, run.results
  assert row['test/rate'] < 0.01

  train, code = cells['train'], np.zeros((1, 1), np.float32)
  for kind, rates in enumerate(RATES):
    found = lane.decode(code, given={'kind': kind, 'depth': 1.0})[0]
    depth = train['depth'][train['kind'] == kind].astype(float)
    means = depth[:, None] * rates
    error = np.sqrt((means + dispersion * means**2).sum(axis=0)) / depth.sum()
    np.testing.assert_array_less(np.abs(found - rates), 5 * error)
    if not dispersion:
      most_likely = train['x'][train['kind'] == kind].sum(axis=0) / depth.sum()
      np.testing.assert_allclose(found, most_likely, atol=0.2 * error.min())
    deeper = lane.decode(code, given={'kind': kind, 'depth': 3.0})[0]
    np.testing.assert_allclose(deeper, 3 * found, rtol=1e-5)

  if dispersion:
    (raw,) = lane.params['likelihood']
    # The error of a moment estimate of it, from 16,000 values; that of the fit is less.
    assert float(learned_scale(raw, 1.0, 0.001)) == pytest.approx(dispersion, abs=0.05)
  test = cells['test']
  means = test['depth'].astype(float)[:, None] * RATES[test['kind']]
  if dispersion:
    known = scipy.stats.nbinom(1 / dispersion, 1 / (1 + dispersion * means))
  else:
    known = scipy.stats.poisson(means)
  truth = known.logpmf(test['x']).sum(axis=1)
  found = lane.log_likelihood(test['x'], 10, given=run.given('test'))
  assert -found.mean() == pytest.approx(row['test/nll'], abs=1e-3)
  loss = truth - found
  assert abs(loss.mean()) < 5 * loss.std() / np.sqrt(TEST)
  assert loss.std() < 0.2
