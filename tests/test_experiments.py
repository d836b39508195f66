"""The laws of the experiments at reduced size, on the digits; on MNIST behind the slow marker."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import ROOT

from experiments import closed_form, collapse_floor, linear_beta_sweep, probabilistic_pca, table
from vae_jax import data, errors

DIGITS = {
  'train_images': 1438,
  'test_images': 359,
  'nll_images': 359,
  'aggregate_images': 359,
  'batch_size': 400,
}
ALL = (probabilistic_pca, linear_beta_sweep, collapse_floor)


def on_digits(config, steps, warmup_steps, lanes, **sections):
  """Returns a launch of an experiment with another data set, other lanes and fewer steps."""
  changes = {
    'data': {'name': 'digits'},
    'lanes': lanes,
    'schedule': {'warmup_steps': warmup_steps, 'decay_steps': steps - warmup_steps},
    'train': {'steps': steps, 'batch_size': 100} | dict.fromkeys(EVERY, steps),
    'evaluation': DIGITS,
  }
  for name, change in [*changes.items(), *sections.items()]:
    config = {**config, name: {**config[name], **change}}
  return config


EVERY = ('log_every', 'evaluate_every', 'checkpoint_every')


def run(module, launches, directory):
  """Runs an experiment and returns its rows by what they say."""
  result = table.run(launches, module.rows, 'test', directory)
  assert result.exit_code == 0
  return {(row.label, row.quantity, row.seed): row for row in result.rows}


def assert_met(rows):
  missed = [row for row in rows.values() if not table.is_met(row)]
  assert not missed, '\n'.join(map(str, missed))


@pytest.fixture(scope='module')
def pca(tmp_path_factory):
  directory = tmp_path_factory.mktemp('pca')
  (config,) = probabilistic_pca.configs('full').values()
  lanes = {'latent_size': (2, 5), 'learning_rate': (1e-2,)}
  launches = {'lanes': on_digits(config, 2000, 100, lanes)}
  return launches, directory, run(probabilistic_pca, launches, directory)


def test_a_linear_vae_is_probabilistic_pca(pca):
  """The bound and R within 1 %, s^2 within 0.5 %, where 0.5 nats would be much on 64 pixels."""
  _, _, rows = pca
  assert_met(rows)
  assert len(rows) == 14
  for row in rows.values():
    close = 5e-3 * row.exact if 'variance' in row.quantity else 0.1
    assert row.ours == pytest.approx(row.exact, abs=close), row


def test_at_the_optimum_one_sample_fifty_and_iwae_agree(pca):
  """log w is the same for all z: the bounds differ by less than the standard error of log w."""
  _, _, rows = pca
  for label in ('2 latents', '5 latents'):
    one, fifty, iwae = (
      rows[label, name, 0].ours
      for name in ('ELBO, test', 'ELBO of 50 samples, test', 'IWAE = -NLL, test')
    )
    assert iwae >= fifty
    assert one == pytest.approx(fifty, abs=0.05)
    assert iwae == pytest.approx(fifty, abs=0.1)


def test_a_finished_experiment_is_read_back(pca, capsys):
  launches, directory, rows = pca
  written = (directory / 'table.md').read_text()
  assert run(probabilistic_pca, launches, directory) == rows
  printed = capsys.readouterr().out
  assert (directory / 'table.md').read_text() == written
  assert printed.strip() == written.strip()
  for words in ('digits', 'binarize=none', 'test test (359 images)', 'L = 1', '2,000 steps'):
    assert words in printed.splitlines()[0]


def test_a_linear_vae_follows_its_closed_form_over_beta(tmp_path):
  """Active units exactly, R and D within 1 %; at variance 0.02 none of 8 latents is borderline."""
  config = linear_beta_sweep.configs('full')['variance_0.05']
  betas = (0.5, 1.0, 2.0, 16.0, 45.0)
  lanes = {'beta': betas, 'latent_size': (8,), 'learning_rate': (2e-2,)}
  sections = {'bound': {'num_samples': 4}, 'likelihood': {'initial_scale': 0.02**0.5}}
  launches = {'digits': on_digits(config, 5000, 200, lanes, **sections)}
  rows = run(linear_beta_sweep, launches, tmp_path)
  assert_met(rows)
  active = [rows[f's^2 = 0.02, beta = {beta:g}', 'active units', 0] for beta in betas]
  assert [row.exact for row in active] == [8, 8, 8, 4, 0]
  assert not any(row.tolerance for row in active)
  for term, sign in (('R, train', -1), ('D, train', 1)):
    values = [rows[f's^2 = 0.02, beta = {beta:g}', term, 0].ours for beta in betas]
    assert np.all(sign * np.diff(values) > 0)
  assert sum(row.quantity == '-dD/dR' for row in rows.values()) == 4 + 4


def test_a_large_beta_collapses_to_independent_pixels(tmp_path):
  (config,) = collapse_floor.configs('full').values()
  networks = {'encoder': {'hidden': (32,)}, 'decoder': {'hidden': (32,)}}
  lanes = {'latent_size': (5,)}
  digits = on_digits(config, 1000, 0, lanes, data={'binarize': 'static'}, **networks)
  rows = run(collapse_floor, {'lanes': digits}, tmp_path)
  assert_met(rows)
  for (_, quantity, _), row in rows.items():
    if quantity == 'D, train':  # no decoder that ignores z is better on the training images
      assert -1e-3 < row.ours - row.exact < 0.1


def test_a_short_schedule_is_a_tenth_of_the_full_one():
  for module in ALL:
    short, full = module.configs('short'), module.configs('full')
    assert short.keys() == full.keys()
    for name in full:
      train, decay = short[name]['train'], short[name]['schedule']
      assert train['steps'] == full[name]['train']['steps'] // 10
      assert decay['warmup_steps'] + decay['decay_steps'] == train['steps']
      same = full[name].keys() - {'train', 'schedule'}
      assert all(short[name][key] == full[name][key] for key in same)


def test_a_row_outside_its_tolerance_is_not_met():
  row = table.Row('a', 'b', ours=2.1, seed=0, exact=2.0, tolerance=0.2)
  assert table.is_met(row)
  assert not table.is_met(row._replace(ours=1.7))
  assert not table.is_met(row._replace(ours=None))  # a lane that diverged at once
  assert not table.is_met(row._replace(ours=float('nan')))


def test_a_mistake_is_one_line_and_exit_2(tmp_path):
  arguments = ['--schedule=long', f'--workdir={tmp_path}/run']
  command = [sys.executable, '-m', 'experiments.probabilistic_pca', *arguments]
  result = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True)
  assert result.returncode == 2
  assert '--schedule=long' in result.stderr
  assert len(result.stderr.splitlines()) == 1
  assert not list(tmp_path.iterdir())


def skip_without_data(config):
  try:
    return data.load(**config['data'])
  except errors.InputError as error:
    pytest.skip(str(error))


@pytest.fixture
def own_cache(monkeypatch):
  """Reads the user's cache: to decode MNIST anew for each run of the suite is a waste."""
  monkeypatch.delenv('VAE_JAX_CACHE')


