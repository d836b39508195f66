"""The table that ends a command."""

import pathlib

from launch import terminal
from vae_jax import outcome


def row(name, elbo, status='done', **cells):
  keys = ('test/active_units', 'test/rate', 'test/distortion', 'test/nll', 'test/nll_stderr')
  known = dict.fromkeys(keys, 1.0) | dict(beta=1.0, latent_size=2, step=7, seconds=1.0)
  return known | {'name': name, 'test/elbo': elbo, 'status': status} | cells


def shown(capsys, *rows):
  terminal.show(outcome.Outcome(list(rows), pathlib.Path('results.csv'), [], 'analytic', 3))
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
