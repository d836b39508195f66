"""The config of a study: a Python file with `get_config()`, of a user or of the package.

Beside it may stand `launches()`, what the study trains as programs of their own:

  def launches():
    for hidden in ((64,), (256,)):
      yield {'encoder.hidden': hidden, 'decoder.hidden': hidden}

A launch is called by these keys, or by what it yields as 'name' beside them.
"""

import difflib
import importlib.util
import json
import os
import pathlib
import sys
from collections.abc import Callable, Mapping
from importlib import machinery
from typing import Any

from vae_jax import config as settings
from vae_jax import errors, paths


def read(name: os.PathLike | str, key: str) -> Mapping[str, Any]:
  """Returns what `get_config()` of a file returns; from then on it may name parts beside it.

  Args:
    name: FILE, the config.json of a run too, or STUDY of one that comes with the package, such as
      'digits'; FILE:ARGUMENT hands a text to `get_config`.
    key: what a message calls it.

  Raises:
    InputError: there is no such file, it does not run, or returns no config.
  """
  config = _called(name, key, _config_of)
  if not isinstance(settings.plain(config), Mapping):
    raise errors.InputError(
      f'{key}={os.fspath(name)}: get_config() returns {errors.shown(config)}; '
      'it returns a ConfigDict or a dict'
    )
  return config


def launches(name: os.PathLike | str, key: str) -> list[Mapping[str, Any]]:
  """Returns what `launches()` of a file yields: the keys of each launch, and its name.

  A file without that function is one launch, with none.

  Args:
    name, key: see `read`.

  Raises:
    InputError: there is no such file, it does not run, or yields something else.
  """
  found = _called(name, key, _launches_of)
  if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
    raise errors.InputError(
      f'{key}={os.fspath(name)}: launches() yields {errors.shown(found)}; '
      "it yields a dict for each launch, such as {'encoder.hidden': (64,)}"
    )
  if not found:
    raise errors.InputError(f'{key}={os.fspath(name)}: launches() yields no launch')
  return [settings.plain(each) for each in found]


def _called(
  name: os.PathLike | str, key: str, call: Callable[[pathlib.Path, list[str]], Any]
) -> Any:
  """Returns what a file and its argument make; whatever goes wrong in it is one line."""
  text = os.fspath(name)
  filename, *argument = text.split(':', 1)
  file = found(filename, key).absolute()
  try:
    return call(file, argument)
  except errors.InputError as error:
    raise errors.InputError(f'{key}={text}: {error}') from error
  except SystemExit as error:
    raise errors.InputError(
      f'{key}={text}: it ends the program (sys.exit); a config returns its settings'
    ) from error
  except Exception as error:  # the file is the user's code: anything may come out of it
    raise errors.InputError(f'{key}={text}: {type(error).__name__}: {error}') from error


def _config_of(file: pathlib.Path, argument: list[str]) -> Any:
  """Returns the config of a file; the config.json of a run is its config already."""
  if file.suffix == '.json':
    return tuples(json.loads(file.read_text(encoding='utf-8')))
  module = _run(file)
  if not hasattr(module, 'get_config'):
    raise errors.InputError('it has no function get_config()')
  return module.get_config(*argument)


def _launches_of(file: pathlib.Path, argument: list[str]) -> Any:
  del argument  # of get_config
  module = None if file.suffix == '.json' else _run(file)
  if not hasattr(module, 'launches'):
    return [{}]
  yielded = module.launches()
  return yielded if isinstance(yielded, (Mapping, str)) else list(yielded)


def _run(file: pathlib.Path) -> Any:
  """Runs a file and returns its module; what it imports may lie beside it."""
  if str(file.parent) not in sys.path:
    sys.path.append(str(file.parent))
  loader = machinery.SourceFileLoader('_vae_jax_config', str(file))  # whatever its name ends with
  spec = importlib.util.spec_from_file_location(loader.name, file, loader=loader)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


def tuples(value: Any) -> Any:
  """Returns what JSON read with tuples for its lists, as a config has them."""
  if isinstance(value, dict):
    return {name: tuples(below) for name, below in value.items()}
  return tuple(map(tuples, value)) if isinstance(value, list) else value


def found(name: os.PathLike | str, key: str) -> pathlib.Path:
  """Returns the path of a config file.

  Args:
    name: of the file, or of a study that comes with the package, such as 'digits'.
    key: what a message calls it.

  Raises:
    InputError: there is no such file; with the name of one that there is.
  """
  path = paths.expanded(name, key)
  if path.is_file():
    return path
  studies = {file.stem: file for file in sorted(_studies().glob('[a-z]*.py'))}
  if os.fspath(name) in studies:
    return studies[os.fspath(name)]
  if path.is_dir():
    hint = f', such as {files[0]}' if (files := _python_files(path)) else ''
    raise errors.InputError(f'{key}={path} is a directory; name a file{hint}')
  here = _python_files(pathlib.Path('configs')) or [*studies]
  near = difflib.get_close_matches(str(path), [*_python_files(path.parent), *here, *studies], n=1)
  hint = f'did you mean {near[0]}?' if near else f'there are {", ".join(here)}'
  raise errors.InputError(f'{key}={path}: no such file; {hint}')


def _studies() -> pathlib.Path:
  """Returns where the studies are that come with the package: in it, or beside it in a clone."""
  package = pathlib.Path(__file__).parent
  inside = package / 'configs'  # see setup.py
  return inside if inside.is_dir() else package.parent / 'configs'


def _python_files(directory: pathlib.Path) -> list[str]:
  return sorted(map(str, directory.glob('[a-z]*.py')))
