"""The directory of a run: claimed by one process, tied to one config, with its provenance."""

import contextlib
import importlib.metadata
import json
import logging
import os
import pathlib
import platform
import subprocess
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import jax

from vae_jax import config as settings
from vae_jax import errors, files

_PACKAGES = ('vae_jax', 'jax', 'jaxlib', 'flax', 'optax', 'distrax', 'orbax-checkpoint', 'numpy')


@contextlib.contextmanager
def claim(
  workdir: os.PathLike | str,
  config: Mapping,
  provenance: Mapping,
  may_hold: Collection[str] = (),
) -> Iterator[None]:
  """Holds the workdir for the block: creates it, or checks that it belongs to this very config.

  Args:
    workdir: the directory.
    config, provenance: of the run.
    may_hold: names that may stand in it before it is anybody's.

  Raises:
    InputError: it holds a run of another config or of other data, or files that are no run.
    InUseError: another process holds it.
    StorageError: it cannot be written.
  """
  workdir = pathlib.Path(workdir)
  _make(workdir)
  _check_owner(workdir, config, may_hold)
  with files.directory_lock(workdir):
    _check_owner(workdir, config, may_hold)  # again: another process may have made it in between
    files.remove_temporaries(workdir)
    _tie(workdir, config, provenance)
    yield


def _make(workdir: pathlib.Path) -> None:
  try:
    with files.storage_errors(workdir):
      files.make_directory(workdir)
  except errors.StorageError:
    raise
  except OSError as error:  # a file is in the way, or the name is too long
    raise errors.InputError(
      f'--workdir={workdir} cannot be made: {error.strerror}; name a new directory'
    ) from error


def _check_owner(workdir: pathlib.Path, config: Mapping, may_hold: Collection[str]) -> None:
  # Listed before the config is looked for: a run that another process starts now has its config
  # before anything else.
  others = [path for path in workdir.glob('[!.]*') if path.name not in may_hold]
  if (workdir / 'config.json').exists():
    if found := difference(read_config(workdir), plain(config)):
      raise errors.InputError(
        f'--workdir={workdir} holds a run of another config: {found}; '
        'name another directory, or give the same config to continue'
      )
  elif others:
    raise errors.InputError(f'--workdir={workdir} holds files that are no run; name a new one')


def _tie(workdir: pathlib.Path, config: Mapping, provenance: Mapping) -> None:
  # The config first: it is what marks the directory as ours if we are killed in between.
  if not (workdir / 'config.json').exists():
    _write_json(workdir / 'config.json', plain(config))
  path = workdir / 'provenance.json'
  if not path.exists():
    _write_json(path, provenance)
    return
  stored = read_provenance(workdir)
  _refuse_another(workdir, stored, 'data_sha256', provenance['data_sha256'])
  for key in ('versions', 'device'):
    if changed := difference(stored.get(key), plain(provenance[key]), key):
      logging.warning('the last bits may differ from the earlier attempt: %s', changed)


def _refuse_another(workdir: os.PathLike | str, stored: Mapping, key: str, value: Any) -> None:
  if stored.get(key) != value:
    raise errors.InputError(
      f'--workdir={workdir} was started with {key}={stored.get(key)}, now it is {value}; '
      'name another directory'
    )


def recorded_width(workdir: os.PathLike | str) -> int:
  """Returns the lanes of one program that the run of a claimed directory has recorded."""
  return read_provenance(workdir)['width']


def check_width(workdir: os.PathLike | str, width: int) -> None:
  """Checks that programs have the lanes that the run has recorded.

  Raises:
    InputError: the devices make another number of it.
  """
  _refuse_another(workdir, {'width': recorded_width(workdir)}, 'width', width)


def record_width(workdir: os.PathLike | str, width: int) -> None:
  """Records that programs have `width` lanes from here on."""
  _add_to_provenance(workdir, 'width', width)