@pytest.mark.slow
def test_the_closed_form_has_the_known_figures_of_mnist(own_cache):
  """Every figure of `REFERENCE` to the digits that it is given with, one unit of the last."""
  (config,) = probabilistic_pca.configs('full').values()
  dataset = skip_without_data(config)
  train = closed_form.spectrum(dataset.train, dataset.scale)
  moments = closed_form.second_moments(dataset.test, dataset.scale, train)
  for (_, latent_size), known in probabilistic_pca.REFERENCE.items():
    exact = probabilistic_pca.exact(train.eigenvalues, moments, latent_size)
    for name, value in known.items():
      assert exact[name] == pytest.approx(value, abs=1e-6 if 'variance' in name else 1e-3)
  for (_, variance), betas in linear_beta_sweep.REFERENCE.items():
    for beta, known in betas.items():
      values = train.eigenvalues
      found = closed_form.optimum(values, values, 50, variance, beta)
      names = {
        'active units': found.active_units,
        'R, train': found.rate,
        'D, train': found.distortion,
        'ELBO, train': found.elbo,
      }
      for name, value in known.items():
        assert names[name] == pytest.approx(value, abs=0.01), (beta, name)
      seen = values[:50][values[:50] > beta * variance]  # by the count of Burda et al. 2016
      assert np.sum(1 - beta * variance / seen > 0.01) == known['active units']


@pytest.mark.slow
@pytest.mark.parametrize('module', ALL, ids=lambda module: module.__name__.split('.')[-1])
def test_an_experiment_meets_its_tolerances_on_mnist(own_cache, tmp_path, module):
  launches = module.configs('full')
  for config in launches.values():
    skip_without_data(config)
  assert_met(run(module, launches, tmp_path))
