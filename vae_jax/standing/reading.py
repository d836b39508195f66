"""Where a run stands, by its files alone.

The run may be writing, or going, meanwhile: what cannot be read at this moment is left out, and
what is damaged is noted.
"""

import collections
import contextlib
import json
import pathlib
from collections.abc import Callable
from typing import Any

from vae_jax import errors, files, lane_fields, launches, records
from vae_jax.records import manifest
from vae_jax.standing.elbos import elbo_of
from vae_jax.standing.finding import check, shares_of
from vae_jax.standing.shares import of_launches, together
from vae_jax.standing.status import STATUSES, Figures, Status

_LOST = ('diverged', 'failed')


def status_of(directory: pathlib.Path, now: float) -> Status:
  """Returns where a run stands, or a study of several processes.

  Args:
    directory: the workdir.
    now: seconds since the epoch, as of the times of files.

  Raises:
    InputError: the directory holds no run; with the nearest one that there is.
  """
  check(directory)
  if launches.holds_study(directory):
    study, found = launches.read(directory), launches.standings_of(directory)
    return of_launches(
      directory, [_of_launch(directory, each, now) for each in study.launches], found
    )
  shares = [_of_one(share, now) for share in shares_of(directory)]
  if shares and not (directory / 'config.json').is_file():
    return together(directory, shares)
  found = _of_one(directory, now)._replace(shares=shares)
  extension = directory / 'extension'
  if not extension.is_dir():
    return found
  return _with_extension(found, _read(extension, now, files.holder_of(directory)))


def _of_one(directory: pathlib.Path, now: float) -> Status:
  return _read(directory, now, files.holder_of(directory))


def _of_launch(directory: pathlib.Path, launch: launches.Launch, now: float) -> Status:
  """Returns where the run of a launch stands; its lanes wait as long as there is none."""
  run = launches.run_of(directory, launch.name)
  found = _of_one(run, now)
  if found.num_lanes:
    return found
  lanes = {**found.lanes, 'waiting': launch.lanes}
  return found._replace(steps=launch.config['train']['steps'], lanes=lanes)


def _with_extension(run: Status, new: Status) -> Status:
  """Returns a run that is taking in lanes: they are trained to where it stands."""
  state = run.state if run.state in ('running', 'unknown') else 'interrupted'
  # Its config.json is of all lanes that there will be, its tables are of the new ones alone.
  rest = 'running' if new.step else 'waiting'
  lanes = {**new.lanes, rest: max(0, new.lanes[rest] - run.num_lanes)}
  new = new._replace(state=state, steps=run.checkpoint, lanes=lanes, holder=None)
  return run._replace(state=state, extension=new)


def _read(directory: pathlib.Path, now: float, holder: files.Holder | None) -> Status:
  """Returns where one run stands, or a part of one.

  The holder comes first and what tells the end of a run last: a run that ends meanwhile is done, or
  running, but never interrupted.
  """
  notes: list[str] = []
  newest = _attempted(lambda: records.newest_rows(directory / 'metrics.jsonl'), [], notes)
  rows = _attempted(lambda: records.read_results(directory / 'results.csv'), [], notes)
  count, steps = _attempted(lambda: _size_of(directory), (0, None), notes)
  checkpoint = _attempted(lambda: records.newest_step(directory), None, notes)
  made = _attempted(lambda: manifest.read_json(directory / 'provenance.json'), {}, notes)
  step = max([row['step'] for row in newest] + [row['step'] for row in rows] + [checkpoint or 0])
  finished = bool(made.get('finished')) and bool(rows)
  state = _state_of(holder, finished, begun=bool(newest or checkpoint))
  seconds, pace = _times(directory, rows, step, checkpoint, now, state)
  figures = _figures_of(rows, newest)
  is_training = state == 'running' and pace is not None and steps is not None and step < steps
  return Status(
    workdir=str(directory),
    state=state,
    step=step,
    steps=steps,
    lanes=_lanes_of(rows, count, bool(newest)),
    elbo=elbo_of(*figures) if figures else None,
    seconds=seconds,
    steps_per_second=max((row['steps_per_second'] or 0.0 for row in rows), default=0.0) or None,
    seconds_left=(steps - step) * pace if is_training else None,
    checkpoint=checkpoint,
    row_age=_age(directory / 'metrics.jsonl', now),
    holder=holder if state in ('running', 'unknown') else None,
    report=str(page) if (page := directory / 'report.html').is_file() else None,
    notes=notes,
    figures=figures,
  )


