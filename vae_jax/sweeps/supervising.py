"""Starts launches, sees how they end, and takes again those that were killed: on any engine."""

import logging
import math
import os
import pathlib
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from vae_jax import errors, launches, stopping
from vae_jax.launches import ledger

_POLL_SECONDS = 0.1
_LOOK_SECONDS = 1.0  # between two looks at the files of all launches
_ELSEWHERE_SECONDS = 10.0  # between two attempts at a launch that another process has
_DONE = (0, 3)
_IN_USE = errors.InUseError.exit_code
# Bad input, damaged files, no space, a bug: to try again would end the same.
_FAILED = (1, 2, 4, 6)


class Engine(Protocol):
  """What starts launches."""

  slots: int  # how many run at a time

  def submit(self, index: int, name: str) -> 'Job':
    """Starts a launch."""


class Job(Protocol):
  """A launch that was started."""

  def exit_code(self) -> int | None:
    """Returns the exit code, None while it runs; a negative one is that of a signal."""

  def cancel(self) -> None:
    """Asks it to save its state and to stop; asked again, it need not save."""


class Tally(NamedTuple):
  """How the launches of a study stand, once nothing runs any more.

  Attributes:
    done, failed: the names.
  """

  done: list[str]
  failed: list[str]


def supervise(directory: pathlib.Path, engine: Engine) -> Tally:
  """Runs all launches of a study that can be run, and returns how they stand when none is left.

  Those that are done or have failed stay so; one that another process has is waited for, and taken
  if that leaves it. One that a signal has killed is taken again, see `launches.MOST_KILLED`.

  Args:
    directory: of the study, which the caller holds.
    engine: see `Engine`.

  Raises:
    Stopped: this process was asked to stop; every launch that ran has saved its state.
  """
  numbers = launches.read(directory).numbers
  running: dict[str, Job] = {}
  resting: dict[str, float] = {}  # launches of another process -> when to look again
  with stopping.deferred() as signal_number:
    try:
      looked = -math.inf
      while not signal_number():
        codes = {name: job.exit_code() for name, job in running.items()}
        codes = {name: code for name, code in codes.items() if code is not None}
        for name, code in codes.items():
          del running[name]
          _settle(directory, name, code, resting)
        if not codes and time.monotonic() - looked < _LOOK_SECONDS:
          time.sleep(_POLL_SECONDS)
          continue
        looked = time.monotonic()
        standings = launches.standings_of(directory)
        waiting = [s for s in standings if _may_start(s, running, resting)]
        for standing in waiting[: engine.slots - len(running)]:
          logging.info('%s: %s', standing.name, 'goes on' if standing.attempts else 'starts')
          running[standing.name] = engine.submit(numbers[standing.name], standing.name)
        if not running and not waiting and not _others_run(standings):
          return _tally(standings)
    finally:
      _stop(running)
    raise errors.Stopped(signal_number(), _stopped(directory))


def _may_start(
  standing: ledger.Standing, running: dict[str, Job], resting: dict[str, float]
) -> bool:
  if standing.name in running or time.monotonic() < resting.get(standing.name, 0.0):
    return False
  # Of a holder on another host only an attempt at the lock can tell whether it lives.
  may_live = standing.holder is not None and standing.holder.holds
  return standing.state in ('queued', 'submitted', 'interrupted') or (
    standing.state == 'running' and not may_live
  )


def _others_run(standings: Sequence[ledger.Standing]) -> bool:
  return any(standing.state not in ('done', 'failed') for standing in standings)


def _settle(directory: pathlib.Path, name: str, code: int, resting: dict[str, float]) -> None:
  """Takes note of how an attempt ended."""
  if code in _DONE:
    logging.info('%s: done%s', name, ', some lanes diverged' if code == 3 else '')
    return
  if code == _IN_USE:
    resting[name] = time.monotonic() + _ELSEWHERE_SECONDS
    logging.info('%s: another process has it', name)
    return
  standing = launches.standing_of(directory, name)
  if code in _FAILED and standing.state != 'failed':  # it ended before it could say so
    said = launches.last_lines(directory, name)
    launches.note_failed(directory, name, code, said)
    standing = launches.standing_of(directory, name)
  if standing.state == 'failed':
    logging.warning('%s: failed, %s', name, standing.reason)
  else:
    logging.info('%s: ended with %d, is taken again', name, code)


def _tally(standings: Sequence[ledger.Standing]) -> Tally:
  return Tally(*([s.name for s in standings if s.state == state] for state in ('done', 'failed')))


def _stop(running: dict[str, Job]) -> None:
  """Waits until every launch has saved its state; after a second signal it need not."""
  for job in running.values():
    job.cancel()
  try:
    while any(job.exit_code() is None for job in running.values()):
      time.sleep(_POLL_SECONDS)
  except BaseException:
    for job in running.values():
      job.cancel()
    raise


def _stopped(directory: os.PathLike | str) -> str:
  standings = launches.standings_of(directory)
  done = sum(standing.state == 'done' for standing in standings)
  return f'stopped, {done} of {len(standings)} launches done; the same command continues'
