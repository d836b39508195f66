"""Where the launches of a study stand, told from what is on disk, and what attempts leave there.

WORKDIR/jobs/NAME/.lock            held by an attempt as long as it lives
                  attempts.jsonl   a line for each attempt as it begins
                  ended.json       why the last attempt failed
                  submitted.json   the job of a batch system
                  log.txt          what all attempts said
"""

import contextlib
import json
import os
import pathlib
import socket
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

from vae_jax import errors, files, records
from vae_jax.launches import stored
from vae_jax.records import manifest

STATES = ('done', 'running', 'failed', 'interrupted', 'submitted', 'queued')
# Attempts in a row that were killed without a newer checkpoint: then it is the launch that kills.
MOST_KILLED = 4
_LAST_LINES = 20
_LAST_BYTES = 10_000


class Standing(NamedTuple):
  """Where a launch stands.

  Attributes:
    name: of the launch.
    state: 'done', nothing is left to do; 'running', its lock is held; 'failed', its last attempt
      was; 'interrupted', it was begun; 'submitted', a batch system knows it; else 'queued'.
    reason: of a launch that failed, its last line first.
    holder: who holds the lock, of a launch that runs.
    job: its id in the batch system, '' where none knows it.
    attempts: how many were begun.
  """

  name: str
  state: str
  reason: str = ''
  holder: files.Holder | None = None
  job: str = ''
  attempts: int = 0


def standings_of(directory: os.PathLike | str) -> list[Standing]:
  """Returns where each launch of a study stands, in the order of the study.

  Raises:
    InputError, DamagedError: see `stored.read`.
  """
  return [standing_of(directory, launch.name) for launch in stored.read(directory).launches]


def counts_of(standings: Sequence[Standing]) -> dict[str, int]:
  """Returns how many launches are in which state, in the order of STATES."""
  return {state: sum(each.state == state for each in standings) for state in STATES}


def in_words(counts: Mapping[str, int]) -> str:
  """Returns how many launches there are, and where they stand: '3 launches: 2 done, 1 queued'."""
  total, known = sum(counts.values()), [f'{n} {state}' for state, n in counts.items() if n]
  return f'{total} {"launch" if total == 1 else "launches"}: {", ".join(known)}'


def standing_of(directory: os.PathLike | str, name: str) -> Standing:
  """Returns where a launch stands; nothing is locked or written."""
  run, jobs = stored.run_of(directory, name), stored.jobs_of(directory, name)
  # Who holds it comes first: one that ends meanwhile is done, or runs, but is never interrupted.
  holders = [holder for place in (jobs, run) if (holder := files.holder_of(place)) is not None]
  attempts = _attempts(jobs)
  job = _read(jobs / 'submitted.json').get('job', '')
  standing = Standing(name, 'queued', job=job, attempts=sum('forgiven' not in a for a in attempts))
  if held := [holder for holder in holders if holder.holds]:
    return standing._replace(state='running', holder=held[0])
  if _is_finished(run):
    return standing._replace(state='done')
  if reason := _failure(jobs, attempts, progress_of(run)):
    return standing._replace(state='failed', reason=reason)
  if unknown := [holder for holder in holders if holder.holds is None]:
    return standing._replace(state='running', holder=unknown[0])  # on another host, if it still is
  if attempts or (run / 'config.json').exists():
    return standing._replace(state='interrupted')
  return standing._replace(state='submitted' if job else 'queued')


def _is_finished(run: pathlib.Path) -> bool:
  try:
    made = manifest.read_json(run / 'provenance.json')
  except errors.DamagedError:  # the launch itself will say so
    return False
  return bool(made.get('finished')) and (run / 'results.csv').exists()


def progress_of(run: pathlib.Path) -> list[int]:
  """Returns what grows while a launch comes on: its newest checkpoint, parts of its evaluation."""
  try:
    evaluated = (run / 'evaluation.partial').stat().st_size
  except OSError:
    evaluated = 0
  newest = records.newest_step(run)
  return [-1 if newest is None else newest, evaluated]


def _failure(jobs: pathlib.Path, attempts: Sequence[dict], progress: list[int]) -> str:
  """Returns why a launch failed, '' where it did not, or may be tried again."""
  ended = _read(jobs / 'ended.json')
  if attempts and ended.get('attempt') == len(attempts):
    return f'exit code {ended["code"]} on {ended["host"]}: {ended["lines"][-1]}'
  since = [i for i, attempt in enumerate(attempts) if 'forgiven' in attempt]
  recent = attempts[since[-1] + 1 :] if since else attempts
  alike = [attempt for attempt in recent if attempt.get('progress') == progress]
  if len(alike) >= MOST_KILLED:
    return f'ended without a word {len(alike)} times at step {max(progress[0], 0)}'
  return ''


