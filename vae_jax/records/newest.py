"""What is newest of a run, without reading the whole of it: it may be written meanwhile."""

import os
import pathlib
from typing import Any

from vae_jax.records import lines


def newest_rows(path: os.PathLike | str) -> list[dict[str, Any]]:
  """Returns the rows of the last step of a metrics.jsonl, which is read from its end.

  What is torn or damaged is left out: the run may be writing, and nothing goes on from here.
  """
  rows, sealed = [], False
  for _, line in lines.from_the_end(path):
    sealed = sealed or lines.is_sealed(line)
    try:
      row = lines.row_of(line, sealed)
    except ValueError:
      continue
    if rows and row['step'] != rows[-1]['step']:
      break
    rows.append(row)
  return rows[::-1]


def newest_step(workdir: os.PathLike | str) -> int | None:
  """Returns the step of the newest checkpoint, verified or not; None without any."""
  steps = [
    int(path.name) for path in (pathlib.Path(workdir) / 'checkpoints').glob('*') if _is_step(path)
  ]
  return max(steps, default=None)


def _is_step(path: pathlib.Path) -> bool:
  return path.name.isdecimal() and path.is_dir()