def _attempted(read: Callable[[], Any], otherwise: Any, notes: list[str]) -> Any:
  """Returns what can be read, `otherwise` where it is not there; a fault is noted."""
  try:
    return read()
  except (FileNotFoundError, NotADirectoryError):
    return otherwise
  except (errors.DamagedError, OSError, ValueError, KeyError, TypeError) as error:
    notes.append(str(error))
    return otherwise


def _size_of(directory: pathlib.Path) -> tuple[int, int]:
  """Returns how many lanes a run has, and steps."""
  config = json.loads((directory / 'config.json').read_text(encoding='utf-8'))
  return lane_fields.count_of(config['lanes']), config['train']['steps']


def _state_of(holder: files.Holder | None, finished: bool, begun: bool) -> str:
  if holder is not None and holder.holds:
    return 'running'
  if finished:
    return 'done'
  if holder is not None and holder.holds is None:
    return 'unknown'
  return 'interrupted' if begun else 'not begun'


def _lanes_of(rows: list[dict[str, Any]], count: int, is_training: bool) -> dict[str, int]:
  """Returns how many lanes have which status; before the first row they wait for the compiler."""
  found = collections.Counter(row['status'] for row in rows)
  found['running' if is_training else 'waiting'] += max(0, count - len(rows))
  return {name: found[name] for name in STATUSES}


def _figures_of(rows: list[dict[str, Any]], newest: list[dict[str, Any]]) -> Figures | None:
  """Returns the ELBOs of the newest evaluation, before the first one those of the batches."""
  if rows:
    split = records.chosen_on(rows)
    elbos = [_known(row.get(f'{split}/elbo')) for row in rows]
    lost = [row['status'] if row['status'] in _LOST else None for row in rows]
    return Figures({f'{split}/elbo': elbos}, lost, [row['name'] for row in rows], split)
  if newest:
    elbos = [_known(row.get('batch/elbo')) for row in newest]
    names = [f'lane {row["lane"]}' for row in newest]
    return Figures({'batch/elbo': elbos}, [None] * len(newest), names, 'batch')
  return None


def _known(value: float | None) -> float | None:
  return value if value == value else None


def _times(
  directory: pathlib.Path,
  rows: list[dict[str, Any]],
  step: int,
  checkpoint: int | None,
  now: float,
  state: str,
) -> tuple[float | None, float | None]:
  """Returns the seconds of all attempts so far, and those that a step takes.

  results.csv has both as of the newest evaluation; what came since is told from the times of files:
  an attempt begins with its lock, and each row of the journal is written at once.
  """
  evaluated, began, newest = (
    _time_of(directory / name) for name in ('results.csv', '.lock', 'metrics.jsonl')
  )
  recorded = max((row['seconds'] or 0.0 for row in rows), default=0.0)
  if state == 'done':
    return recorded, None
  end = now if state == 'running' else newest
  since = [time for time in (evaluated, began) if time is not None]
  more = max(0.0, end - max(since)) if since and end is not None else 0.0
  reached = max((row['step'] for row in rows), default=0)
  if reached and recorded:
    pace = recorded / reached
  else:
    pace = _pace_since(directory, checkpoint or 0, step, began, newest)
  return (recorded + more) or None, pace


def _pace_since(
  directory: pathlib.Path, checkpoint: int, step: int, began: float | None, newest: float | None
) -> float | None:
  """Returns the seconds that a step has taken since the newest checkpoint, None where none has.

  That of step 0 comes after the compiler.
  """
  saved = _time_of(directory / 'checkpoints' / str(checkpoint))
  since = [time for time in (saved, began) if time is not None]
  if newest is None or not since or step <= checkpoint:
    return None
  return max(0.0, newest - max(since)) / (step - checkpoint)


def _age(path: pathlib.Path, now: float) -> float | None:
  time = _time_of(path)
  return None if time is None else max(0.0, now - time)


def _time_of(path: pathlib.Path) -> float | None:
  with contextlib.suppress(OSError):
    return path.stat().st_mtime
  return None
