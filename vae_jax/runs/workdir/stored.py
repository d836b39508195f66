"""What a run says of itself: config.json and provenance.json, read and written."""

import json
import os
import pathlib
from collections.abc import Sequence
from typing import Any

from vae_jax import config as settings
from vae_jax import errors, identity, records
from vae_jax.records import manifest

# The files that a run writes; those of a run that is older than its manifest are looked up.
FILES = (
  'config.json',
  'provenance.json',
  'model.json',
  'results.csv',
  'latents.csv',
  'nll_curve.csv',
  'forecast.csv',
  'curve.csv',
  'disentanglement.csv',
  'udr.csv',
  'per_image.npz',
  'verdict.json',
  'images.npz',
  'figures/*.png',
)
RECORD = 'metrics.jsonl'  # grows: its rows are checked, and the whole of it once it is finished
# What cannot be made again: they say what the run is and how it was made.
ORIGINALS = ('config.json', 'provenance.json')


def plain(config: Any) -> Any:
  """Returns the config as JSON reads it back: tuples as lists."""
  return json.loads(json.dumps(config, allow_nan=False))


def read_config(workdir: os.PathLike | str) -> dict[str, Any]:
  """Returns the config of a run, completed where the run is older than a key.

  Raises:
    InputError: the directory holds no run.
    DamagedError: its config.json is no JSON, or not what was written.
  """
  path = pathlib.Path(workdir) / 'config.json'
  if not path.is_file() and path.name not in manifest.read(workdir):
    raise errors.InputError(f'--workdir={workdir} holds no run (no config.json)')
  return plain(settings.complete(_read_json(path)))


def read_provenance(workdir: os.PathLike | str) -> dict[str, Any]:
  """Returns what produced a run; see `world.provenance`.

  Raises:
    DamagedError: it is absent, no JSON, or not what was written.
  """
  return _read_json(pathlib.Path(workdir) / 'provenance.json')


def _read_json(path: pathlib.Path) -> dict[str, Any]:
  try:
    manifest.verify(path)
    value = json.loads(path.read_text(encoding='utf-8'))
  except (ValueError, FileNotFoundError) as error:
    raise lost(path, f'cannot be read ({error})') from error
  except errors.DamagedError as error:
    raise lost(path, manifest.CHANGED if path.exists() else manifest.MISSING) from error
  if not isinstance(value, dict):
    raise lost(path, 'cannot be read (it is no JSON object)')
  return value


def lost(path: pathlib.Path, what: str) -> errors.DamagedError:
  """Returns what to raise where one of `ORIGINALS` is not what was written."""
  return errors.DamagedError(
    f'{path} {what}; it cannot be made again: put back a copy, or name a new --workdir'
  )


def write_json(path: pathlib.Path, value: Any) -> None:
  """Writes a JSON file atomically, and announces it."""
  manifest.write_text(path, json.dumps(value, indent=2) + '\n')


def recorded_width(workdir: os.PathLike | str) -> int:
  """Returns the lanes of one program that the run of a claimed directory has recorded."""
  return read_provenance(workdir)['width']


def record_width(workdir: os.PathLike | str, width: int) -> None:
  """Records that programs have `width` lanes from here on."""
  stored = read_provenance(workdir)
  change = identity.Change('width', stored['width'], width)
  write_provenance(workdir, with_changes(workdir, stored, [change]) | {'width': width})


def with_changes(
  workdir: os.PathLike | str, provenance: dict[str, Any], found: Sequence[identity.Change]
) -> dict[str, Any]:
  """Returns a provenance whose list of changes has further ones, of the step that stands on disk.

  Each is {"from_step": 40, "key": "train.log_every", "was": 10, "is": 20}. One whose attempt was
  killed before it was carried out is found again: it stands once.
  """
  step = records.newest_step(workdir) or 0
  before = provenance.get('changes', [])
  new = [
    {'from_step': step, 'key': change.key, 'was': change.stored, 'is': change.given}
    for change in found
  ]
  new = [change for change in new if change not in before]
  return provenance | ({'changes': before + new} if new else {})


def write_provenance(workdir: os.PathLike | str, value: dict[str, Any]) -> None:
  """Writes provenance.json."""
  write_json(pathlib.Path(workdir) / 'provenance.json', value)


def is_finished(workdir: os.PathLike | str) -> bool:
  """Tells whether a run has done all that it does, W&B and pictures included."""
  workdir = pathlib.Path(workdir)
  if not (workdir / 'provenance.json').exists():
    return False
  return read_provenance(workdir).get('finished', False) and (workdir / 'results.csv').exists()


def mark_finished(workdir: os.PathLike | str, **facts: Any) -> None:
  """Records in provenance.json that nothing is left to do, and settles the manifest.

  Args:
    workdir: of the run.
    **facts: to record beside it: the step and the seconds that it took.
  """
  stored = read_provenance(workdir)
  manifest.settle(workdir, RECORD)
  write_provenance(workdir, stored | facts | {'finished': True})
  manifest.settle(workdir)


def mark_unfinished(workdir: os.PathLike | str) -> None:
  """Records that there is work left again."""
  write_provenance(workdir, read_provenance(workdir) | {'finished': False})
  manifest.forget(workdir, RECORD)
