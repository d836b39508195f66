"""What every command shares: strict flags, one line for what goes wrong, exit codes, the cache."""

import difflib
import gc
import glob
import logging
import os
import pathlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_flags

from vae_jax import errors, files, outcome, validation


def start(main: Callable[[], outcome.Outcome]) -> None:
  """Parses the flags, calls `main`, prints the outcome and exits with its code."""
  app.run(lambda _: sys.exit(_run(main)), flags_parser=_parse)


def _run(main: Callable[[], outcome.Outcome]) -> int:
  gc.freeze()  # what stands now is no garbage, see `launch`
  gc.enable()
  try:
    return _exit_code(main)
  finally:
    gc.freeze()  # nor does it matter any more


def _exit_code(main: Callable[[], outcome.Outcome]) -> int:
  _log_plainly()
  _use_compilation_cache()
  _use_cores()
  try:
    result = main()
  except (
    errors.InputError,
    errors.DamagedError,
    errors.InUseError,
    errors.StorageError,
    errors.Stopped,
  ) as error:
    _complain(str(error))
    return error.exit_code
  except OSError as error:  # of a file that nobody nearer could say more about
    if not (fault := files.fault_of(error)):
      raise
    _complain(f'cannot use {error.filename}: {fault}' if error.filename else fault)
    return errors.StorageError.exit_code
  except KeyboardInterrupt:
    _complain('interrupted')
    return 130
  return result.exit_code


def _complain(message: str) -> None:
  print(message.strip(), file=sys.stderr, flush=True)


def _log_plainly() -> None:
  """Progress is for a person: the message alone, without date, thread and source line."""
  absl_logging.set_verbosity(absl_logging.INFO)
  absl_logging.get_absl_handler().setFormatter(logging.Formatter('%(message)s'))
  for name in ('jax', 'orbax', 'wandb', 'matplotlib'):
    logging.getLogger(name).setLevel(logging.WARNING)


def _use_compilation_cache() -> None:
  """Keeps compiled programs for the next start, readable by their owner alone: they are code."""
  directory = files.cache_root() / 'xla'
  try:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
  except OSError as error:
    logging.warning('no compilation cache: cannot write %s: %s', directory, error.strerror)
    return
  jax.config.update('jax_compilation_cache_dir', str(directory))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)


def _use_cores() -> None:
  """Makes each core a device, so that lanes lie side by side; a number that is set already wins."""
  flag = '--xla_force_host_platform_device_count'
  if jax.config.jax_num_cpu_devices < 0 and flag not in os.environ.get('XLA_FLAGS', ''):
    may_use = getattr(os, 'sched_getaffinity', lambda _: range(os.cpu_count()))  # of Linux
    jax.config.update('jax_num_cpu_devices', len(may_use(0)))


def _parse(argv: Sequence[str]) -> list[str]:
  """Parses strictly: absl takes stray words and repeated flags without a murmur."""
  try:
    _check_names(argv[1:])
    rest = flags.FLAGS(argv)
    if len(rest) > 1:
      raise errors.InputError(f'{errors.shown(rest[1])} is no flag{_as_flag(rest[1])}')
  except errors.InputError as error:
    _complain(str(error))
  except flags.Error as error:
    _complain(_tidy(str(error)))
  except Exception as error:  # the config file is the user's code: anything may come out of it
    _complain(f'--config: {type(error).__name__}: {error}')
  else:
    return rest
  sys.exit(errors.InputError.exit_code)


def _check_names(arguments: Sequence[str]) -> None:
  """Refuses a flag given twice, of which absl takes the last, and a key that no config has."""
  seen = set()
  for argument in arguments:
    match = re.match(r'--?([\w.\[\]]+)', argument)
    if not match:
      continue
    name = match.group(1)
    if name in seen:
      raise errors.InputError(f'--{name} is given twice; give it once')
    seen.add(name)
    section, _, key = name.partition('.')
    known = key in validation.CHECKS or any(c.startswith(f'{key}.') for c in validation.CHECKS)
    if section == 'config' and key and not known:
      raise errors.InputError(f'--{name}: no such key; {validation.hint(key, "--config.")}')


def _as_flag(word: str) -> str:
  """Returns what a stray word was meant to be, '' where nothing is near."""
  name, equals, value = word.partition('=')
  near = validation.nearest_key(name.removeprefix('config.'))
  return f'; did you mean --config.{near}{equals}{value}?' if near else ''


def _tidy(message: str) -> str:
  """Says what absl says without its repetitions, its tuples and its tracebacks."""
  if missing := re.search(r'Flag (--\w+) must have a value', message):
    return f'{missing.group(1)} is missing; it is required'
  message = message.replace('flag --', '--').strip()
  before, traceback, trace = message.partition('Traceback (most recent call last)')
  if traceback:
    return f'{before.strip()} {trace.splitlines()[-1]}'
  return re.sub(r"\('([^']*)', '[^']*'\)", r'\1', message)


def read_config(holder: flags.FlagHolder) -> dict[str, Any]:
  """Returns the config of a config-file flag as nested plain values.

  Raises:
    InputError: the file is missing, or cannot be run; a missing one names those that there are.
  """
  try:
    return holder.value.to_dict()
  except Exception as error:  # the config file is the user's code: anything may come out of it
    filename = config_flags.get_config_filename(flags.FLAGS[holder.name])
    path = pathlib.Path(filename.split(':')[0])
    if path.is_file():
      raise errors.InputError(f'--config={path}: {type(error).__name__}: {error}') from error
    candidates = sorted(map(str, path.parent.glob('[a-z]*.py'))) or sorted(
      glob.glob('configs/[a-z]*.py')
    )
    near = difflib.get_close_matches(str(path), candidates, n=1, cutoff=0.0)
    hint = f'; did you mean {near[0]}?' if near else ''
    raise errors.InputError(f'--config={path}: no such file{hint}') from error
