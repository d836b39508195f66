"""What lies in WORKDIR/wandb: the ids of this run's W&B runs, and which steps they have already.

Each start of a run makes W&B write one more directory for each of its runs, a fragment:
`offline-run-<date>_<time>-<run id>`, or `run-…` online. RECORD keeps what the run ids end with, the
trial that the study is, and the last step of every fragment that has been looked into: so ids do
not change where the directory is moved, and fragments may be removed once they are uploaded.
"""

import json
import os
import pathlib
import re
import secrets
import shutil
import struct
import subprocess
from collections.abc import Iterable
from typing import NamedTuple

from vae_jax import files
from vae_jax.tracking.layout import STEP

RECORD = 'fragments.json'
OLD_STEP = 'train/step'  # as earlier versions named it

_SECONDS = 60.0
# Of W&B's files: the log format of LevelDB (github.com/google/leveldb, doc/log_format.md).
_BLOCK_BYTES = 2**15
_HEADER_BYTES = 7  # of the file and of each chunk: checksum, length, type
_FULL, _LAST = 1, 4  # types of the chunks with which a record ends


class Fragments(NamedTuple):
  """What is known of WORKDIR/wandb.

  Attributes:
    suffix: what the ids of W&B's runs end with.
    steps: DIRECTORY/run-ID.wandb of a fragment -> the last step in it, -1 for none.
    trial: the id of the run of the study where it is a trial of a sweep, else None.
  """

  suffix: str
  steps: dict[str, int]
  trial: str | None = None

  def held(self, run_id: str, online: bool) -> int:
    """Returns the last step that must not be logged to a W&B run again, -1 for none.

    Online the server says what it has got of its own; what lies in an offline fragment comes to it
    by `wandb sync`.
    """
    offline = 'offline-' if online else ''
    return max(
      (
        step
        for name, step in self.steps.items()
        if name.endswith(f'/run-{run_id}.wandb') and name.startswith(offline)
      ),
      default=-1,
    )


def look(directory: pathlib.Path, study_id: str | None, trial: str | None = None) -> Fragments:
  """Returns what is known of a directory, having looked into the fragments that are new in it.

  What a kill has torn is made whole, and what has no record is removed: because of one of them
  `wandb sync` leaves out others.

  Args:
    directory: WORKDIR/wandb.
    study_id: what the ids of new runs end with; None of a run that is older than such ids.
    trial: see `Fragments`; None where it is known already, or there is none.

  Raises:
    ValueError: RECORD cannot be read.
  """
  record = directory / RECORD
  paths = {name_of(path): path for path in sorted(directory.glob('*run-*_*-*/run-*.wandb'))}
  if record.exists():
    known = Fragments(**json.loads(record.read_text()))
  else:
    known = Fragments(study_id or _suffix(paths), {})
  new = {name: path for name, path in paths.items() if name not in known.steps}
  for name, path in new.items():
    if name.startswith('offline-'):
      os.truncate(path, _whole_bytes(path.read_bytes()))
  steps = {name: _last_step(path) for name, path in new.items()}
  for name in [name for name, step in steps.items() if step is None]:
    shutil.rmtree(paths[name].parent)
    del steps[name]
  known = known._replace(steps=known.steps | steps, trial=trial or known.trial)
  write(directory, known)
  return known


def group_of(study: str, suffix: str) -> str:
  """Returns the W&B group of runs: one for all launches of a study, whose ids end with -NUMBER.

  Args:
    study: the name of the study.
    suffix: what the ids of the runs end with.
  """
  return f'{study}-{suffix.partition("-")[0]}'


def name_of(path: pathlib.Path) -> str:
  """Returns DIRECTORY/run-ID.wandb; of the directory alone the id cannot be told for sure."""
  return f'{path.parent.name}/{path.name}'


def write(directory: pathlib.Path, fragments: Fragments) -> None:
  """Records what is known."""
  files.write_text(directory / RECORD, json.dumps(fragments._asdict(), indent=1) + '\n')


def _suffix(names: Iterable[str]) -> str:
  """Returns what the ids of runs that are older than RECORD end with, else something new."""
  found = [match[1] for name in names if (match := re.search(r'-([0-9a-f]{8})\.wandb$', name))]
  return found[-1] if found else secrets.token_hex(4)


def _last_step(path: pathlib.Path) -> int | None:
  """Returns the last step that W&B's own parser finds; None where there is no record."""
  from wandb.util import get_core_path

  command = [get_core_path(), 'leet', 'inspect', '--no-observability', '--json', '--run-file']
  output = subprocess.run(
    [*command, str(path)], capture_output=True, stdin=subprocess.DEVNULL, timeout=_SECONDS
  )
  if output.returncode == 0 and not output.stdout:
    return None
  records = [json.loads(line) for line in output.stdout.splitlines() if b'"history"' in line]
  items = [record['history']['item'] for record in records if record['type'] == 'history']
  return max((item[key] for item in items for key in (STEP, OLD_STEP) if key in item), default=-1)


def _whole_bytes(data: bytes) -> int:
  """Returns up to where a file consists of whole records."""
  position = whole = _HEADER_BYTES
  while position + _HEADER_BYTES <= len(data):
    left = _BLOCK_BYTES - position % _BLOCK_BYTES
    if left < _HEADER_BYTES:  # no room for a chunk: the rest of the block is empty
      position += left
      continue
    length, kind = struct.unpack_from('<HB', data, position + 4)
    position += _HEADER_BYTES + length
    if not kind or position > len(data):
      break
    if kind in (_FULL, _LAST):
      whole = position
  return min(whole, len(data))
