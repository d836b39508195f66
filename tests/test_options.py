"""Whole runs of what a config may say."""

import numpy as np
import pytest

from vae_jax import disentanglement, evaluation, programs, records, study
from vae_jax.runs import outcome, training

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('no_pictures', 'traced_once')]


# A bound of two layers is in `test_one_name`, and the step of every part in `test_combinations`.
@pytest.mark.parametrize(
  'changes',
  [
    dict(
      likelihood=dict(name='cross_entropy'),
      data=dict(binarize='none', pad=(11, 9)),
      encoder=dict(name='conv', channels=(4,), kernels=(3,), strides=(2,)),
      decoder=dict(
        name='conv', channels=(4,), kernels=(3,), strides=(2,), output_bias='train_mean'
      ),
      schedule=dict(name='cosine', warmup_steps=10, decay_steps=50, factor=0.1),
      optimizer=dict(name='adamax'),
      lanes=dict(combine='zip', beta=(0.0, 2.0), latent_size=(1, 5), seed=(3,)),
      train=dict(log_every=20, log_powers_of_two=True),
    ),
    pytest.param(
      dict(
        data=dict(crop=(7, 5), binarize='threshold'),
        posterior=dict(name='two_layer', lower_size=6, hidden=(7,)),
        prior=dict(name='two_layer', hidden=(7,)),
        bound=dict(name='iwae', kl='sampled', num_samples=3, gradient='doubly_reparameterized'),
        lanes=dict(beta=(1.0,)),
      ),
      marks=pytest.mark.slow,
    ),
    pytest.param(
      dict(
        likelihood=dict(name='gaussian', scale='per_pixel', mean='sigmoid'),
        data=dict(binarize='none'),
        prior=dict(name='vamp', num_components=4),
        bound=dict(num_samples=3, kl='sampled', gradient='sticking_the_landing'),
      ),
      marks=pytest.mark.slow,
    ),
    pytest.param(
      dict(
        data=dict(name='shapes'),
        bound=dict(name='beta_tcvae'),
        evaluation=dict(factor_images=300),
      ),
      marks=pytest.mark.slow,
    ),
  ],
  ids=['conv, cross-entropy, zip, beta 0', 'two layers', 'gaussian and vamp', 'shapes'],
)
def test_every_option_trains_to_a_better_bound(config, tmp_path, changes, no_images):
  for section, values in changes.items():
    config[section] |= values
  result = training.run(config, tmp_path / 'run')
  assert result.exit_code == 0
  metrics = records.read_metrics(tmp_path / 'run' / 'metrics.jsonl')
  powers = config['train']['log_powers_of_two']
  steps = [1, 2, 4, 8, 16, 20, 32, 40, 60, 64, 65] if powers else [10, 20, 30, 40, 50, 60, 65]
  assert [m['step'] for m in metrics if m['lane'] == 0] == steps
  for row in result.rows:
    curve = [m['batch/objective'] for m in metrics if m['lane'] == row['lane']]
    assert np.all(np.isfinite(curve))
    assert curve[-1] > curve[0]
  check_tables(config, result.rows, tmp_path / 'run')


def check_tables(config, rows, workdir):
  """latents.csv, nll_curve.csv and disentanglement.csv agree with results.csv."""
  latents = records.read_table(workdir / 'latents.csv', records.LATENT_COLUMNS)
  curve = records.read_table(workdir / 'nll_curve.csv', records.NLL_CURVE_COLUMNS)
  two_layers = config['posterior']['name'] == 'two_layer'
  lower = config['posterior']['lower_size'] if two_layers else 0
  by_latent = config['prior']['name'] in ('standard_normal', 'two_layer')
  for row in rows:
    own = [line for line in latents if line['lane'] == row['lane']]
    assert len(own) == lower + row['latent_size']
    assert sum(line['active'] for line in own) == row['test/active_units']
    assert [line['layer'] for line in own].count(2) == (row['latent_size'] if lower else 0)
    if by_latent:
      assert sum(line['rate'] for line in own) == pytest.approx(row['test/rate'], rel=1e-4)
    else:
      assert {line['rate'] for line in own} == {None}
    points = [line for line in curve if line['lane'] == row['lane']]
    if config['likelihood']['name'] == 'cross_entropy':
      assert not points
      assert row['test/nll'] is None
    else:
      assert -points[-1]['bound'] == pytest.approx(row['test/nll'])
      assert points[-1]['stderr'] == pytest.approx(row['test/nll_stderr'])
      assert [line['samples'] for line in points] == [1, 10, 20]
  scores = workdir / 'disentanglement.csv'
  assert scores.exists() == (config['data']['name'] == 'shapes')
  if scores.exists():
    table = records.read_table(scores, ('lane', 'name', 'images', *disentanglement.NAMES))
    assert [line['images'] for line in table] == [300] * len(rows)
    assert all(0 <= line['mig'] <= 1 for line in table)


