"""What a run was made by: versions, commit, device, settings of the compiler; and what of it moves.

None of it stands in the config, and all of it can change a bit. A run that goes on in another world
is told so, in a line that says what it means, and its provenance keeps both.
"""

import hashlib
import importlib.metadata
import os
import pathlib
import platform
import secrets
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax

from vae_jax import errors, identity
from vae_jax.runs.workdir import stored

# What is compared, and what is recorded anew when a run goes on.
_WORLD = ('versions', 'python', 'platform', 'git', 'device', 'settings', 'parts')
KEYS = (*_WORLD, 'data', 'event', 'evaluated_on', 'data_seen')

_PACKAGES = ('vae_jax', 'jax', 'jaxlib', 'flax', 'optax', 'distrax', 'orbax-checkpoint', 'numpy')
_SETTINGS = (
  'jax_enable_x64',
  'jax_threefry_partitionable',
  'jax_default_matmul_precision',
  'jax_disable_most_optimizations',
  'jax_disable_jit',
)
_FLAGS = ('XLA_FLAGS', 'LIBTPU_INIT_ARGS')
# Of the flags, what names places and files and moves no bit.
_HARMLESS = ('--xla_dump', '--xla_force_host_platform_device_count')

# What it means that something is another; the first that begins with it.
_EFFECTS = {
  'settings.jax_threefry_partitionable': 'the noise of every lane is another from here on: as good '
  'a run, but not the one that was begun',
  'settings.jax_default_matmul_precision': 'products of matrices are rounded otherwise',
  'settings': 'the last bits will differ, or more where arithmetic is less exact',
  'git': 'the code is another: what it computes may be, too',
  'parts': 'the file of a part is another: what it computes may be, too',
  '': 'the last bits may differ',
}


def provenance(
  data_name: str,
  data_version: str,
  data_sha256: str,
  event: Sequence[int],
  width: int,
  study_id: str | None = None,
) -> dict[str, Any]:
  """Returns what produces a run: versions, commit, device, data, and the lanes per program.

  Width and devices are recorded because the last bits of a lane depend on them, and on nothing that
  is beside it. The study id tells two launches of one study apart: it is random, but for the shares
  of a study, which have one.
  """
  return here() | {
    'data': f'{data_name} {data_version}',
    'data_sha256': data_sha256,
    'event': list(event),
    'width': width,
    'study_id': study_id or secrets.token_hex(4),
  }


def here() -> dict[str, Any]:
  """Returns the part of it that is the same for every run of this process."""
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
    'settings': _settings(),
  }


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[identity.Change]:
  """Returns what differs between two provenances, of what a run can go on under.

  What an earlier version did not record is not known to differ.
  """
  found = []
  for key in _WORLD:
    if key in before and key in now:
      was, is_ = ({key: _compared(key, stored.plain(part[key]))} for part in (before, now))
      found += identity.changes(was, is_)
  return found


def _compared(key: str, value: Any) -> Any:
  """Returns of what is recorded what can change a bit: not where the file of a part lies."""
  if key != 'parts':
    return value
  return {section: {'sha256': part['sha256']} for section, part in value.items()}


def refuse(found: list[identity.Change]) -> None:
  """Refuses a world in which the arrays of the run have another type.

  Raises:
    InputError: jax_enable_x64 is another.
  """
  for change in found:
    if change.key == 'settings.jax_enable_x64':
      raise errors.InputError(
        f'JAX_ENABLE_X64 is {change.given} here and was {change.stored} when the run was started, '
        f'and its arrays are of that type; set JAX_ENABLE_X64={int(bool(change.stored))}'
      )


def warnings(found: list[identity.Change]) -> Iterator[str]:
  """Yields a line for each kind of difference, with what it means."""
  by_effect = {}
  for change in found:
    prefix = next(prefix for prefix in _EFFECTS if change.key.startswith(prefix))
    by_effect.setdefault(_EFFECTS[prefix], []).append(change)
  for effect, group in by_effect.items():
    yield f'{effect}: {identity.listed(group)}'


def _settings() -> dict[str, Any]:
  flags = ' '.join(os.environ.get(name, '') for name in _FLAGS).split()
  kept = [flag for flag in flags if not flag.startswith(_HARMLESS)]
  values = {name: jax.config.values[name] for name in _SETTINGS}
  return stored.plain(values | {'flags': sorted(kept)})


def _version(package: str) -> str | None:
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return None


def _git() -> dict[str, Any] | None:
  """Returns the commit of this code and what was changed since; None outside a clone."""
  here = pathlib.Path(__file__).resolve().parent

  def ask(*arguments: str) -> str:
    command = ['git', '-C', str(here), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

  try:
    # An installed copy may lie inside somebody else's repository: it must track this very file.
    ask('ls-files', '--error-unmatch', __file__)
    commit, dirty = ask('rev-parse', 'HEAD'), bool(ask('status', '--porcelain'))
    diff = ask('diff', 'HEAD')
  except (OSError, subprocess.CalledProcessError):
    return None
  changed = hashlib.sha256(diff.encode()).hexdigest()[:16] if diff else None
  return {'commit': commit, 'dirty': dirty, 'diff_sha256': changed}
