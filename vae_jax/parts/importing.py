"""From the name of a part to its constructor; what goes wrong is said in one line."""

import difflib
import functools
import hashlib
import importlib
import inspect
import pathlib
import re
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from vae_jax import checks, errors
from vae_jax.parts.sections import SECTIONS

_PATH = re.compile(r'[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*')


def is_from_outside(name: Any) -> bool:
  """Tells whether a name is an import path, 'package.module:attribute'."""
  return isinstance(name, str) and _PATH.fullmatch(name) is not None


def resolve(section: str, name: Any) -> Callable[..., Any]:
  """Returns the constructor of a part.

  Raises:
    InputError: there is none of this name, or it cannot be imported.
  """
  key, builtins = f'{section}.name', SECTIONS[section].builtins
  if is_from_outside(name):
    return _imported(key, name)
  if isinstance(name, str) and name in builtins:
    return _builtin(builtins[name])
  if isinstance(name, str) and name.strip() and SECTIONS[section].otherwise:
    return _builtin(SECTIONS[section].otherwise)
  checks.choice(*builtins, otherwise="your own 'package.module:attribute'")(key, name)


@functools.cache
def _builtin(path: str) -> Callable[..., Any]:
  module, _, attribute = path.partition(':')
  return getattr(importlib.import_module(module), attribute)


def _imported(key: str, name: str) -> Callable[..., Any]:
  """Imports a part from outside; the module is the user's: anything may come out of it."""
  path, _, attribute = name.partition(':')
  try:
    module = importlib.import_module(path)
  except (Exception, SystemExit) as error:
    raise errors.InputError(f'{key}={name!r} cannot be imported: {_why(path, error)}') from error
  if not hasattr(module, attribute):
    near = _nearest(attribute, [n for n in vars(module) if not n.startswith('_')])
    where = getattr(module, '__file__', None) or path
    raise errors.InputError(f'{key}={name!r}: {where} has no {attribute}{near}')
  constructor = getattr(module, attribute)
  if not callable(constructor):
    raise errors.InputError(
      f'{key}={name!r} is {errors.shown(constructor)}; name a class, or a function that makes one'
    )
  return constructor


def _why(path: str, error: BaseException) -> str:
  """Returns why a module cannot be imported, with the line of the file that is to blame."""
  if (
    isinstance(error, ModuleNotFoundError)
    and error.name
    and f'{path}.'.startswith(f'{error.name}.')
  ):
    beside = [
      p.stem for entry in ('', *sys.path[:3]) for p in pathlib.Path(entry or '.').glob('*.py')
    ]
    return f'there is no module {error.name!r} here or where Python looks{_nearest(path, beside)}'
  return f'{type(error).__name__}: {error}{line_of(error)}'


def line_of(error: BaseException) -> str:
  """Returns where in a user's file an exception comes from, ' (mine.py, line 3)'."""
  if isinstance(error, SyntaxError) and error.filename:
    return '' if str(error.filename) in str(error) else f' ({error.filename}, line {error.lineno})'
  frames = [
    frame
    for frame in traceback.extract_tb(error.__traceback__)
    if not frame.filename.startswith('<frozen') and not frame.filename.startswith(_INSIDE)
  ]
  if not frames:
    return ''
  own = [frame for frame in frames if frame.filename == frames[0].filename]
  return f' ({own[-1].filename}, line {own[-1].lineno})'


_INSIDE = (importlib.__file__.removesuffix('__init__.py'), str(pathlib.Path(__file__).parent))


def _nearest(word: str, words: list[str]) -> str:
  near = difflib.get_close_matches(word[:100], words, n=1)
  return f'; did you mean {near[0]!r}?' if near else ''


def origin(section: str, name: str) -> dict[str, str | None] | None:
  """Returns where a part from outside comes from, None for a built-in one.

  Returns:
    'import', its path; 'file' and 'sha256' of what defines it, None where that is no file.

  Raises:
    InputError: see `resolve`.
  """
  if not is_from_outside(name):
    return None
  constructor = resolve(section, name)
  module = sys.modules[name.partition(':')[0]]
  try:
    file = inspect.getsourcefile(constructor) or module.__file__
  except (TypeError, AttributeError):  # of an object that was called into being, or of a prompt
    file = getattr(module, '__file__', None)
  if file is None or not pathlib.Path(file).is_file():
    return {'import': name, 'file': None, 'sha256': None}
  path = pathlib.Path(file).absolute()
  return {
    'import': name,
    'file': str(path),
    'sha256': hashlib.sha256(path.read_bytes()).hexdigest(),
  }


def origins(config: Mapping[str, Any]) -> dict[str, dict[str, str | None]]:
  """Returns, by section, where the parts from outside come from that a config names."""
  found = {section: origin(section, config[section]['name']) for section in SECTIONS}
  return {section: where for section, where in found.items() if where is not None}
