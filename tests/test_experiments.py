"""The laws of the experiments at reduced size, on the digits; on MNIST behind the slow marker."""

import runpy
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import without_estimates
from scipy import stats

from experiments import (
  closed_form,
  collapse_floor,
  conditional,
  flax_example,
  gated_mlp,
  half_precision,
  importance_weighted,
  latent_size,
  linear_beta_sweep,
  many_lanes,
  matmul_precision,
  multi_rate,
  optimisation,
  probabilistic_pca,
  table,
  udr,
)
from vae_jax import data, errors, evaluation, figures, optimizers, study, validation
from vae_jax.commands import command
from vae_jax.config import complete
from vae_jax.evaluation import batches
from vae_jax.runs import training

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('no_pictures')]

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
def floor(tmp_path_factory):
  """A run at a large beta, without what is estimated by many samples."""
  (config,) = collapse_floor.configs('full').values()
  networks = {'encoder': {'hidden': (32,)}, 'decoder': {'hidden': (32,)}}
  lanes = {'latent_size': (5,), 'seed': (0,)}
  launches = {'lanes': on_digits(config, 1000, 0, lanes, data={'binarize': 'static'}, **networks)}
  directory = tmp_path_factory.mktemp('floor')
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(figures, 'draw_all', lambda directory: None)
    without_estimates(patch)
    return launches, directory, run(collapse_floor, launches, directory)


def test_a_large_beta_collapses_to_independent_pixels(floor):
  _, _, rows = floor
  assert_met(rows)
  assert len(rows) == 4
  ((_, _, _), row), *_ = (item for item in rows.items() if item[0][1] == 'D, train')
  # No decoder that ignores z is better on the training images.
  assert -1e-3 < row.ours - row.exact < 0.1


def test_a_finished_experiment_is_read_back(floor, capsys):
  launches, directory, rows = floor
  written = (directory / 'table.md').read_text()
  assert run(collapse_floor, launches, directory) == rows
  printed = capsys.readouterr().out
  assert (directory / 'table.md').read_text() == written
  assert printed.strip() == written.strip()
  for words in ('digits', 'binarize=static', '359 of test', 'L = 1', '1,000 steps'):
    assert words in printed.splitlines()[0]


# The closed forms of linear models are met in seconds by `test_multi_rate`, at five betas, and at
# the exact posterior by `test_bounds`; what follows trains until every figure of a table is met.
@pytest.mark.slow
def test_a_linear_vae_is_probabilistic_pca(tmp_path):
  """The bound and R within 1 %, s^2 within 0.5 %, where 0.5 nats would be much on 64 pixels.

  At the optimum log w is the same for all z: one sample, fifty and IWAE differ by less than the
  standard error of log w.
  """
  (config,) = probabilistic_pca.configs('full').values()
  lanes = {'latent_size': (2, 5), 'learning_rate': (1e-2,)}
  launches = {'lanes': on_digits(config, 2000, 100, lanes)}
  rows = run(probabilistic_pca, launches, tmp_path)
  assert_met(rows)
  assert len(rows) == 14
  for row in rows.values():
    close = 5e-3 * row.exact if 'variance' in row.quantity else 0.1
    assert row.ours == pytest.approx(row.exact, abs=close), row
  for label in ('2 latents', '5 latents'):
    one, fifty, iwae = (
      rows[label, name, 0].ours
      for name in ('ELBO, test', 'ELBO of 50 samples, test', 'IWAE = -NLL, test')
    )
    assert iwae >= fifty
    assert one == pytest.approx(fifty, abs=0.05)
    assert iwae == pytest.approx(fifty, abs=0.1)


