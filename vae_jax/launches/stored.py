"""study.json: the launches of a study, written once by whoever starts them first."""

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from vae_jax import config_files, errors
from vae_jax.records import manifest

NAME = 'study.json'
_LAUNCHES, _JOBS = 'launches', 'jobs'


class Launch(NamedTuple):
  """One launch.

  Attributes:
    name: of its directories.
    changes: the keys that are its own, `section.key`, with their values.
    lanes: how many it has.
    config: the whole of it, plain and complete.
  """

  name: str
  changes: Mapping[str, Any]
  lanes: int
  config: Mapping[str, Any]


class Study(NamedTuple):
  """What study.json holds.

  Attributes:
    study: its name.
    study_id: random: what the W&B runs of its launches are named after.
    paths: where the parts lie that a config names by import path.
    launches: in the order of the config.
  """

  study: str
  study_id: str
  paths: Sequence[str]
  launches: Sequence[Launch]

  @property
  def keys(self) -> list[str]:
    """The keys in which launches differ, in their order."""
    return list(dict.fromkeys(key for launch in self.launches for key in launch.changes))

  def values(self, launch: Launch) -> dict[str, Any]:
    """Returns what a launch has of every key in which launches differ, None where it has none."""
    return {key: _at(launch.config, key) for key in self.keys}

  @property
  def numbers(self) -> dict[str, int]:
    """The number of each launch, by its name."""
    return {launch.name: number for number, launch in enumerate(self.launches)}

  def named(self, name: str) -> Launch:
    """Returns the launch of a name."""
    return next(launch for launch in self.launches if launch.name == name)


def _at(config: Mapping[str, Any], key: str) -> Any:
  value: Any = config
  for part in key.split('.'):
    value = value.get(part) if isinstance(value, Mapping) else None
  return value


def write(directory: os.PathLike | str, study: Study) -> None:
  """Writes study.json of a directory that exists, whole or not at all."""
  record = study._asdict() | {'launches': [launch._asdict() for launch in study.launches]}
  manifest.write_text(pathlib.Path(directory) / NAME, json.dumps(record, indent=1) + '\n')


def read(directory: os.PathLike | str) -> Study:
  """Returns the launches of a directory.

  Raises:
    InputError: it holds no study of launches.
    DamagedError: study.json is not what was written.
  """
  path = pathlib.Path(directory) / NAME
  if not path.is_file():
    raise errors.InputError(f'{directory} holds no {NAME}; vae-jax sweep writes it')
  found = manifest.read_json(path)
  try:
    launches = [Launch(**config_files.tuples(launch)) for launch in found['launches']]
    return Study(**{**found, 'paths': tuple(found['paths']), 'launches': launches})
  except (KeyError, TypeError) as error:
    raise errors.DamagedError(f'{path} cannot be read ({error})') from error


def holds_study(directory: os.PathLike | str) -> bool:
  """Tells whether a directory is of a study of launches."""
  return (pathlib.Path(directory) / NAME).is_file()


def run_of(directory: os.PathLike | str, name: str) -> pathlib.Path:
  """Returns the workdir of a launch."""
  return pathlib.Path(directory) / _LAUNCHES / name


def jobs_of(directory: os.PathLike | str, name: str) -> pathlib.Path:
  """Returns where the log of a launch lies, and what is known of its attempts."""
  return pathlib.Path(directory) / _JOBS / name
