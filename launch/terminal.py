"""The table that ends a command."""

from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax import outcome

_BEST = 8

_COLUMNS = {
  'lane': ('name', '{}'),
  'beta': ('beta', '{:g}'),
  'latents': ('latent_size', '{}'),
  'active': ('test/active_units', '{:.0f}'),
  'ELBO': ('test/elbo', '{:.2f}'),
  'rate': ('test/rate', '{:.2f}'),
  'distortion': ('test/distortion', '{:.2f}'),
  'NLL': ('test/nll', '{:.2f}'),
  '± s.e.': ('test/nll_stderr', '{:.2f}'),
}


def show(result: outcome.Outcome) -> None:
  """Prints the best lanes by test ELBO, what failed, and where the files are."""
  rows = result.rows
  ranked = sorted(
    (row for row in rows if row['test/elbo'] is not None),
    key=lambda row: row['test/elbo'],
    reverse=True,
  )
  diverged = [row for row in rows if row['status'] == 'diverged']
  print(f'\nBest of {len(rows)} lanes by test ELBO (nats per image; ELBO higher is better):\n')
  print('\n'.join(_table(ranked[:_BEST])))
  if result.kl == 'sampled':
    print('\nThe rate is sampled: it carries the noise of z.')
  for row in diverged:
    print(f'{row["name"]} diverged at step {row["step"]}')
  print(f'\nall lanes: {result.results}')
  for path in result.pictures:
    print(f'picture:   {path}')
  print(f'seconds:   {rows[0]["seconds"]:.1f}', flush=True)


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  cells = [list(_COLUMNS)]
  for row in rows:
    values = ((row[key], pattern) for key, pattern in _COLUMNS.values())
    cells.append(['' if value is None else pattern.format(value) for value, pattern in values])
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  return [
    '  '.join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
    for line in cells
  ]