def test_a_collapse_is_said_when_it_comes_and_recorded(config, tmp_path, caplog, no_estimates):
  """Beta far above what the rate is worth: no unit stays active."""
  config['lanes'] |= dict(beta=(0.01, 1000.0), learning_rate=(1e-2,))
  config['train'] |= dict(steps=120, evaluate_every=20, checkpoint_every=100)
  result = training.run(config, tmp_path / 'run')
  fine, collapsed = result.rows[:2], result.rows[2:]
  assert [row['collapsed_at'] for row in fine] == [None, None]
  assert [row['test/active_units'] for row in collapsed] == [0, 0]
  said = {r.message for r in caplog.records if 'collapse' in r.message}
  assert said == {
    f'{row["name"]}: posterior collapse at step {row["collapsed_at"]}, no unit is active'
    for row in collapsed
  }
  metrics = records.read_metrics(tmp_path / 'run' / 'metrics.jsonl')
  for row in collapsed:
    active = [
      m['test/active_units']
      for m in metrics
      if m['lane'] == row['lane'] and m['step'] >= row['collapsed_at'] and 'test/active_units' in m
    ]
    assert set(active) == {0}


def test_a_thin_nll_is_said(config, monkeypatch, caplog, no_parts):
  """Lanes whose NLL hangs on one sample for a tenth of the images are named, the others not."""
  built = study.from_config(config)
  lanes_of_images = [[5.0] * 30, [5.0] * 15 + [1.2] * 15, [5.0] * 28 + [1.2] * 2, [9.0] * 30]
  effective = np.array(lanes_of_images)[:, None]
  found = evaluation.Evidence(np.zeros((4, 1, 30, 3)), effective, 1 / effective, 0 * effective)
  result = evaluation.nll_of(found, np.ones((1, 30)), 64)
  monkeypatch.setattr(programs, 'nll', lambda *arguments: result)
  state = programs.init(built.training.learner, built.lanes, built.place)
  metrics = outcome.estimate(built, state).metrics
  said = [r.message for r in caplog.records if 'effective sample size below 2' in r.message]
  assert len(said) == 1
  assert said[0].startswith(f'{built.names[1]}: ')
  assert '50 %' in said[0]
  np.testing.assert_allclose(metrics['test/effective_samples'], effective[:, 0].mean(1))


def test_wandb_takes_every_lane_with_its_pictures(config, tmp_path, caplog, monkeypatch):
  for name in ('WANDB_DIR', 'WANDB_DATA_DIR', 'WANDB_CACHE_DIR', 'WANDB_CONFIG_DIR'):
    monkeypatch.setenv(name, str(tmp_path / 'home'))
  config['wandb'] |= dict(mode='offline', tags=('test',), images_every=1)
  config['train'] |= dict(steps=25)  # two evaluations
  monkeypatch.setattr(outcome, 'estimate', lambda *arguments: outcome.Estimates({}, []))
  result = training.run(config, tmp_path / 'run')
  assert result.exit_code == 0
  warnings = [r.getMessage() for r in caplog.records if r.levelname == 'WARNING']
  # So small a study has all of these.
  of_lanes = 'one sample carries the NLL', 'posterior collapse', 'has not started', 'its ceiling'
  of_lanes += ('still rises',)
  assert not [w for w in warnings if not any(words in w for words in of_lanes)]
  runs = list((tmp_path / 'run' / 'wandb').glob('offline-run-*'))
  assert len(runs) == 4 + 1  # the lanes, and the study
  pictures = [path.name for path in (tmp_path / 'run' / 'wandb').rglob('*.png')]
  for kind in ('reconstructions', 'samples'):
    assert sum(name.startswith(kind) for name in pictures) > 4  # also before the end
