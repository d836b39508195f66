"""The table of `vae-jax status`: a row for each run, and for each part of one."""

import itertools
import pathlib
from collections.abc import Callable, Iterator, Sequence

import tqdm

from vae_jax import launches
from vae_jax.standing.numbers import nats
from vae_jax.standing.status import Status

_UNITS = (('d', 86400), ('h', 3600), ('min', 60), ('s', 1))


def lines_of(found: Sequence[Status]) -> list[str]:
  """Returns the lines of a table, and below it who holds a run, where its page is, and notes."""
  rows = [row for status in found for row in _rows(status)]
  cells = [list(_COLUMNS), *(_cells(depth, status) for depth, status in rows)]
  table = aligned(cells, left=len(_COLUMNS))
  below = list(itertools.chain(*(_below(status) for _, status in rows)))
  return [*table, *([''] if below else []), *below]


def aligned(cells: Sequence[Sequence[str]], left: int) -> list[str]:
  """Returns rows of cells as lines; so many columns stand at the left, the others at the right."""
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  return [
    '  '.join(
      cell.ljust(width) if column < left else cell.rjust(width)
      for column, (cell, width) in enumerate(zip(line, widths, strict=True))
    ).rstrip()
    for line in cells
  ]


def _rows(status: Status, depth: int = 0) -> Iterator[tuple[int, Status]]:
  yield depth, status
  extension = [] if status.extension is None else [status.extension]
  for part in [*extension, *status.shares]:
    yield from _rows(part, depth + 1)


def _cells(depth: int, status: Status) -> list[str]:
  name, *others = (show(status) for show in _COLUMNS.values())
  # Of a part its own directory: where that lies, the row above has.
  return ['  ' * depth + (pathlib.Path(name).name if depth else name), *others]


def _below(status: Status) -> Iterator[str]:
  if status.holder is not None:
    host = f' on {status.holder.host}' if status.holder.host else ''
    held = 'held by' if status.state == 'running' else 'held, if it still is, by'
    yield f'{status.workdir}: {held} process {status.holder.process}{host}'
  if status.report is not None:
    yield f'report: {status.report}'
  if status.launches is not None:
    yield f'{status.workdir}: {launches.in_words(status.launches)}'
  for note in status.notes:
    yield f'{status.workdir}: {note}'


def _lanes(status: Status) -> str:
  found = [f'{count} {name}' for name, count in status.lanes.items() if count]
  return f'{", ".join(found)} of {status.num_lanes}'


def _elbo(status: Status) -> str:
  if status.elbo is None or status.elbo.best is None:
    return ''
  return f'{nats(status.elbo.best)} / {nats(status.elbo.median)} {status.elbo.split}'


def _interval(seconds: float | None) -> str:
  return '' if seconds is None else tqdm.tqdm.format_interval(seconds)


def _age(seconds: float | None) -> str:
  if seconds is None:
    return ''
  unit, size = next((unit for unit in _UNITS if seconds >= unit[1]), _UNITS[-1])
  return f'{seconds / size:.0f} {unit} ago'


_COLUMNS: dict[str, Callable[[Status], str]] = {
  'run': lambda status: status.workdir,
  'state': lambda status: status.state,
  'step': lambda s: f'{s.step} of {"?" if s.steps is None else s.steps}',
  'lanes': _lanes,
  'ELBO, best / median': _elbo,
  'time': lambda status: _interval(status.seconds),
  'left': lambda status: _interval(status.seconds_left),
  'steps/s': lambda s: '' if s.steps_per_second is None else f'{s.steps_per_second:.3g}',
  'saved': lambda s: '' if s.checkpoint is None else str(s.checkpoint),
  'last row': lambda status: _age(status.row_age),
}
