"""What is newest of a run, without reading the whole of it: it may be written meanwhile."""

import os
import pathlib
from typing import Any

from vae_jax.records import journal

_BLOCK_BYTES = 2**16  # of the end of a journal, at first


def newest_rows(path: os.PathLike | str) -> list[dict[str, Any]]:
  """Returns the rows of the last step of a metrics.jsonl, which is read from its end.

  What is torn or damaged is left out: the run may be writing, and nothing goes on from here.
  """
  with open(path, 'rb') as file:
    size = file.seek(0, os.SEEK_END)
    block = _BLOCK_BYTES
    while True:
      begin = max(0, size - block)
      file.seek(begin)
      *lines, _ = file.read(size - begin).split(b'\n')
      found, _ = journal.rows_and_faults(b''.join(line + b'\n' for line in lines[begin > 0 :]))
      rows = [row for _, _, row in found]
      newest = [row for row in rows if row['step'] == rows[-1]['step']]
      if begin == 0 or len(newest) < len(rows):
        return newest
      block *= 4


def newest_step(workdir: os.PathLike | str) -> int | None:
  """Returns the step of the newest checkpoint, verified or not; None without any."""
  steps = [
    int(path.name) for path in (pathlib.Path(workdir) / 'checkpoints').glob('*') if _is_step(path)
  ]
  return max(steps, default=None)


def _is_step(path: pathlib.Path) -> bool:
  return path.name.isdecimal() and path.is_dir()
