"""What is said while a run trains: how many lines in a log, and one line of a terminal."""

import contextlib
import fcntl
import logging
import os
import pty
import select
import struct
import termios

import pytest

from vae_jax import standing
from vae_jax.runs import reports

pytestmark = pytest.mark.run

METRICS = {'test/elbo': [-30.0, -20.0]}


def said_of(caplog, steps, seconds_a_step, every=10**9, first=0):
  """The lines of a run that takes so long a step, and is evaluated so often."""
  caplog.set_level(logging.INFO)
  caplog.clear()
  clock = [0.0]
  with reports.opened(['a', 'b'], 'test', first, steps, clock=lambda: clock[0]) as said:
    for step in range(first + 1, steps + 1):
      clock[0] += seconds_a_step
      said.trained(step, METRICS, [None] * 2, evaluated=step % every == 0)
  return [record.getMessage() for record in caplog.records]


def test_a_hundred_thousand_log_points_are_a_line_each_ten_seconds(caplog):
  """Of 100,000 steps at 1 ms: 100 s, so the first, one each 10 s, and the last."""
  lines = said_of(caplog, 100_000, 1e-3)
  assert 10 <= len(lines) <= 12
  assert lines[0].startswith('step 1 of 100000 (0 %), ')
  assert lines[-1] == (
    'step 100000 of 100000 (100 %), 00:00 left, 1000 steps/s, '
    'test ELBO: best -20.00 nats (b), median -25.00'
  )


def test_evaluations_have_a_line_but_not_more_than_one_a_second(caplog):
  assert len(said_of(caplog, 40, 2.0, every=2)) == 1 + 20
  assert 100 <= len(said_of(caplog, 100_000, 1e-3, every=1)) <= 102


def test_the_time_left_is_that_of_this_attempt(caplog):
  """500 steps done before; 30 of 500 at 12 s each: 470 x 12 s are left."""
  lines = said_of(caplog, 1000, 12.0, first=500)
  assert lines[29].startswith('step 530 of 1000 (53 %), 1:34:00 left, 0.0833 steps/s, ')


def test_the_speed_is_of_all_steps_but_the_first(caplog):
  """It takes 100 s, and the others 1 s and 19 s in turn."""
  caplog.set_level(logging.INFO)
  clock = [0.0]
  with reports.opened(['a', 'b'], 'test', 0, 60, clock=lambda: clock[0]) as said:
    for step in range(1, 42):
      clock[0] += 100.0 if step == 1 else 19.0 if step % 2 else 1.0
      said.trained(step, METRICS, [None] * 2, evaluated=False)
  assert caplog.records[0].getMessage().startswith('step 1 of 60 (1 %), 1:38:20 left, 0.01 steps/s')
  assert caplog.records[-1].getMessage().startswith('step 41 of 60 (68 %), 03:10 left, 0.1 steps/s')


def test_what_follows_the_last_step_has_lines_each_ten_seconds_with_the_time_left(caplog):
  caplog.set_level(logging.INFO)
  clock = [0.0]
  # All lanes have stopped at step 6 of 9.
  with reports.opened(['a', 'b'], 'test', 6, 9, clock=lambda: clock[0]) as said:
    said.doing('evaluating at step 6', brief=True)
    said.doing('evaluating')

    def compute():
      clock[0] += 4.0

    pieces = said.pieces(lambda name, compute: compute())
    for number in range(1, 8):
      pieces(f'NLL, part {number} of 7', compute)
    said.doing('writing')
  assert [record.getMessage() for record in caplog.records] == [
    'evaluating',
    'NLL, part 1 of 7',
    'NLL, part 4 of 7, 00:16 left',
    'NLL, part 7 of 7, 00:04 left',
    'writing',
  ]


@pytest.mark.parametrize(
  ('metrics', 'reasons', 'words'),
  [
    ([-30.0, -20.0, -21.0], [None] * 3, 'best -20.00 nats (b), median -21.00'),
    ([-30.0, 1e9, -20.0], [None, 'overflow', None],
     'best -20.00 nats (c), median -25.00, 1 diverged'),
    ([None, -1.2e38, None], [None] * 3, 'best -1.2e+38 nats (b), median -1.2e+38'),
  ],
)  # fmt: skip
def test_best_and_median_are_of_the_lanes_that_live(metrics, reasons, words):
  found = standing.elbo_of({'test/elbo': metrics}, reasons, ['a', 'b', 'c'], 'test')
  assert found.texts()[0] == f'test ELBO: {words}'


