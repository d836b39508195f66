"""Signals become requests: which ones, which first, and what stays as it was."""

import signal
import subprocess
import sys
import threading

import pytest
from conftest import ROOT

from vae_jax import stopping

pytestmark = pytest.mark.process

ALL = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGXCPU, signal.SIGUSR1, signal.SIGUSR2]


@pytest.mark.parametrize('number', ALL)
def test_every_signal_that_asks_to_end_is_heard_and_its_handler_put_back(number):
  before = signal.getsignal(number)
  with stopping.deferred() as signal_number:
    assert signal_number() == 0
    signal.raise_signal(number)
    assert signal_number() == number
  assert signal.getsignal(number) == before


def test_the_first_counts_and_a_warning_leaves_the_kill_deferred():
  """A batch system warns with SIGUSR1, then sends SIGTERM; SIGXCPU comes again each second."""
  with stopping.deferred() as signal_number:
    for number in (signal.SIGUSR1, signal.SIGXCPU, signal.SIGXCPU, signal.SIGTERM):
      signal.raise_signal(number)
    assert signal_number() == signal.SIGUSR1
    assert signal.getsignal(signal.SIGXCPU) is not signal.SIG_DFL


def test_a_second_one_acts_as_usual_but_for_one_of_the_same_moment(monkeypatch):
  """Slurm sends SIGTERM to a step and to its processes: the state must be saved all the same."""
  now = iter([10.0, 10.0 + 0.9 * stopping._BURST_SECONDS, 10.0 + stopping._BURST_SECONDS])
  monkeypatch.setattr(stopping.time, 'monotonic', lambda: next(now))
  usual = []
  previous = signal.signal(signal.SIGTERM, lambda *_: usual.append(1))
  try:
    with stopping.deferred() as signal_number:
      for expected in ([], [], [1]):
        signal.raise_signal(signal.SIGTERM)
        assert usual == expected
      assert signal_number() == signal.SIGTERM
  finally:
    signal.signal(signal.SIGTERM, previous)


def test_what_is_ignored_stays_ignored():
  previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  try:
    with stopping.deferred() as signal_number:
      signal.raise_signal(signal.SIGHUP)
      assert signal_number() == 0
  finally:
    signal.signal(signal.SIGHUP, previous)


def test_another_thread_hears_nothing():
  heard = []

  def listen():
    with stopping.deferred() as signal_number:
      heard.append(signal_number())

  thread = threading.Thread(target=listen)
  thread.start()
  thread.join()
  assert heard == [0]


def test_a_platform_without_these_signals_imports_it():
  code = (
    'import signal\n'
    'for name in ("SIGHUP", "SIGXCPU", "SIGUSR1", "SIGUSR2"): delattr(signal, name)\n'
    'from vae_jax import stopping\n'
    'with stopping.deferred() as number: signal.raise_signal(signal.SIGTERM); print(number())'
  )
  result = subprocess.run([sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True)
  assert result.stdout.split() == [str(int(signal.SIGTERM))], result.stderr
