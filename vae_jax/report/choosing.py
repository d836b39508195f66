"""What of a study with very many lanes stands on the page: a browser has to hold it.

Of up to `MOST_LANES` lanes that is everything.
"""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax.figures import points

MOST_LANES = 300  # that have a row, pictures and a curve
_FEWEST_LANES = 10  # of each of very many studies
_MOST_SETTINGS, _MOST_SIZES = 60, 8  # that charts have, and one more where it is the best

Row = Mapping[str, Any]


def most_lanes(studies: int) -> int:
  """Returns how many lanes each of some studies on one page may show."""
  return max(_FEWEST_LANES, min(MOST_LANES, 2 * MOST_LANES // studies))


def best(rows: Sequence[Row], verdict: Mapping[str, Any]) -> Sequence[Row]:
  """Returns the lanes of the best point; without a verdict that of the highest ELBO.

  Args:
    rows: of a study, see `reading.Study`.
    verdict: verdict.json; {} where there is none.
  """
  for point in verdict.get('points', ()):
    if point['name'] == verdict['best']:
      own = set(point['lanes'])
      return [row for row in rows if row['lane'] in own]
  known = [r for r in rows if not points.is_lost(r) and points.value(r, 'elbo') is not None]
  return [max(known, key=lambda row: row['elbo'])] if known else rows[:1]


def lowest(rows: Sequence[Row]) -> Row:
  """Returns the lane with the lowest NLL."""
  return min(rows, key=lambda row: row.get('nll') or 0.0)


def drawn(
  rows: Sequence[Row], swept: points.Sweep, of_best: Sequence[Row], most: int
) -> Sequence[Row]:
  """Returns the lanes whose points stand in charts: an even choice of settings and latent sizes.

  Those of the best point are among them.

  Args:
    rows: all of a study.
    swept: how its settings are told apart.
    of_best: see `best`.
    most: lanes, up to which all of them do.
  """
  if len(rows) <= most:
    return rows
  setting, size = swept.dashed + swept.fields, ('latent_size',)
  sizes = _spread(rows, size, of_best, _MOST_SIZES)
  settings = _spread(rows, setting, of_best, min(_MOST_SETTINGS, most // len(sizes) - 1))
  return [
    row for row in rows if points.pick(row, size) in sizes and points.pick(row, setting) in settings
  ]


def _spread(
  rows: Sequence[Row], fields: Sequence[str], of_best: Sequence[Row], most: int
) -> set[tuple]:
  """Returns values of fields that rows have, evenly spread, and those of the best."""
  every = points.ordered([points.pick(row, fields) for row in rows])
  return {*points.spread(every, most), *(points.pick(row, fields) for row in of_best)}


def shown(
  rows: Sequence[Row], swept: points.Sweep, of_best: Sequence[Row], most: int
) -> Sequence[Row]:
  """Returns the lanes that have a row, pictures and a curve: of each point in charts as many seeds.

  And the lane of the lowest NLL. See `drawn` for the arguments.
  """
  if len(rows) <= most:
    return rows
  groups: dict[tuple, list[Row]] = {}
  for row in drawn(rows, swept, of_best, most):
    key = points.pick(row, ('latent_size', *swept.dashed, *swept.fields))
    groups.setdefault(key, []).append(row)
  best_lane = lowest(of_best)['lane']
  in_turn = itertools.chain.from_iterable(itertools.zip_longest(*groups.values()))
  others = (row['lane'] for row in in_turn if row is not None and row['lane'] != best_lane)
  chosen = {best_lane, *itertools.islice(others, most - 1)}
  return [row for row in rows if row['lane'] in chosen]
