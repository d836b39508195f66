"""Writes the tables of `schemas` into a page, between its two marks.

python -m vae_jax.records docs/files.md
"""

import pathlib
import sys

from vae_jax import lane_fields
from vae_jax.records import schemas

BEGIN, END = '<!-- python -m vae_jax.records docs/files.md -->\n', '<!-- end -->\n'


def written(page: str) -> str:
  """Returns a page with the tables of today between its marks."""
  before, _, rest = page.partition(BEGIN)
  _, _, after = rest.partition(END)
  return f'{before}{BEGIN}{tables()}{END}{after}'


def tables() -> str:
  """Returns the tables of all files, columns and keys, as Markdown."""
  fields = [schemas.Column(field.name, field.meaning) for field in lane_fields.FIELDS]
  columns_of = {
    'results.csv': (*schemas.RESULTS_BEFORE, *fields, *schemas.RESULTS),
    'latents.csv': schemas.LATENTS,
    'nll_curve.csv': schemas.NLL_CURVE,
    'forecast.csv': schemas.FORECAST,
    'curve.csv': schemas.CURVE,
    'disentanglement.csv': schemas.DISENTANGLEMENT,
    'udr.csv': schemas.UDR,
    'per_image.npz': schemas.PER_IMAGE,
    'metrics.jsonl': schemas.METRICS,
    'provenance.json': schemas.PROVENANCE,
    'verdict.json': schemas.VERDICT,
    'vae-jax status --json': schemas.STATUS,
  }
  lines = ['| file | content |', '|---|---|']
  lines += [f'| `{file.name}` | {file.meaning} |' for file in schemas.FILES]
  lines += ['', 'Of a study of launches:', '', '| file | content |', '|---|---|']
  lines += [f'| `{file.name}` | {file.meaning} |' for file in schemas.OF_LAUNCHES]
  for name, columns in columns_of.items():
    lines += ['', f'### `{name}`', '', '| name | meaning | unit | better |', '|---|---|---|---|']
    lines += [f'| `{c.name}` | {c.meaning} | {c.unit} | {c.better} |' for c in columns]
  return '\n'.join(lines) + '\n'


if __name__ == '__main__':
  path = pathlib.Path(sys.argv[1])
  path.write_text(written(path.read_text(encoding='utf-8')), encoding='utf-8')
