"""Puts the lanes of an extension beside those of their run, whatever is killed in between.

What the run will be is made in WORKDIR/extension/joined, which gets its name when it is whole. From
then on each file is moved to its place, and each move may be made again.
"""

import contextlib
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from vae_jax import files, placement, records, study
from vae_jax.records import manifest
from vae_jax.runs import checkpoint, outcome, states, workdir
from vae_jax.runs.outcome import Choice, Progress

OWN = 'extension'  # of the workdir
_STAYS = ('config.json', 'provenance.json', 'model.json', 'forecast.csv')


def join(
  built: study.Study,
  directory: pathlib.Path,
  config: Mapping[str, Any],
  parts: Sequence[tuple[list[int], Progress | None]],
) -> None:
  """Makes what the run will be, and names it when it is whole."""
  own = directory / OWN
  making = own / 'joined.partial'
  shutil.rmtree(making, ignore_errors=True)
  files.make_directory(making)
  files.write_text(making / 'config.json', json.dumps(config))
  if parts[0][1] is not None:  # something was trained
    progress = _side_by_side(parts)
    with contextlib.closing(checkpoint.open_manager(making / 'checkpoints')) as manager:
      states.save(manager, progress)
    outcome.write_results(built, making, progress, final=False)
    journals = (directory / workdir.RECORD, own / workdir.RECORD)
    rows = [
      {**row, 'lane': places[row['lane']]}
      for (places, _), path in zip(parts, journals, strict=False)
      for row in (records.read_metrics(path) if path.exists() else ())
      if row['step'] <= progress.step
    ]
    rows.sort(key=lambda row: (row['step'], row['lane']))
    (making / workdir.RECORD).write_bytes(b''.join(map(records.encode, rows)))
  files.sync_tree(making)
  os.rename(making, own / 'joined')
  files.sync(own)


def _side_by_side(parts: Sequence[tuple[list[int], Progress]]) -> Progress:
  """Returns the progress of all lanes out of those of some, each at its places."""
  order = np.argsort(np.concatenate([places for places, _ in parts]))
  found = [progress for _, progress in parts]

  def lists(get: Callable[[Progress], Sequence]) -> list:
    values = [value for progress in found for value in get(progress)]
    return [values[i] for i in order]

  def trees(get: Callable[[Progress], Any]) -> Any:
    values = [jax.device_get(placement.joined(get(progress))) for progress in found]
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[order], *values)

  def evaluated(name: str) -> list:
    return lists(lambda progress: progress.evaluated.get(name, [None] * len(progress.reasons)))

  names = dict.fromkeys(name for progress in found for name in progress.evaluated)
  whole = found[0]._replace(
    state=trees(outcome.whole),
    evaluated={name: evaluated(name) for name in names},
    collapsed_at=lists(lambda progress: progress.collapsed_at),
    reasons=lists(lambda progress: progress.reasons),
    seconds=sum(progress.seconds for progress in found),
    training_seconds=sum(progress.training_seconds for progress in found),
    choice=Choice(*(lists(lambda p, i=i: p.choice[i]) for i in range(len(Choice._fields)))),
    lanes=list(range(len(order))),
    resting=None,
  )
  return whole if whole.best is None else whole._replace(best=trees(lambda p: p.best))


def lies_at(directory: pathlib.Path, name: str) -> pathlib.Path:
  """Returns where a file of a run is to be read, also of one that was killed between the moves.

  What the run will be is whole from the first move on: until the last one each file lies in either
  place.

  Args:
    directory: the workdir.
    name: 'config.json', 'results.csv' or 'checkpoints'.
  """
  moving = directory / OWN / 'joined' / name
  return moving if moving.exists() else directory / name


def go_on(directory: pathlib.Path) -> None:
  """Ends an extension that was killed between its moves; nothing where there is none."""
  own = directory / OWN
  if (own / 'joined').is_dir() or (own / 'moved').is_dir():
    with workdir.holding(directory):
      move(directory)


def move(directory: pathlib.Path) -> None:
  """Puts what the run will be in its place; each step may be done again."""
  own = directory / OWN
  joined = own / 'joined'
  if joined.is_dir():
    workdir.mark_unfinished(directory)
    if (joined / 'checkpoints').is_dir():
      shutil.rmtree(directory / 'checkpoints', ignore_errors=True)
      os.rename(joined / 'checkpoints', directory / 'checkpoints')
      files.sync(directory)
    _forget_results(directory)
    if (joined / workdir.RECORD).exists():
      with files.atomic_path(directory / workdir.RECORD) as temporary:
        temporary.write_bytes((joined / workdir.RECORD).read_bytes())
      manifest.write_text(directory / 'results.csv', (joined / 'results.csv').read_text())
    workdir.record_lanes(directory, json.loads((joined / 'config.json').read_text()))
    os.rename(joined, own / 'moved')
  shutil.rmtree(own)


def _forget_results(directory: pathlib.Path) -> None:
  """Removes what stands of the lanes as they were numbered: the end of the run makes it again."""
  for name in manifest.read(directory):
    if name not in _STAYS:
      (directory / name).unlink(missing_ok=True)
      manifest.forget(directory, name)
  (directory / 'evaluation.partial').unlink(missing_ok=True)
