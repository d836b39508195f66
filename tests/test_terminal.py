"""The table that ends a command."""

import pathlib

import pytest

from vae_jax.commands import terminal
from vae_jax.runs import outcome

pytestmark = pytest.mark.math


def row(name, elbo, status='done', **cells):
  keys = ('test/active_units', 'test/rate', 'test/distortion', 'test/nll', 'test/nll_stderr')
  known = dict.fromkeys(keys, 1.0) | dict(beta=1.0, latent_size=2, step=7, seconds=1.0)
  return known | {'name': name, 'test/elbo': elbo, 'status': status} | cells


def shown(capsys, *rows):
  terminal.show(outcome.Outcome(list(rows), pathlib.Path('results.csv'), [], 'analytic', 3, []))
  return capsys.readouterr().out


def test_a_diverged_lane_is_not_among_the_best_and_its_reason_is_said(capsys):
  text = shown(
    capsys,
    row('good', -20.0),
    row('wild', 1e9, status='diverged', reason='the rate was not finite first'),
    row('unknown', None),
  )
  assert 'Best of 3 lanes by test ELBO, 2 left out (nats' in text
  table, _, rest = text.partition('wild')
  assert 'good' in table
  assert rest.startswith(' diverged at step 7: the rate was not finite first\n')
  assert 'unknown' not in text


def test_numbers_have_a_sane_width_and_what_is_not_known_is_empty(capsys):
  cells = {'test/active_units': None, 'test/nll': float('nan'), 'test/distortion': 1.2e38}
  text = shown(capsys, row('good', -1.2e38, **cells))
  assert 'left out' not in text
  header, line = text.splitlines()[3:5]
  assert line.split() == ['good', '1', '2', '-1.2e+38', '1.00', '1.2e+38', '1.00']
  assert len(header) < 90 > len(line)


def test_where_every_lane_diverged_there_is_no_best(capsys):
  text = shown(capsys, row('wild', -1.0, status='diverged'))  # a table older than its reason
  assert 'none\n' in text
  assert 'wild diverged at step 7\n' in text


def test_the_best_eight_by_test_elbo_come_first_to_last(capsys):
  """Neither by another figure nor in the order of the lanes."""
  elbos = [-24.0, -21.0, -30.0, -20.0, -28.0, -22.0, -29.0, -27.0, -23.0, -26.0]
  rows = [
    row(f'lane{i}', elbo, **{'test/rate': i, 'train/elbo': elbo * (-1) ** i, 'test/nll': -elbo})
    for i, elbo in enumerate(elbos)
  ]
  lines = shown(capsys, *rows).splitlines()[4:12]
  assert [line.split()[0] for line in lines] == [
    'lane3', 'lane1', 'lane5', 'lane8', 'lane0', 'lane9', 'lane7', 'lane4',
  ]  # fmt: skip
  assert lines[0].split() == ['lane3', '1', '2', '1', '-20.00', '3.00', '1.00', '20.00', '1.00']
  assert 'lane6' not in '\n'.join(lines)


def test_a_sampled_rate_is_said_to_be_one(capsys):
  for kl in ('analytic', 'sampled'):
    terminal.show(outcome.Outcome([row('a', -1.0)], pathlib.Path('results.csv'), [], kl, 0, []))
    assert ('The rate is sampled' in capsys.readouterr().out) == (kl == 'sampled')
