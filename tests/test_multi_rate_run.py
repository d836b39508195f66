"""A run whose lanes are trained for every beta: curve.csv, its picture, lane.at_beta."""

import conftest
import numpy as np
import pytest

import vae_jax
from vae_jax import errors, figures, records, study
from vae_jax.runs.workdir import FILES

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('traced_once')]

BETAS = (0.02, 0.5, 8.0)


def many_betas():
  config = conftest.small_config()
  config['lanes'] |= dict(beta=(0.5,), latent_size=(3,), seed=(1,))
  config['bound'] = dict(name='multi_rate')
  config['train'] |= dict(steps=40)
  config['evaluation'] |= dict(betas=BETAS)
  return config


@pytest.fixture(scope='module')
def run(tmp_path_factory, traced_once):
  """One lane, 40 steps; without NLL and pictures, which take most of the time."""
  directory, config = tmp_path_factory.mktemp('many') / 'run', many_betas()
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(figures, 'draw_all', lambda directory: None)
    conftest.without_estimates(patch)
    return vae_jax.train(config, directory)


@pytest.fixture(scope='module')
def curve(run):
  return records.read_table(run.directory / 'curve.csv', records.CURVE_COLUMNS)


def test_the_curve_has_every_lane_at_every_beta(run, curve):
  assert 'curve.csv' in FILES
  assert [(row['lane'], row['name'], row['beta']) for row in curve] == [
    (0, run.names[0], beta) for beta in BETAS
  ]
  for row in curve:
    for split in ('train', 'test'):
      rate, distortion = row[f'{split}/rate'], row[f'{split}/distortion']
      assert row[f'{split}/elbo'] == pytest.approx(-rate - distortion, rel=1e-5)
      objective = -distortion - row['beta'] * rate
      assert row[f'{split}/objective'] == pytest.approx(objective, rel=1e-5)
  assert len({row['test/rate'] for row in curve}) == len(BETAS)


def test_at_its_own_beta_a_lane_is_its_row_of_the_results(run, curve):
  (row,) = run.results
  (own,) = [line for line in curve if line['beta'] == row['beta']]
  for name, value in own.items():
    if name not in ('lane', 'name', 'beta'):
      assert row.get(name, value) == (None if value is None else pytest.approx(value, rel=1e-6))


def test_a_lane_at_another_beta_has_the_figures_of_the_curve(run, curve):
  lane, x = run.lanes[0], run.evaluated()
  for row in curve:
    other = lane.at_beta(row['beta'])
    assert (other.beta, other.name, other.seed) == (row['beta'], lane.name, lane.seed)
    assert other.rate(x).mean() == pytest.approx(row['test/rate'], rel=1e-4)
    assert other.distortion(x).mean() == pytest.approx(row['test/distortion'], rel=1e-4)
  assert lane.beta == 0.5
  low, high = (lane.at_beta(np.float32(beta)) for beta in (0.02, 8.0))
  z = np.ones((1, lane.latent_size), np.float32)
  assert np.abs(low.decode(z) - high.decode(z)).max() > 1e-4
  assert np.abs(low.encode(x) - high.encode(x)).max() > 1e-4


@pytest.mark.parametrize(('beta', 'words'), [(20.0, 'value is 10'), (0, '0.01'), ('1', 'finite')])
def test_a_beta_that_was_not_trained_is_refused(run, beta, words):
  with pytest.raises(errors.InputError, match=f'^beta=.*{words}'):
    run.lanes[0].at_beta(beta)


def test_a_lane_of_one_beta_has_no_other(run):
  lane = run.lanes[0]
  plain = lane.__class__(**{**vars(lane), 'shared': lane.shared._replace(beta_range=())})
  with pytest.raises(errors.InputError, match=r'was trained for beta=0\.5 alone'):
    plain.at_beta(1.0)


def test_the_picture_has_the_curve_of_each_lane(run, curve):
  rows = run.results
  (axes,) = figures.rate_distortion(rows, 'many', curve).axes
  expected = np.array([[row['test/rate'], row['test/distortion']] for row in curve])
  drawn = [line.get_xydata() for line in axes.lines if len(line.get_xydata()) == len(BETAS)]
  assert any(np.allclose(line, expected) for line in drawn)
  for value, limits in zip(expected.T, (axes.get_xlim(), axes.get_ylim()), strict=True):
    assert limits[0] < value.min() and value.max() < limits[1]


def test_the_betas_of_a_curve_reach_from_end_to_end():
  config = many_betas()
  config['evaluation']['betas'] = ()
  betas = study.from_config(config).betas
  assert (betas[0], betas[-1], len(betas)) == (0.01, 10.0, 13)
  np.testing.assert_allclose(np.diff(np.log(betas)), np.log(1000) / 12)
