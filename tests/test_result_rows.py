"""The rows of results.csv: what a lane's row says of where it stands."""

import types

import numpy as np
import pytest

from vae_jax import lanes, learner, records
from vae_jax.runs import outcome

pytestmark = pytest.mark.run


def rows_of(tmp_path, final, **changes):
  """Of three lanes, of which the second diverged at step 4 and the third has collapsed."""
  points = [lanes.point(beta, size, 7, 1e-3) for beta, size in ((0.5, 2), (1.0, 3), (4.0, 6))]
  built = types.SimpleNamespace(points=points, names=['a', 'b', 'c'], event=(4, 3, 1))
  state = types.SimpleNamespace(
    diverged_at=np.array([learner.NOT_DIVERGED, 4, -1]), multiplier=None
  )
  evaluated = {
    'test/elbo': [-1.0, None, -3.0],
    'test/rate': [1.0, None, 0.0],
    'batch/elbo': [0] * 3,
  }
  progress = outcome.begun(state, 3)._replace(
    step=20,
    evaluated=evaluated,
    collapsed_at=[None, None, 10],
    reasons=[None, 'the rate was not finite first', None],
    seconds=8.00049,
    training_seconds=5.0,
  )
  outcome.write_results(built, tmp_path, progress._replace(**changes), final)
  return records.read_results(tmp_path / 'results.csv')


@pytest.mark.parametrize(('final', 'status'), [(True, 'done'), (False, 'running')])
def test_a_row_says_where_its_lane_stands(tmp_path, final, status):
  rows = rows_of(tmp_path, final)
  assert [row['lane'] for row in rows] == [0, 1, 2]
  assert [row['name'] for row in rows] == ['a', 'b', 'c']
  assert [row['status'] for row in rows] == [status, 'diverged', status]
  assert [row['step'] for row in rows] == [20, 4, 20]
  assert [row['reason'] for row in rows] == [None, 'the rate was not finite first', None]
  assert [row['collapsed_at'] for row in rows] == [None, None, 10]
  assert [row['test/elbo'] for row in rows] == [-1.0, None, -3.0]
  assert [row['test/rate'] for row in rows] == [1.0, None, 0.0]


def test_a_row_has_its_lanes_settings_and_what_follows_from_them(tmp_path):
  """Beta normalised is beta Z / D: 12 values an example."""
  rows = rows_of(tmp_path, True)
  assert [row['beta'] for row in rows] == [0.5, 1.0, 4.0]
  assert [row['latent_size'] for row in rows] == [2, 3, 6]
  assert {row['seed'] for row in rows} == {7}
  np.testing.assert_allclose([row['beta_normalised'] for row in rows], [1 / 12, 1 / 4, 2])


def test_the_speed_is_of_the_steps_that_were_trained(tmp_path):
  assert {(row['seconds'], row['steps_per_second']) for row in rows_of(tmp_path, True)} == {(8, 4)}
  untrained = rows_of(tmp_path, True, training_seconds=0.0)
  assert {row['steps_per_second'] for row in untrained} == {None}


def test_what_is_not_finite_is_not_known():
  found = outcome.host({'a': np.array([1.0, np.nan, np.inf, -np.inf]), 'b': [3, 2, 1, 0]})
  assert found == {'a': [1.0, None, None, None], 'b': [3, 2, 1, 0]}
