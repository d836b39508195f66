"""Paths as a person writes them."""

import errno
import os
import pathlib
import re

from vae_jax import errors

RUN_ID = '{run_id}'  # in the workdir of a training: replaced by the id of a trial, or a random one

_SCHEME = re.compile(r'[A-Za-z][A-Za-z0-9+.-]+:/')  # two letters at least: C:/ is a drive


def expanded(path: os.PathLike | str, key: str) -> pathlib.Path:
  """Returns a path with `~` and `~user` replaced.

  Args:
    path: a file or directory of this machine, there or not.
    key: what a message calls it, such as '--workdir' or 'data.path'.

  Raises:
    InputError: it is empty, a URL, of an unknown user, no name that a file can have, or a workdir
      that only a training can make a name for.
  """
  text = os.fspath(path)
  what = f'{key}={errors.shown(text)}'
  if not text.strip():
    raise errors.InputError(f'{what} is empty; give a path')
  if _SCHEME.match(text):
    raise errors.InputError(
      f'{what} is a URL; give a path of this machine, under which a bucket may be mounted'
    )
  if key == '--workdir' and RUN_ID in text:
    raise errors.InputError(
      f'{what}: vae-jax train alone replaces {RUN_ID}; give the directory that it made'
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


def of_output(path: os.PathLike | str, suffix: str) -> pathlib.Path:
  """Returns where a file that is asked for by --out goes.

  Args:
    path: as given.
    suffix: that it must have, such as '.png'.

  Raises:
    InputError: it has another suffix, or its directory does not exist; see also `expanded`.
  """
  place = expanded(path, '--out')
  if place.suffix != suffix:
    raise errors.InputError(f'--out={path} is no {suffix}; give --out={place.with_suffix(suffix)}')
  if not place.parent.is_dir():
    raise errors.InputError(f'--out={path}: there is no directory {place.parent}; make it first')
  return place
