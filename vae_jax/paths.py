"""Paths as a person writes them."""

import difflib
import errno
import os
import pathlib
import re

from vae_jax import errors

_SCHEME = re.compile(r'[A-Za-z][A-Za-z0-9+.-]+:/')  # two letters at least: C:/ is a drive


def config_file(name: os.PathLike | str, key: str) -> pathlib.Path:
  """Returns the path of a config file.

  Args:
    name: of the file, or of a study that comes with the package, such as 'digits'.
    key: what a message calls it.

  Raises:
    InputError: there is no such file; with the name of one that there is.
  """
  path = expanded(name, key)
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


def expanded(path: os.PathLike | str, key: str) -> pathlib.Path:
  """Returns a path with `~` and `~user` replaced.

  Args:
    path: a file or directory of this machine, there or not.
    key: what a message calls it, such as '--workdir' or 'data.path'.

  Raises:
    InputError: it is empty, a URL, of an unknown user, or no name that a file can have.
  """
  text = os.fspath(path)
  what = f'{key}={errors.shown(text)}'
  if not text.strip():
    raise errors.InputError(f'{what} is empty; give a path')
  if _SCHEME.match(text):
    raise errors.InputError(
      f'{what} is a URL; give a path of this machine, under which a bucket may be mounted'
    )
  try:
    expanded_path = pathlib.Path(text).expanduser()
    os.lstat(expanded_path)
  except RuntimeError as error:  # of `expanduser`
    raise errors.InputError(f'{what}: there is no such user; write the path in full') from error
  except ValueError as error:  # a NUL, or what the file system's encoding lacks
    raise errors.InputError(f'{what} is no name of a file: {error}') from error
  except OSError as error:  # that it is not there, or may not be seen, is no fault of the name
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
      raise errors.InputError(f'{what} cannot be used: {error.strerror}') from error
  return expanded_path
