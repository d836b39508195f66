"""Launches under an engine that is a script: how each ends decides what becomes of it."""

import itertools
import os
import signal
import threading
import time

import pytest
from test_launches import History, a_launch

from vae_jax import errors, launches, sweeps
from vae_jax.sweeps import supervising

pytestmark = pytest.mark.run


class Scripted:
  """An engine whose launches end as they are told to, one after the other."""

  def __init__(self, directory, script, slots=2):
    self.slots, self.started, self.at, self.most = slots, [], [], 0
    self._script = {name: list(ends) for name, ends in script.items()}
    self._histories = {name: History(directory, name) for name in script}
    self.open = set()

  def submit(self, index, name):
    assert 'abc'[index] == name
    self.started.append(name)
    self.at.append(time.monotonic())
    self.open.add(name)
    self.most = max(self.most, len(self.open))
    return _Job(self, self._histories[name], self._script[name].pop(0))


class _Job:
  def __init__(self, engine, history, end):
    self._engine, self._history, self._end, self._looks = engine, history, end, 0
    self.cancelled = False
    if end != 5:
      history.begin()

  def exit_code(self):
    self._looks += 1
    if self._looks < 3 and not self.cancelled:
      return None
    if self._history.name in self._engine.open:
      self._engine.open.remove(self._history.name)
      self._act()
    return 143 if self.cancelled else self._end if isinstance(self._end, int) else self._end[0]

  def _act(self):
    history = self._history
    if self.cancelled or self._end in (143, 130):
      history.stop()
    elif self._end in (0, 3):
      history.finish()
    elif isinstance(self._end, tuple):  # it came on before it was killed
      history.checkpoint()
      history.kill()
    elif self._end in (2, 4):
      history.fail()
    elif self._end != 5:
      history.kill()

  def cancel(self):
    self.cancelled = True


@pytest.fixture
def directory(tmp_path, monkeypatch):
  monkeypatch.setattr(supervising, '_POLL_SECONDS', 0.001)
  monkeypatch.setattr(supervising, '_LOOK_SECONDS', 0.0)
  monkeypatch.setattr(supervising, '_ELSEWHERE_SECONDS', 0.05)
  launches.write(tmp_path, launches.Study('mine', '0', (), [a_launch(name) for name in 'abc']))
  return tmp_path


def test_all_launches_run_side_by_side_and_once(directory):
  engine = Scripted(directory, {'a': [0], 'b': [3], 'c': [0]})
  assert sweeps.supervise(directory, engine) == sweeps.Tally(['a', 'b', 'c'], [])
  assert sorted(engine.started) == ['a', 'b', 'c']
  assert engine.most == 2
  again = Scripted(directory, {'a': [], 'b': [], 'c': []})
  assert sweeps.supervise(directory, again).done == ['a', 'b', 'c']
  assert not again.started


@pytest.mark.parametrize('code', (-9, -15, 130, 137, 143))
def test_what_was_killed_is_taken_again(directory, code):
  engine = Scripted(directory, {'a': [code, 0], 'b': [0], 'c': [0]})
  assert sweeps.supervise(directory, engine).done == ['a', 'b', 'c']
  assert engine.started.count('a') == 2


def test_a_launch_that_always_kills_is_given_up(directory):
  """Three times more without a newer checkpoint; one that comes on may be killed more often."""
  coming_on = [(-9,)] * 6 + [0]
  engine = Scripted(directory, {'a': [-9] * 9, 'b': coming_on, 'c': [0]})
  tally = sweeps.supervise(directory, engine)
  assert (tally.done, tally.failed) == (['b', 'c'], ['a'])
  assert engine.started.count('a') == launches.MOST_KILLED == 4
  assert 'ended without a word 4 times at step 0' in launches.standing_of(directory, 'a').reason


@pytest.mark.parametrize('code', (2, 4))
def test_what_failed_is_taken_again_only_where_it_is_forgiven(directory, code):
  assert sweeps.supervise(directory, Scripted(directory, {'a': [code], 'b': [0], 'c': [0]})).failed
  again = Scripted(directory, {'a': [], 'b': [], 'c': []})
  assert sweeps.supervise(directory, again).failed == ['a']
  launches.forgive(directory, 'a')
  assert sweeps.supervise(directory, Scripted(directory, {'a': [0], 'b': [], 'c': []})).done


def test_one_that_ends_before_it_can_say_why_has_its_log(directory):
  with launches.open_log(directory, 'a') as log:
    log.write(b'python: no module named vae_jax\n')
  tally = sweeps.supervise(directory, Scripted(directory, {'a': [1], 'b': [0], 'c': [0]}))
  assert tally.failed == ['a']
  assert launches.standing_of(directory, 'a').reason.endswith('no module named vae_jax')


def test_what_another_process_has_is_waited_for_and_taken_if_it_leaves_it(directory):
  other = History(directory, 'a')
  other.begin()
  threading.Timer(0.3, other.kill).start()
  engine = Scripted(directory, {'a': [5, 5, 0], 'b': [0], 'c': [0]})
  # It was free for a moment when the engine looked, and again later.
  assert sweeps.supervise(directory, engine).done == ['a', 'b', 'c']
  assert not other.runs
  starts = [at for name, at in zip(engine.started, engine.at, strict=True) if name == 'a']
  assert len(starts) == 3
  assert min(b - a for a, b in itertools.pairwise(starts)) >= 0.05  # it does not knock all the time


def test_a_signal_stops_all_launches_with_their_states_saved(directory):
  class Interrupting(Scripted):
    def submit(self, index, name):
      job = super().submit(index, name)
      if len(self.started) == 2:
        os.kill(os.getpid(), signal.SIGTERM)
      return job

  engine = Interrupting(directory, {'a': [0], 'b': [0], 'c': [0]})
  with pytest.raises(errors.Stopped, match='0 of 3 launches done') as stopped:
    sweeps.supervise(directory, engine)
  assert stopped.value.exit_code == 143
  states = [standing.state for standing in launches.standings_of(directory)]
  assert states == ['interrupted', 'interrupted', 'queued']
  again = Scripted(directory, {name: [0] for name in 'abc'})
  assert sweeps.supervise(directory, again).done == ['a', 'b', 'c']