def test_where_no_lane_lives_there_is_no_elbo():
  found = standing.elbo_of({'batch/elbo': [None, -1.0]}, ['overflow'] * 2, ['a', 'b'], 'test')
  assert set(found.texts()) == {'no ELBO, 2 diverged'}


def test_the_split_that_chooses_is_shown_and_before_it_the_batch():
  metrics = {'batch/elbo': [-1.0, -2.0], 'validation/elbo': [-5.0, -4.0], 'test/elbo': [-3.0] * 2}
  found = standing.elbo_of(metrics, [None] * 2, ['a', 'b'], 'validation')
  assert found[:4] == ('validation', -4.0, -4.5, 'b')
  found = standing.elbo_of({'batch/elbo': [-1.0, -2.0]}, [None] * 2, ['a', 'b'], 'validation')
  assert found[:4] == ('batch', -1.0, -1.5, 'a')


@pytest.fixture
def terminal():
  """Opens a terminal of so many columns; returns its stream and what was written there since."""
  with contextlib.ExitStack() as stack:

    def opened(columns):
      outer, inner = pty.openpty()
      fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
      stack.callback(os.close, outer)
      stream = stack.enter_context(open(inner, 'w'))

      def read():
        shown = b''
        while select.select([outer], [], [], 0.0)[0]:
          shown += os.read(outer, 2**16)
        return shown.decode()

      return stream, read

    yield opened


@pytest.mark.parametrize(
  ('columns', 'words'),
  [
    (40, '900/2000, 00:11 left, 100/s'),
    (80, '900/2000, 00:11 left, 100/s, validation ELBO: best -102.25, median -151.50'),
    (
      120,
      '900/2000 steps, 00:11 left, 100 steps/s, validation ELBO: best -102.25 nats (b1-z8-s1), ',
    ),
    (160, 'best -102.25 nats (b1-z8-s1), median -151.50 |'),
  ],
)
def test_the_bar_fits_in_one_line_and_says_what_is_being_done(terminal, columns, words):
  stream, read = terminal(columns)
  clock = [0.0]
  names, metrics = ['b1-z8-s1', 'b4-z8-s1'], {'validation/elbo': [-102.25, -200.75]}
  with reports.opened(names, 'validation', 0, 2000, stream, lambda: clock[0]) as said:
    for _ in range(9):
      clock[0] += 1.0
      said.trained(round(100 * clock[0]), metrics, [None] * 2, evaluated=True)
    said.doing('evaluating')
    clock[0] += 1.0
    said.pieces(lambda name, compute: None)('NLL of the validation set, part 1 of 9', None)
  shown = read()
  lines = shown.replace('\r\n', '\r').split('\r')
  assert max(map(len, lines)) < columns
  assert words in shown
  assert '900/2000 steps, evaluating' in shown
  assert 'NLL of the validation set, part 1 of' in shown
  # What stays is what was trained, and the only line.
  assert lines[-2].startswith('900/2000 steps in 00:10')
  assert shown.count('\n') == 1


def test_what_is_logged_stands_above_the_bar(terminal, monkeypatch):
  stream, read = terminal(80)
  monkeypatch.setattr('sys.stderr', stream)
  handler = logging.StreamHandler(stream)
  monkeypatch.setattr(logging.root, 'handlers', [handler])
  with reports.opened(['a', 'b'], 'test', 0, 9) as said:
    said.trained(3, METRICS, [None] * 2, evaluated=True)
    logging.warning('a has collapsed')
  before, _, after = read().partition('a has collapsed\r\n')
  assert before.endswith('\r')  # the bar was wiped off first
  assert after.startswith('\r3/9 steps')
  assert logging.root.handlers == [handler]


def test_an_evaluation_alone_leaves_nothing_in_the_terminal(terminal):
  stream, read = terminal(80)
  with reports.opened(['a'], 'test', 9, 9, stream) as said:
    said.doing('writing tables')
  assert read().rsplit('\r', 2)[1].strip() == ''
