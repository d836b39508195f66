"""manifest.json: the sha256 of every file of a run, so that a reader sees a changed bit.

A file that is written beside a manifest, or one folder below it, is announced in it before it gets
its name: until the next write, both what stood there and what will stand there are accepted. So a
kill between any two system calls leaves files that pass. `settle` leaves one sha256 a file.

  {"files": {"results.csv": ["5ac0...", "91f2..."], "figures/latents.png": [null, "77d1..."]},
   "sha256": "..."}                        null: the file may be absent; the sha256 is of `files`
"""

import contextlib
import hashlib
import json
import os
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any

from vae_jax import errors, files

NAME = 'manifest.json'

MISSING = 'is missing'
CHANGED = 'fails its sha256'

Entries = dict[str, list[str | None]]  # name, relative to the directory -> what it may be


def begin(directory: os.PathLike | str, patterns: Iterable[str]) -> bool:
  """Makes the manifest of a directory that has none, of its files as they are.

  Args:
    directory: of a run, new or of an earlier version.
    patterns: of the names of the files that are its own.

  Returns:
    Whether it was made.
  """
  directory = pathlib.Path(directory)
  if (directory / NAME).exists():
    return False
  found = sorted(path for pattern in patterns for path in directory.glob(pattern))
  names = [path.relative_to(directory).as_posix() for path in found if path.name[0] != '.']
  _write(directory, {name: [files.sha256_of_file(directory / name)] for name in names})
  return True


@contextlib.contextmanager
def recorded_path(path: os.PathLike | str) -> Iterator[pathlib.Path]:
  """As `files.atomic_path`; where a manifest is near, the new bytes are announced in it."""
  path = pathlib.Path(path)
  with files.atomic_path(path) as temporary:
    yield temporary
    if (directory := _directory_of(path)) is not None:
      _announce(directory, path, files.sha256_of_file(temporary))


def write_text(path: os.PathLike | str, text: str) -> None:
  """Writes a whole text file atomically and announces it."""
  with recorded_path(path) as temporary:
    temporary.write_text(text, encoding='utf-8')


def _announce(directory: pathlib.Path, path: pathlib.Path, coming: str) -> None:
  entries, name = read(directory), path.relative_to(directory).as_posix()
  now = _sha256(path)
  known = entries.get(name, [now])
  # A damaged file fails its check until it has been replaced.
  stands = [now] if now in known else known[-1:]
  entries[name] = list(dict.fromkeys([*stands, coming]))
  _write(directory, entries)


def faults(directory: os.PathLike | str) -> dict[str, str]:
  """Returns the files that are not what was written: name -> MISSING or CHANGED.

  A run of an earlier version, which has no manifest, has no faults that could be seen.

  Raises:
    DamagedError: the manifest itself cannot be read.
  """
  directory = pathlib.Path(directory)
  while True:
    entries = read(directory)
    found = {}
    for name, allowed in entries.items():
      sha256 = _sha256(directory / name)
      if sha256 not in allowed:
        found[name] = CHANGED if sha256 else MISSING
    # A run that goes on beside a reader may have written in between.
    if not found or read(directory) == entries:
      return found


def verify(path: os.PathLike | str) -> None:
  """Checks one file, where a manifest is near.

  Raises:
    DamagedError: it is not what was written.
  """
  path = pathlib.Path(path)
  directory = _directory_of(path)
  if directory is None:
    return
  name = path.relative_to(directory).as_posix()
  while True:
    allowed = read(directory).get(name)
    if allowed is None or _sha256(path) in allowed:
      return
    if read(directory).get(name) == allowed:
      raise errors.DamagedError(f'{path} {CHANGED if path.exists() else MISSING} ({NAME})')


def read_json(path: os.PathLike | str) -> dict[str, Any]:
  """Returns what a JSON file of a run holds; {} of a run that does not have it.

  Raises:
    DamagedError: it is not what was written.
  """
  path = pathlib.Path(path)
  if not path.exists():
    return {}
  verify(path)
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise errors.DamagedError(f'{path} cannot be read ({error})') from error


def settle(directory: os.PathLike | str, *also: str) -> None:
  """Leaves one sha256 a file, that of the file as it is; what is damaged stays so.

  Args:
    directory: of the manifest.
    also: names of further files to list from here on.
  """
  directory = pathlib.Path(directory)
  entries = read(directory)
  settled = {}
  for name in (*entries, *also):
    sha256 = _sha256(directory / name)
    allowed = [sha256] if name in also else entries[name]
    settled[name] = [sha256] if sha256 in allowed else allowed
  settled = {name: allowed for name, allowed in settled.items() if allowed != [None]}
  if settled != entries:
    _write(directory, settled)


def forget(directory: os.PathLike | str, *names: str) -> None:
  """Takes files out of the manifest: they may change, or go, unnoticed."""
  entries = read(directory)
  if entries.keys() & set(names):
    _write(directory, {name: shas for name, shas in entries.items() if name not in names})


def read(directory: os.PathLike | str) -> Entries:
  """Returns what the files of a directory may be; {} where it has no manifest.

  Raises:
    DamagedError: it fails its own check.
  """
  path = pathlib.Path(directory) / NAME
  try:
    stored = json.loads(path.read_bytes())
    if stored['sha256'] == _digest(stored['files']):
      return stored['files']
  except (FileNotFoundError, NotADirectoryError):
    return {}
  except (ValueError, KeyError, TypeError):
    pass  # as damaged as one whose digest is another
  raise errors.DamagedError(
    f'{path} fails its own check; if the other files are good, remove it: it is made anew of them'
  )


def _write(directory: pathlib.Path, entries: Entries) -> None:
  stored = {'files': dict(sorted(entries.items())), 'sha256': _digest(entries)}
  files.write_text(directory / NAME, json.dumps(stored, indent=1) + '\n')


def _digest(entries: Entries) -> str:
  return hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()


def _directory_of(path: pathlib.Path) -> pathlib.Path | None:
  return next((d for d in (path.parent, path.parent.parent) if (d / NAME).exists()), None)


def _sha256(path: pathlib.Path) -> str | None:
  try:
    return files.sha256_of_file(path)
  except FileNotFoundError:
    return None
