"""Which lanes a share has, and whether a workdir holds shares of this very study."""

import contextlib
import os
import pathlib
import secrets
from collections.abc import Mapping
from typing import Any

from vae_jax import config as settings
from vae_jax import errors, files, identity, paths, validation
from vae_jax.multihost.meeting import wait
from vae_jax.runs import workdir
from vae_jax.study.points import points_of

_STUDY_ID = '.study_id'
_STUDY_ID_SECONDS = 5.0  # for which another process is waited for that writes it


def cut(config: Mapping[str, Any], index: int, count: int) -> dict[str, Any]:
  """Returns the config of one share: the same study with `1 / count` of the lanes, in their order.

  Args:
    config: of the whole study.
    index: of the process, below `count`.
    count: of the processes; their numbers of lanes differ by one at most.

  Raises:
    InputError: the lanes are invalid, or fewer than the processes.
  """
  points = points_of(config)
  if count > len(points):
    raise errors.InputError(
      f'--processes={count} is more than the {len(points)} lanes of the config; the nearest valid '
      f'value is {len(points)}'
    )
  first, end = (first_lane(len(points), i, count) for i in (index, index + 1))
  rows = tuple(tuple(point.values()) for point in points[first:end])
  listed = {'combine': 'list', 'points': rows}
  return {**config, 'lanes': {**config['lanes'], **listed}}


def first_lane(num_lanes: int, index: int, count: int) -> int:
  """Returns the lane of the whole grid that the share of process `index` begins with."""
  return num_lanes * index // count


def share_directory(directory: os.PathLike | str, index: int) -> pathlib.Path:
  """Returns where in a workdir process `index` has its share."""
  return pathlib.Path(directory) / f'process-{index}'


def study_id(directory: pathlib.Path) -> str:
  """Returns what the shares of a workdir are known by together, drawn by whichever comes first.

  '' where that one was killed before it had written it.

  Raises:
    StorageError: the directory cannot be written.
  """
  path = directory / _STUDY_ID
  with files.storage_errors(directory):
    files.make_directory(directory)
    with contextlib.suppress(FileExistsError), open(path, 'x') as file:
      file.write(secrets.token_hex(4))
    wait(path.read_text, _STUDY_ID_SECONDS)
    return path.read_text()


def check(config: Mapping[str, Any], directory: os.PathLike | str, count: int) -> None:
  """Checks the whole study, and that the workdir belongs to it cut in `count`; touches no device.

  Every process comes to the same verdict, before it knows of the others.

  Raises:
    InputError: the config is invalid, has fewer lanes than `count`, or the workdir holds other
      files, or shares of another config or number of processes.
  """
  config, directory = settings.complete(config), paths.expanded(directory, '--workdir')
  problems = validation.problems(config)
  problems.attempt(cut, config, 0, count, needs=('lanes', 'bound', 'posterior', 'prior'))
  problems.refuse()
  found = [path for path in directory.glob('[!.]*')] if directory.is_dir() else []
  stored = {path.name: workdir.read_config(path) for path in found if _is_share(path)}
  if not stored and any(not path.name.startswith('process-') for path in found):
    raise errors.InputError(
      f'--workdir={directory} holds files that are no run of several processes; name a new one'
    )
  if _fits(config, stored, count):
    return
  counts = [n for n in range(1, len(points_of(config)) + 1) if _fits(config, stored, n)]
  if counts:
    nearest = min(counts, key=lambda n: abs(n - count))
    raise errors.InputError(
      f'--processes={count}: --workdir={directory} was begun by another number; the nearest valid '
      f'value is {nearest}'
    )
  given = workdir.plain(config)
  share = next(iter(stored.values())) | {'lanes': given['lanes']}
  found = identity.listed(_others(share, given)) or 'its lanes are others'
  raise errors.InputError(
    f'--workdir={directory} holds shares of another config: {found}; '
    'name another directory, or give the same config to continue'
  )


def _is_share(path: pathlib.Path) -> bool:
  return path.name.startswith('process-') and (path / 'config.json').is_file()


def _fits(config: Mapping[str, Any], stored: Mapping[str, Mapping], count: int) -> bool:
  """Tells whether shares on disk are those of a config cut in `count`."""
  shares = {f'process-{index}': index for index in range(count)}
  return all(
    name in shares and not _others(share, cut(config, shares[name], count))
    for name, share in stored.items()
  )


def _others(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[identity.Change]:
  """Returns in what two configs are of different runs."""
  found = identity.changes(stored, workdir.plain(given))
  return identity.of_kind(found, identity.IDENTITY)