def _attempts(jobs: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the lines of attempts.jsonl; one that a kill has torn is none."""
  found = []
  with contextlib.suppress(OSError):
    for line in (jobs / 'attempts.jsonl').read_bytes().splitlines():
      with contextlib.suppress(ValueError):
        found.append(json.loads(line))
  return found


def _read(path: pathlib.Path) -> dict[str, Any]:
  """Returns a small JSON file, {} where it is not there."""
  try:
    return json.loads(path.read_bytes())
  except (OSError, ValueError):
    return {}


def _add_line(jobs: pathlib.Path, line: dict[str, Any]) -> None:
  files.make_directory(jobs)
  path = jobs / 'attempts.jsonl'
  with files.storage_errors(path):
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
      # A line of its own also behind one that was torn.
      os.write(descriptor, b'\n' + json.dumps(line).encode() + b'\n')
      os.fsync(descriptor)
    finally:
      os.close(descriptor)


@contextlib.contextmanager
def attempt(directory: os.PathLike | str, name: str) -> Iterator[None]:
  """Holds a launch for the block, which is an attempt at it; writes why it failed, if it did.

  What stops it from outside, a signal or another process that has its workdir, is no failure.

  Raises:
    InUseError: another process is at it.
  """
  jobs = stored.jobs_of(directory, name)
  files.make_directory(jobs)
  with files.directory_lock(jobs):
    here = {'time': time.time(), 'host': socket.gethostname(), 'process': os.getpid()}
    _add_line(jobs, here | {'progress': progress_of(stored.run_of(directory, name))})
    try:
      yield
    except (errors.InUseError, errors.Stopped, KeyboardInterrupt):
      raise
    except BaseException as error:
      note_failed(directory, name, _code_of(error), _lines_of(error))
      raise


def note_failed(directory: os.PathLike | str, name: str, code: int, lines: Sequence[str]) -> None:
  """Writes why the last attempt at a launch failed.

  Args:
    directory: of the study.
    name: of the launch.
    code: its exit code.
    lines: the last ones that it had to say.
  """
  jobs = stored.jobs_of(directory, name)
  record = {'code': code, 'lines': [*lines][-_LAST_LINES:] or ['it said nothing']}
  record |= {'attempt': len(_attempts(jobs)), 'host': socket.gethostname(), 'time': time.time()}
  files.write_text(jobs / 'ended.json', json.dumps(record, indent=1) + '\n')


def _code_of(error: BaseException) -> int:
  if isinstance(error, OSError) and files.fault_of(error):
    return errors.StorageError.exit_code
  return getattr(error, 'exit_code', 1)


def _lines_of(error: BaseException) -> list[str]:
  if isinstance(error, (errors.InputError, errors.DamagedError, errors.StorageError)):
    return str(error).splitlines()
  return ''.join(traceback.format_exception(error)).splitlines()


def open_log(directory: os.PathLike | str, name: str) -> IO[bytes]:
  """Opens what a launch says, over all of its attempts, to append to it.

  Raises:
    StorageError: it cannot be written.
  """
  path = _log_of(directory, name)
  with files.storage_errors(path):
    files.make_directory(path.parent)
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 'ab')


def last_lines(directory: os.PathLike | str, name: str) -> list[str]:
  """Returns the last lines of the log of a launch."""
  try:
    with open(_log_of(directory, name), 'rb') as log:
      log.seek(max(0, log.seek(0, os.SEEK_END) - _LAST_BYTES))
      return log.read().decode(errors='replace').splitlines()[-_LAST_LINES:]
  except OSError:
    return []


def _log_of(directory: os.PathLike | str, name: str) -> pathlib.Path:
  return stored.jobs_of(directory, name) / 'log.txt'


def note_submitted(directory: os.PathLike | str, name: str, engine: str, job: str) -> None:
  """Writes that a batch system knows a launch."""
  jobs = stored.jobs_of(directory, name)
  files.make_directory(jobs)
  record = {'engine': engine, 'job': job, 'time': time.time()}
  files.write_text(jobs / 'submitted.json', json.dumps(record, indent=1) + '\n')


def forgive(directory: os.PathLike | str, name: str) -> None:
  """Makes a launch that failed one that may be tried again."""
  _add_line(stored.jobs_of(directory, name), {'time': time.time(), 'forgiven': True})