@pytest.mark.slow
def test_a_linear_vae_follows_its_closed_form_over_beta(tmp_path):
  """Active units exactly, R and D within 1 %; at variance 0.02 none of 8 latents is borderline."""
  config = linear_beta_sweep.configs('full')['middle']
  active_units = {0.5: 8, 1.0: 8, 2.0: 8, 16.0: 4, 45.0: 0}
  betas = tuple(active_units)
  lanes = {'beta': betas, 'latent_size': (8,), 'learning_rate': (2e-2,)}
  sections = {'bound': {'num_samples': 4}, 'likelihood': {'initial_scale': 0.02**0.5}}
  launches = {'digits': on_digits(config, 5000, 200, lanes, **sections)}
  rows = run(linear_beta_sweep, launches, tmp_path)
  assert_met(rows)
  active = [rows[f's^2 = 0.02, beta = {beta:g}', 'active units', 0] for beta in betas]
  assert [row.exact for row in active] == list(active_units.values())
  assert not any(row.tolerance for row in active)
  for term, sign in (('R, train', -1), ('D, train', 1)):
    values = [rows[f's^2 = 0.02, beta = {beta:g}', term, 0].ours for beta in betas]
    assert np.all(sign * np.diff(values) > 0)
  assert sum(row.quantity == '-dD/dR' for row in rows.values()) == 2 * (len(betas) - 1)


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


def test_what_a_study_leaves_at_its_value_is_stated(tmp_path, monkeypatch):
  """A study states what differs from the page of settings; a figure needs the rest beside it."""
  result = types.SimpleNamespace(rows=[{'seconds': 1.0}], exit_code=0)
  monkeypatch.setattr(table.training, 'run', lambda config, directory: result)
  rows = [table.Row('plain', 'D', 1.0, 0)]
  found = table.run(multi_rate.configs('short'), lambda launches: rows, 'short', tmp_path)
  assert found.text.count('L = 1, analytic KL, NLL of 10 samples (10 images)') == 3


def test_a_row_outside_its_tolerance_is_not_met():
  row = table.Row('a', 'b', ours=2.1, seed=0, exact=2.0, tolerance=0.2)
  assert table.is_met(row)
  assert not table.is_met(row._replace(ours=1.7))
  assert not table.is_met(row._replace(ours=None))  # a lane that diverged at once
  assert not table.is_met(row._replace(ours=float('nan')))


PUBLISHED = {
  'flax_example': flax_example.configs,
  'gated_mlp': gated_mlp.configs,
  'half_precision': half_precision.configs,
  'importance_weighted': importance_weighted.configs,
  'matmul_precision': matmul_precision.configs,
  'latent_size': lambda schedule: latent_size.configs(schedule, 'faces.npz'),
}


@pytest.mark.parametrize('configs', PUBLISHED.values(), ids=PUBLISHED)
def test_every_launch_with_a_published_figure_is_valid(configs):
  short, full = configs('short'), configs('full')
  for config in [*short.values(), *full.values()]:
    validation.check(complete(config))
  for name in short.keys() & full.keys():
    assert short[name]['train']['steps'] < full[name]['train']['steps']