def is_finished(workdir: os.PathLike | str) -> bool:
  """Tells whether a run has done all that it does, W&B and pictures included."""
  workdir = pathlib.Path(workdir)
  if not (workdir / 'provenance.json').exists():
    return False
  return read_provenance(workdir).get('finished', False) and (workdir / 'results.csv').exists()


def mark_finished(workdir: os.PathLike | str) -> None:
  """Records in provenance.json that nothing is left to do."""
  _add_to_provenance(workdir, 'finished', True)


def _add_to_provenance(workdir: os.PathLike | str, key: str, value: Any) -> None:
  _write_json(pathlib.Path(workdir) / 'provenance.json', read_provenance(workdir) | {key: value})


def _write_json(path: pathlib.Path, value: Any) -> None:
  files.write_text(path, json.dumps(value, indent=2) + '\n')


def plain(config: Any) -> Any:
  """Returns the config as JSON reads it back: tuples as lists."""
  return json.loads(json.dumps(config, allow_nan=False))


def _read_json(path: pathlib.Path) -> Any:
  try:
    return json.loads(path.read_text(encoding='utf-8'))
  except ValueError as error:
    raise errors.DamagedError(f'{path} cannot be read: {error}') from error


def read_config(workdir: os.PathLike | str) -> dict[str, Any]:
  """Returns the config of a run, completed where the run is older than a key.

  Raises:
    InputError: the directory holds no run.
    DamagedError: its config.json is no JSON.
  """
  path = pathlib.Path(workdir) / 'config.json'
  if not path.is_file():
    raise errors.InputError(f'--workdir={workdir} holds no run (no config.json)')
  return plain(settings.complete(_read_json(path)))


def read_provenance(workdir: os.PathLike | str) -> dict[str, Any]:
  """Returns what produced a run; see `provenance`."""
  return _read_json(pathlib.Path(workdir) / 'provenance.json')


def difference(stored: Any, given: Any, key: str = '') -> str:
  """Names the keys that differ, the first three with both values; '' where none does."""
  differences = list(_differences(stored, given, key))
  more = f' and {len(differences) - 3} more' if len(differences) > 3 else ''
  return ', '.join(differences[:3]) + more


def _differences(stored: Any, given: Any, key: str) -> Iterator[str]:
  if isinstance(stored, dict) and isinstance(given, dict):
    for name in sorted(stored.keys() | given.keys()):
      below = f'{key}.{name}' if key else name
      yield from _differences(stored.get(name), given.get(name), below)
  elif stored != given:
    yield f'{key} is {stored!r} there, {given!r} here'


def provenance(data_name: str, data_version: str, data_sha256: str, width: int) -> dict[str, Any]:
  """Returns what produced a run: versions, commit, device, data, and the lanes per program.

  Width and devices are recorded because the last bits of a lane depend on them, and on nothing that
  is beside it.
  """
  device = jax.local_devices()[0]
  return {
    'versions': {name: _version(name) for name in _PACKAGES},
    'python': platform.python_version(),
    'platform': platform.platform(),
    'git': _git(),
    'device': {
      'kind': device.device_kind,
      'platform': device.platform,
      'count': jax.local_device_count(),
    },
    'data': f'{data_name} {data_version}',
    'data_sha256': data_sha256,
    'width': width,
  }


def _version(package: str) -> str | None:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return None


def _git() -> dict[str, Any] | None:
  """Returns the commit of this code and whether it was changed since; None outside a clone."""
  here = pathlib.Path(__file__).resolve().parent

  def ask(*arguments: str) -> str:
    command = ['git', '-C', str(here), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

  try:
    # An installed copy may lie inside somebody else's repository: it must track this very file.
    ask('ls-files', '--error-unmatch', __file__)
    return {'commit': ask('rev-parse', 'HEAD'), 'dirty': bool(ask('status', '--porcelain'))}
  except (OSError, subprocess.CalledProcessError):
    return None
