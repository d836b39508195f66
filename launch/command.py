"""What every command shares: strict flags, a line for what goes wrong, exit codes, the cache."""

import functools
import gc
import logging
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
from absl import app, flags
from absl import logging as absl_logging
from ml_collections import config_dict

import launch
from launch import streams, usage, words
from vae_jax import config as settings
from vae_jax import errors, files, study
from vae_jax.runs import outcome


def start(main: Callable[[], outcome.Outcome]) -> None:
  """Parses the flags, calls `main`, prints the outcome and exits with its code."""
  absl_logging.use_absl_handler()  # it takes the place of others only while stderr is the plain one
  streams.make_patient()
  sys.excepthook = sys.__excepthook__  # the imports are done, see `launch`
  app.run(lambda _: sys.exit(_run(main)), flags_parser=functools.partial(_parse, main.__module__))


def _run(main: Callable[[], outcome.Outcome]) -> int:
  gc.freeze()  # what stands now is no garbage, see `launch`
  gc.enable()
  if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
  try:
    exit_code = _exit_code(main)
    launch.leave_at_once(exit_code, '')  # what is left is the end of the interpreter
    return exit_code
  finally:
    streams.finish()
    gc.freeze()  # nor does it matter any more


def _exit_code(call: Callable[[], outcome.Outcome]) -> int:
  try:
    _log_plainly()
    _use_compilation_cache()
    _use_cores()
    return call().exit_code
  except _EXPECTED as error:
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


_EXPECTED = (
  errors.InputError,
  errors.DamagedError,
  errors.InUseError,
  errors.StorageError,
  errors.Stopped,
)


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


def _parse(module: str, argv: Sequence[str]) -> list[str]:
  """Parses strictly: absl takes stray words and repeated flags without a murmur."""
  if asked := set(argv[1:]).intersection(usage.HELP):
    usage.show(module, full='--helpfull' in asked)
    streams.finish()
    sys.exit(0)
  try:
    return _parsed(module, argv)
  except _EXPECTED as error:
    _complain(str(error))
    sys.exit(error.exit_code)
  except KeyboardInterrupt:
    _complain('interrupted')
    sys.exit(130)


def _parsed(module: str, argv: Sequence[str]) -> list[str]:
  """Returns the program alone once nothing is wrong with the words behind it.

  Raises:
    InputError: all that is wrong with them, and with the config where it can be read.
  """
  problems = errors.Problems()
  right, wrong = words.sorted_out(argv[1:])
  missing = words.missing(module, right)
  problems.add([*wrong, *missing])
  rest = None if missing else problems.attempt(_absl_parsed, [argv[0], *right])
  if rest is not None:
    problems.add(map(words.stray, rest[1:]))
    if problems.lines and 'config' in flags.FLAGS:
      problems.attempt(study.from_config, flags.FLAGS['config'].value)
  problems.refuse()
  return rest


def _absl_parsed(argv: Sequence[str]) -> list[str]:
  """Returns what absl leaves of a command line, once it has run the config file."""
  filename = words.value_of('config', argv) if 'config' in flags.FLAGS else None
  if filename is not None:
    argv = words.with_config_file(argv, filename)
  where = f'--config={filename}' if filename else 'the command line'
  try:
    with words.seen_by_absl(argv):
      rest = flags.FLAGS(argv)
      if filename is not None:
        _check_is_config(flags.FLAGS['config'].value)
    return rest
  except flags.Error as error:
    if filename and re.search('--config must have a value', str(error)):
      raise errors.InputError(f'{where}: {_NO_CONFIG.format("None")}') from error
    raise errors.InputError(_tidy(str(error))) from error
  except SystemExit as error:
    raise errors.InputError(
      f'{where}: it ends the program (sys.exit); a config returns its settings'
    ) from error
  except Exception as error:  # the config file is the user's code: anything may come out of it
    raise errors.InputError(f'{where}: {_tidy(_of_config(error))}') from error


_NO_CONFIG = 'get_config() returns {}; it returns a ConfigDict or a dict'


def _check_is_config(value: Any) -> None:
  """Raises what became of a config file where it is no config."""
  if not isinstance(value, (config_dict.ConfigDict, Mapping)):
    getattr(value, 'keys', None)  # ml_collections keeps an OSError of the file until it is asked
    raise errors.InputError(_NO_CONFIG.format(errors.shown(value)))


def _of_config(error: Exception) -> str:
  """Returns what an exception of a config file says."""
  if isinstance(error, errors.InputError):
    return str(error)
  if isinstance(error, AttributeError) and "no attribute 'get_config'" in str(error):
    return 'it has no function get_config()'
  cause = error.__cause__ if isinstance(error, OSError) and error.__cause__ else error
  return f'{type(cause).__name__}: {cause}'


def _tidy(message: str) -> str:
  """Says what absl says without its repetitions, its tuples and its tracebacks."""
  message = message.replace('flag --', '--').strip()
  before, traceback, trace = message.partition('Traceback (most recent call last)')
  if traceback:
    message = f'{before.strip()} {trace.strip().splitlines()[-1]}'
  return re.sub(r"\('([^']*)', '[^']*'\)", r'\1', message)


def read_config(holder: flags.FlagHolder) -> dict[str, Any]:
  """Returns the config of a config-file flag, whole, as nested plain values."""
  return settings.complete(holder.value)