def test_the_stages_of_burda_et_al():
  """3^i passes of 60,000 or 50,000 images for i = 0 .. 7, at 1e-3 10^(-i/7)."""
  configs = importance_weighted.configs('full')
  assert len(configs) == 2 * len(importance_weighted.PUBLISHED)
  for name, config in configs.items():
    passes = sum(3**i for i in range(8))
    images = 50_000 if name.startswith('static') else 60_000
    assert config['train']['steps'] == passes * images / config['train']['batch_size']
    settings = config['schedule']
    schedule = optimizers.tripling(settings['decay_steps'], settings['factor'])
    one = images // config['train']['batch_size']
    for i in range(8):
      begin, end = ((3**j - 1) // 2 * one for j in (i, i + 1))
      for step in (begin + 1, end - 1):
        assert schedule(step) == pytest.approx(10 ** (-i / 7), rel=1e-5)
    assert (name.split('-')[1] == 'iwae') == (config['bound']['kl'] == 'sampled')


def lane(seed=0, **metrics):
  """Returns a row of results.csv as the experiments read it."""
  row = {'seed': seed, 'test/elbo': -103.2, 'train/elbo': -101.0, 'test/active_units': 19}
  nll = {'test/nll': 86.91, 'test/nll_stderr': 0.254, 'test/nll_samples': 5000}
  return {**row, **nll, **{name.replace('_at_', '/'): value for name, value in metrics.items()}}


def test_a_published_figure_stands_beside_ours():
  launches = {
    'dynamic-elbo-1-zeros': table.Launch({}, [lane(seed=4, test_at_active_units=21)], None),
    'static-iwae-5-train_mean': table.Launch({}, [lane(seed=5)], None),
  }
  dynamic, units, static, _ = importance_weighted.rows(launches)
  assert dynamic.quantity == 'NLL of 5000 samples, test, +- 0.25'
  assert (dynamic.reference, dynamic.ours, dynamic.seed) == (86.76, 86.91, 4)
  assert dynamic.difference == pytest.approx(0.15)
  assert (units.reference, units.ours) == (19, 21)
  assert (static.label, static.reference, static.seed) == ('static-iwae-5-train_mean', 87.63, 5)
  (name, *_) = gated_mlp.rows({'fashion_mnist': table.Launch({}, [lane()], None)})
  assert (name.label, name.reference) == ('fashion_mnist', 228.70)
  elbo, _ = flax_example.rows({'lanes': table.Launch({}, [lane()], None)})
  assert elbo.difference == pytest.approx(0.8)
  assert table.is_met(elbo)
  assert not table.is_met(elbo._replace(ours=-105.6))


def test_superfluous_latents_are_held_against_the_best():
  rows = [lane(latent_size=size, test_at_elbo=elbo) for size, elbo in ((3, -140), (20, -100))]
  gap = rows[1]['train/elbo'] - rows[1]['test/elbo']
  for elbo, more, met in ((-100.9, 0.9, True), (-101.1, 1.1, False), (-100.5, -3.0, True)):
    largest = lane(latent_size=200, test_at_elbo=elbo, **{'train/elbo': elbo + gap + more})
    *_, short, law = latent_size.rows({'mnist': table.Launch({}, [largest, *rows], None)})
    assert short.label == law.label == 'mnist, 200 latents'
    assert short.ours == pytest.approx(-100 - elbo)
    assert law.difference == pytest.approx(max(more, 0))
    assert table.is_met(law) == met


def test_half_precision_is_held_against_its_twin_of_the_same_seed():
  exact, rough = half_precision.configs('full').values()
  assert exact | {'program': None} == rough | {'program': None}
  assert exact['program'] == rough['program'] | {'compute_dtype': 'float32'}
  twins = {
    dtype: table.Launch(
      {}, [lane(seed=seed, **{'test/nll': 90 + shift * seed}) for seed in (0, 2)], None
    )
    for dtype, shift in (('float32', 0.0), ('bfloat16', 0.3))
  }
  found = {(row.quantity, row.seed): row for row in half_precision.rows(twins)}
  assert [found['NLL, test', seed].difference for seed in (0, 2)] == pytest.approx([0, 0.6])
  assert [table.is_met(found['NLL, test', seed]) for seed in (0, 2)] == [True, False]
  assert found['ELBO, test', 2].difference == 0


def kept(x, bits):
  """Rounds to so many bits behind the leading one, ties to even, in float64."""
  mantissa, exponent = np.frexp(np.float64(x))
  return np.ldexp(np.rint(np.ldexp(mantissa, bits + 1)), exponent - bits - 1)


def three_passes(x, y):
  h, k = kept(x, 7), kept(y, 7)
  return h @ k + h @ kept(y - k, 7) + kept(x - h, 7) @ k


BY_HAND = {
  'three_passes': three_passes,
  'tf32': lambda x, y: kept(x, 10) @ kept(y, 10),
  'one_pass': lambda x, y: kept(x, 7) @ kept(y, 7),
}


@pytest.mark.parametrize('name', BY_HAND)
def test_products_are_rounded_forward_and_backward_and_no_others(name):
  x, y, c = np.random.default_rng(0).normal(size=(3, 2, 64, 64)).astype(np.float32)

  @evaluation.highest_precision
  def both(y):
    forward = x @ y
    stated = jnp.matmul(x, y, precision='highest')
    return jnp.sum(forward * c), (forward, stated)

  def found():
    gradient, (forward, stated) = jax.jit(jax.grad(both, has_aux=True))(y)
    return [np.asarray(value, np.float64) for value in (forward, gradient, stated)]

  with matmul_precision.within(name):
    forward, gradient, stated = found()
  rounded, turned = BY_HAND[name], np.swapaxes(x, 1, 2)
  np.testing.assert_allclose(forward, rounded(x, y), rtol=0, atol=3e-5)
  np.testing.assert_allclose(gradient, rounded(turned, c), rtol=0, atol=3e-5)
  exact = np.float64(x) @ np.float64(y)
  np.testing.assert_allclose(stated, exact, rtol=0, atol=3e-5)
  assert np.abs(forward - exact).max() > 1e-4
  np.testing.assert_allclose(found()[0], exact, rtol=0, atol=3e-5)  # afterwards, as ever


def test_a_launch_is_trained_within_its_products_and_held_against_full_float32(
  tmp_path, monkeypatch
):
  trained, asked = [], []

  def run(config, workdir):
    trained.append((workdir.name, batches.PRECISION))
    shift = len(trained) / 100
    rows = [lane(seed=seed, seconds=1, **{'test/nll': 90 + shift * seed}) for seed in (0, 2)]
    return types.SimpleNamespace(rows=rows, exit_code=0)

  def evaluated(launch):
    asked.append((launch.workdir.name, batches.PRECISION))
    return [{**row, 'test/nll': row['test/nll'] + 1e-4} for row in launch.rows]

  monkeypatch.setattr(training, 'run', run)
  monkeypatch.setattr(matmul_precision, 'evaluated', evaluated)
  launches, within = matmul_precision.configs('short'), matmul_precision.within
  found = table.run(launches, matmul_precision.rows, 'short', tmp_path, within).rows
  rounded = list(matmul_precision.ROUNDED)
  assert trained == [('float32', 'highest'), *((name, 'high') for name in rounded)]
  assert asked == [('float32', 'high')] * 3
  found = {(row.label, row.quantity, row.seed): row for row in found}
  row = found['three_passes, evaluation', 'NLL, test', 2]
  assert (row.difference, table.is_met(row)) == (pytest.approx(1e-4), True)
  assert found['tf32, training too', 'NLL, test', 2].difference == pytest.approx(0.04)
  assert found['tf32, training too', 'ELBO, test', 2].difference == 0


def test_a_lane_that_diverged_has_a_row_without_figures():
  dead = lane(latent_size=200, **{'test/nll': None, 'test/nll_stderr': None, 'test/elbo': None})
  row = table.nll_row('a', dead, 86.76)
  assert (row.ours, row.difference, row.quantity) == (None, None, 'NLL of 5000 samples, test')
  *_, last = latent_size.rows({'mnist': table.Launch({}, [dead], None)})
  assert last.quantity == 'active units, test'


def test_a_mistake_is_one_line_and_exit_2(tmp_path, monkeypatch, capsys):
  arguments = ['--schedule=long', f'--workdir={tmp_path}/run']
  seen = []
  monkeypatch.delitem(sys.modules, 'experiments.collapse_floor')
  monkeypatch.setattr(command, 'start', lambda made: seen.append(made))
  runpy.run_module('experiments.collapse_floor', run_name='__main__')
  (made,) = seen
  assert command.exit_code_of(made, arguments) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert '--schedule=long' in line
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
  for (_, size), known in probabilistic_pca.REFERENCE.items():
    exact = probabilistic_pca.exact(train.eigenvalues, moments, size)
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


@pytest.mark.slow
def test_true_labels_are_worth_nats_and_shuffled_ones_none(tmp_path):
  """The spread of the ELBO between seeds is the noise; of 3,000 steps it is 0.15 nats."""
  launches = {name: config for name, config in conditional.configs('full').items()}
  result = run(conditional, launches, tmp_path)
  gains = {}
  for row in result:
    if row.quantity == 'ELBO, test':
      gains.setdefault(row.label, []).append(row.difference)
  for label, values in gains.items():
    mean, error = np.mean(values), np.std(values, ddof=1) / len(values) ** 0.5
    assert mean > 5 * error and mean > 2 if 'true' in label else abs(mean) < max(0.3, 5 * error)


def test_seconds_of_a_part_are_without_those_of_the_parts_inside(monkeypatch):
  clock = [0.0]
  monkeypatch.setattr(many_lanes.time, 'process_time', lambda: clock[0])
  parts = many_lanes.Parts()

  def wait(seconds, then=lambda: None):
    clock[0] += seconds
    then()

  inner = parts.timed('inner', wait)
  outer = parts.timed('outer', wait)
  wait(1.0)
  outer(2.0, lambda: inner(4.0))
  inner(8.0)
  wait(16.0)
  with parts.watched():
    pass
  assert parts.seconds == {'rest': 17.0, 'outer': 2.0, 'inner': 12.0}


def test_very_many_lanes_are_a_config_and_a_table():
  config = complete(many_lanes.get_config(10_000))
  assert not validation.problems(config).lines
  assert len(config['lanes']['beta']) * len(config['lanes']['seed']) == 10_000
  one = {
    'lanes': 1000,
    'seconds': {'train': 1.5, 'rest': 2.0},
    'peak': {'train': 2**21, 'rest': 2**20},
    'bytes': dict.fromkeys((*many_lanes._FILES, 'rest'), 2_500_000),
  }
  lines = many_lanes.table([one, one]).splitlines()
  assert '| train | 1.5 | 2 | 1.5 | 2 |' in lines
  assert '| **a run** | 4 | 2 | 4 | 2 |' in lines
  assert '| images.npz | 2.5 | 2.5 |' in lines


def test_a_change_of_the_optimiser_is_compared_with_plain_adam_of_the_same_seed():
  """Differences are of pairs: what the seeds have in common leaves the error."""
  (config, *_) = optimisation.configs('full').values()
  lanes = study.points_of(config)
  gain, of_seed = {0.99: 1.0, 0.999: 3.0}, [40.0, 20.0, 30.0, 10.0]
  of_pair = [0.1, -0.1, 0.1, -0.1]

  def nll(lane):
    ema = lane['ema_decay']
    return of_seed[lane['seed']] - (gain[ema] + of_pair[lane['seed']] if ema else 0.0)

  made = [lane | {'validation/nll': nll(lane), 'test/nll': nll(lane)} for lane in lanes]
  rows = optimisation.rows({'large': table.Launch(config, made, None)})
  first, third = rows[0], rows[2]
  assert (first.label, third.label) == ('large, ema_decay 0.99', 'large, ema_decay 0.999')
  assert first.difference == pytest.approx(-1) and third.difference == pytest.approx(-3)
  error = np.std(of_pair, ddof=1) / 2
  assert first.quantity == f'NLL, validation, difference +- {error:.3f}'
  assert rows[4].difference == 0


def test_a_rank_correlation_is_of_pairs_in_their_group():
  """Beside SciPy's Spearman, and beside all pairings of four, two of 24 of which are as extreme."""
  pairs = np.random.default_rng(6).normal(size=(20, 2))
  expected = stats.spearmanr(*pairs.T)
  correlation, p_value = udr.rank_correlation([pairs])
  np.testing.assert_allclose(correlation, expected.statistic, rtol=1e-12)
  # SciPy takes the distribution of many pairs for that of 20.
  np.testing.assert_allclose(p_value, expected.pvalue, rtol=0.05)
  correlation, p_value = udr.rank_correlation([[(1, 2), (2, 3), (3, 5), (4, 7)]])
  assert correlation == pytest.approx(1)
  assert p_value == pytest.approx(2 / 24, abs=5 * np.sqrt(2 / 24 / 99_999))
  # What lies between groups is no link within them.
  opposed = [[(10 * i, 10 * i + 1), (10 * i + 1, 10 * i)] for i in range(5)]
  assert udr.rank_correlation(opposed)[0] == pytest.approx(-1)
