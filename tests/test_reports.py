"""The lines of a log: how many, and what they say."""

import logging

import pytest

from vae_jax.runs import reports

pytestmark = pytest.mark.run


def lines_of(caplog, steps, seconds_a_step, every=10**9, first=0):
  """The lines of a run that takes so long a step, and is evaluated so often."""
  caplog.set_level(logging.INFO)
  caplog.clear()
  clock = [0.0]
  one = reports.Reports(['a', 'b'], first, steps, lambda: clock[0])
  for step in range(first + 1, steps + 1):
    clock[0] += seconds_a_step
    one.write(step, 'best', evaluated=step % every == 0)
  return [record.getMessage() for record in caplog.records]


def test_a_hundred_thousand_log_points_are_a_line_each_ten_seconds(caplog):
  """Of 100,000 steps at 1 ms: 100 s, so the first, one each 10 s, and the last."""
  lines = lines_of(caplog, 100_000, 1e-3)
  assert 10 <= len(lines) <= 12
  assert lines[0].startswith('step 1 of 100000 (0 %), ')
  assert lines[-1] == 'step 100000 of 100000 (100 %), 00:00 left, best'


def test_evaluations_have_a_line_but_not_more_than_one_a_second(caplog):
  assert len(lines_of(caplog, 40, 2.0, every=2)) == 1 + 20
  assert 100 <= len(lines_of(caplog, 100_000, 1e-3, every=1)) <= 102


def test_the_time_left_is_that_of_this_attempt(caplog):
  """500 steps done before; 30 of 500 at 12 s each: 470 x 12 s are left."""
  lines = lines_of(caplog, 1000, 12.0, first=500)
  assert lines[29] == 'step 530 of 1000 (53 %), 1:34:00 left, best'


@pytest.mark.parametrize(
  ('elbos', 'reasons', 'words'),
  [
    ([-30.0, -20.0], [None, None], 'best batch ELBO -20.00 nats (b)'),
    ([-30.0, 1e9], [None, 'overflow'], 'best batch ELBO -30.00 nats (a), 1 diverged'),
    ([None, -1.2e38], [None, None], 'best batch ELBO -1.2e+38 nats (b)'),
    ([None, -1.0], ['overflow', 'overflow'], 'no ELBO, 2 diverged'),
  ],
)
def test_the_best_is_of_the_lanes_that_live(elbos, reasons, words):
  assert reports.Reports(['a', 'b'], 0, 9).best({'batch/elbo': elbos}, reasons) == words


def test_where_there_is_an_evaluation_it_is_what_counts():
  metrics = {'batch/elbo': [-1.0, -2.0], 'test/elbo': [-5.0, -4.0]}
  assert reports.Reports(['a', 'b'], 0, 9).best(metrics, [None] * 2) == (
    'best test ELBO -4.00 nats (b)'
  )
