"""The thread that makes calls which may hang, and the bound on what it costs to wait for it."""

import threading
import time

import pytest

from vae_jax.tracking import worker

pytestmark = pytest.mark.process


@pytest.fixture
def hang():
  """A call that does not come back before the end of the test."""
  ended = threading.Event()
  yield ended.wait
  ended.set()


def open_worker(seconds=60.0):
  failures = []
  return worker.Worker(seconds, failures.append), failures


def test_calls_are_made_in_order_and_close_waits_for_them():
  made = []
  calls, failures = open_worker()
  calls.submit(lambda: time.sleep(0.05))
  for i in range(300):
    calls.submit(lambda i=i: made.append(i))
  assert calls.close(lambda: made.append('last'), 10)
  assert made == [*range(300), 'last']
  assert failures == []


@pytest.mark.parametrize('error', [ConnectionError('gone'), SystemExit(3), KeyboardInterrupt()])
def test_the_first_failure_is_told_once_and_only_the_last_call_is_still_made(error):
  made = []

  def fail():
    made.append('fail')
    raise error

  calls, failures = open_worker()
  for _ in range(2):
    calls.submit(fail)
  calls.submit(lambda: made.append('another'))
  assert not calls.close(fail, 10)
  assert made == ['fail', 'fail']
  assert failures == [error]


def test_who_hands_in_calls_does_not_wait_for_one_that_hangs(hang):
  calls, failures = open_worker(seconds=0.2)
  began = time.monotonic()
  for _ in range(100):
    calls.submit(hang)
  assert time.monotonic() - began < 0.1
  time.sleep(0.25)
  for _ in range(2):
    calls.submit(hang)
  assert [str(error) for error in failures] == ['no answer for 0 s']
  began = time.monotonic()
  assert not calls.close(hang, 10)  # known to hang: not waited for
  assert time.monotonic() - began < 0.1
  assert len(failures) == 1


def test_close_waits_no_longer_than_it_is_told(hang):
  calls, failures = open_worker()
  began = time.monotonic()
  assert not calls.close(hang, 0.3)
  assert 0.25 < time.monotonic() - began < 1
  assert [type(error) for error in failures] == [TimeoutError]


def test_a_call_that_advances_does_not_hang():
  calls, failures = open_worker(seconds=0.2)

  def long_but_alive():
    for _ in range(8):
      time.sleep(0.05)
      calls.advance()

  calls.submit(long_but_alive)
  for _ in range(8):
    time.sleep(0.05)
    calls.submit(lambda: None)
  assert calls.close(lambda: None, 10)
  assert failures == []


def test_a_queue_that_is_full_gives_up_after_some_seconds(hang, monkeypatch):
  monkeypatch.setattr(worker, '_WAITING', 3)
  monkeypatch.setattr(worker, '_FULL_SECONDS', 0.1)
  calls, failures = open_worker()
  began = time.monotonic()
  for _ in range(10):
    calls.submit(hang)
  assert time.monotonic() - began < 1
  assert [str(error) for error in failures] == ['3 calls wait for an answer']


def test_side_by_side_makes_all_calls_and_raises_what_one_has_raised():
  made = set()
  worker.side_by_side([], 4)
  began = time.monotonic()

  def call(i):
    time.sleep(0.1)
    if i == 2:
      raise SystemExit(i)
    made.add(i)

  with pytest.raises(SystemExit, match='2'):
    worker.side_by_side([lambda i=i: call(i) for i in range(8)], 4)
  assert made == {0, 1, 3, 4, 5, 6, 7}
  assert 0.15 < time.monotonic() - began < 0.7  # two rounds of four


def test_its_threads_keep_no_process_from_ending(hang):
  calls, _ = open_worker()
  calls.submit(lambda: worker.side_by_side([hang, hang], 2))
  time.sleep(0.1)
  started = [t for t in threading.enumerate() if t.name == 'tracking' or '(work)' in t.name]
  assert len(started) >= 3
  assert all(thread.daemon for thread in started)
