"""The table and the verdict that end a command."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax import records, report, standing
from vae_jax.runs import outcome

_BEST = 8

_COLUMNS = {
  'lane': ('name', str),
  'beta': ('beta', '{:g}'.format),
  'latents': ('latent_size', str),
  'active': ('SPLIT/active_units', '{:.0f}'.format),
  'ELBO': ('SPLIT/elbo', outcome.nats),
  'rate': ('SPLIT/rate', outcome.nats),
  'distortion': ('SPLIT/distortion', outcome.nats),
  'NLL': ('SPLIT/nll', outcome.nats),
  '± s.e.': ('SPLIT/nll_stderr', outcome.nats),
}


def show(result: outcome.Outcome) -> None:
  """Prints the best lanes by ELBO, what failed and why, the files, and the verdict."""
  rows = result.rows
  split = records.chosen_on(rows)
  diverged = [row for row in rows if row['status'] == 'diverged']
  ranked = sorted(
    (row for row in rows if row not in diverged and _is_known(row[f'{split}/elbo'])),
    key=lambda row: row[f'{split}/elbo'],
    reverse=True,
  )
  left_out = len(rows) - len(ranked)
  note = f', {left_out} left out' if left_out else ''
  units = 'nats per example; ELBO higher is better'
  print(f'\nBest of {len(rows)} lanes by {split} ELBO{note} ({units}):\n')
  print('\n'.join(_table(ranked[:_BEST], split)) if ranked else 'none')
  if result.kl == 'sampled':
    print('\nThe rate is sampled: it carries the noise of z.')
  for row in diverged:
    why = f': {row["reason"]}' if row.get('reason') else ''  # a table may be older than the column
    print(f'{row["name"]} diverged at step {row["step"]}{why}')
  print(f'\nall lanes: {result.results}')
  for path in result.pictures:
    print(f'picture:   {path}')
  if (page := result.results.parent / report.NAME).exists():
    print(f'report:    {page}')
  print(f'seconds:   {rows[0]["seconds"]:.1f}')
  if result.verdict:
    print('\n' + '\n'.join(result.verdict))
  sys.stdout.flush()


def _is_known(value: Any) -> bool:
  """Tells whether a cell holds something, and no NaN."""
  return value is not None and value == value


def _table(rows: Sequence[Mapping[str, Any]], split: str) -> list[str]:
  cells = [list(_COLUMNS)]
  for row in rows:
    values = ((row[key.replace('SPLIT', split)], shown) for key, shown in _COLUMNS.values())
    cells.append([shown(value) if _is_known(value) else '' for value, shown in values])
  return standing.aligned(cells, left=0)
