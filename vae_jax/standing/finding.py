"""Whether a directory holds a run, and the nearest one where it does not."""

import difflib
import pathlib

from vae_jax import errors, launches


def check(directory: pathlib.Path) -> None:
  """Checks that a directory holds a run, or shares of one.

  Raises:
    InputError: it does not.
  """
  if not _holds_run(directory):
    raise errors.InputError(f'--workdir={directory} holds no run; {_hint(directory)}')


def shares_of(directory: pathlib.Path) -> list[pathlib.Path]:
  """Returns the shares of a study of several processes, in their order."""
  found = [path for path in directory.glob('process-*') if _has_config(path)]
  numbers = {path: path.name.removeprefix('process-') for path in found}
  return sorted(
    (path for path in found if numbers[path].isdecimal()), key=lambda path: int(numbers[path])
  )


def _holds_run(directory: pathlib.Path) -> bool:
  return _has_config(directory) or launches.holds_study(directory) or bool(shares_of(directory))


def _has_config(directory: pathlib.Path) -> bool:
  # Either may be lost; beside neither there is nothing to read.
  return any((directory / name).is_file() for name in ('config.json', 'metrics.jsonl'))


def _hint(directory: pathlib.Path) -> str:
  """Returns what may have been meant: a run in the directory, or beside it."""
  above = directory if directory.is_dir() else directory.parent
  for place in (above, directory.parent):
    runs = [path for path in _below(place) if _holds_run(path)]
    if near := difflib.get_close_matches(directory.name, [path.name for path in runs], 1, cutoff=0):
      return f'did you mean --workdir={place / near[0]}?'
  return f'there is none in {directory.parent}'


def _below(place: pathlib.Path) -> list[pathlib.Path]:
  try:
    return sorted(path for path in place.iterdir() if path.is_dir())
  except OSError:  # not there, or not to be read
    return []
