"""Writes the tables of `schemas` into a page, between its two marks.

python -m vae_jax.records docs/files.md
"""

import pathlib
import sys

from vae_jax.records import schemas

BEGIN, END = '<!-- python -m vae_jax.records docs/files.md -->\n', '<!-- end -->\n'


def written(page: str) -> str:
  """Returns a page with the tables of today between its marks."""
  before, _, rest = page.partition(BEGIN)
  _, _, after = rest.partition(END)
  return f'{before}{BEGIN}{schemas.markdown()}{END}{after}'


if __name__ == '__main__':
  path = pathlib.Path(sys.argv[1])
  path.write_text(written(path.read_text(encoding='utf-8')), encoding='utf-8')
