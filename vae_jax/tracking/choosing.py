"""Which lanes have a W&B run of their own."""

from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax.records import results

MANY = 500  # lanes; W&B's pages are slow with so many runs


def while_training(setting: str | int, lanes: int) -> list[int]:
  """Returns the lanes that have a run while they train; the same ones at every start.

  Args:
    setting: 'all'; a number: the first lane, the last one and, in the order of the grid, others as
      far from each other as can be; 'best': none.
    lanes: how many there are.
  """
  if setting == 'best':
    return []
  count = lanes if setting == 'all' else min(setting, lanes)
  return [place * (lanes - 1) // max(count - 1, 1) for place in range(count)]


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
