"""Which lanes have a W&B run of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax.records import results
from vae_jax.tracking.settings import Settings

MANY = 500  # lanes; W&B's pages are slow with so many runs


def while_training(settings: Settings, lanes: int) -> list[int]:
  """Returns the lanes that have a run while they train; the same ones at every start.

  Where they are not all: the first lane, the last one and, in the order of the grid, others as far
  from each other as can be.

  Args:
    settings: of which `lanes` and `most_lanes` count.
    lanes: how many there are.
  """
  if settings.lanes == 'best':
    return []
  count = settings.most_lanes or lanes if settings.lanes == 'all' else settings.lanes
  count = min(count, lanes)
  return [place * (lanes - 1) // max(count - 1, 1) for place in range(count)]


def adds_best(settings: Settings, lanes: int) -> bool:
  """Tells whether the best lane gets a run at the end, where it has none."""
  return settings.lanes == 'best' or (settings.lanes == 'all' and 0 < settings.most_lanes < lanes)


def at_end(
  settings: Settings, rows: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any]
) -> list[int]:
  """Returns the lanes that have a run at the end; see `best_of` for the arguments."""
  own = while_training(settings, len(rows))
  best = best_of(rows, verdict) if adds_best(settings, len(rows)) else None
  return own if best is None or best in own else [*own, best]


def best_of(rows: Sequence[Mapping[str, Any]], verdict: Mapping[str, Any]) -> int | None:
  """Returns the best lane at the end, None where no lane has a figure to go by.

  It is of the best point of the verdict the one with the lowest NLL; without a verdict, the one
  with the highest objective on the split that is chosen on.

  Args:
    rows: of results.csv.
    verdict: what verdict.json holds; {} where there is none.
  """
  best = verdict.get('best')
  if best is not None:
    (lanes,) = [point['lanes'] for point in verdict['points'] if point['name'] == best]
    column = f'{verdict["chosen_on"]}/nll'
    return min(lanes, key=lambda lane: rows[lane][column])
  column = f'{results.chosen_on(rows)}/objective'
  alive = [row for row in rows if row['status'] not in ('diverged', 'failed')]
  found = {row['lane']: row[column] for row in alive if row.get(column) is not None}
  return max(found, key=found.get, default=None)
