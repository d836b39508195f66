"""What every command shares: strict flags, a line for what goes wrong, exit codes, the cache."""

import gc
import logging
import os
import pathlib
import re
import signal
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
from absl import flags
from ml_collections import config_dict

from vae_jax import errors, files, study, switches
from vae_jax.commands import early, overrides, streams, usage, words


class Command(NamedTuple):
  """One command.

  Attributes:
    about: what --help says of it: a sentence, examples.
    flags: its own and no others, as they stand before a command line is parsed: of one use.
    main: from the parsed flags to the exit code.
    required: the flags that must be given.
  """

  about: str
  flags: flags.FlagValues
  main: Callable[[flags.FlagValues], int]
  required: Sequence[str] = ()


def start(command: Command, line: Sequence[str] | None = None) -> None:
  """Runs a command and ends the process with its exit code.

  Args:
    command: a fresh one.
    line: its words; None for all those of the process.
  """
  line = sys.argv[1:] if line is None else line
  streams.make_patient()
  # Of distributions of TFP, whose arrays begin as float64: nothing that a user could change.
  warnings.filterwarnings('ignore', 'Explicitly requested dtype', UserWarning)
  sys.excepthook = sys.__excepthook__  # the imports are done, see `early`
  try:
    exit_code = exit_code_of(command, line, _settle)
    early.leave_at_once(exit_code, '')  # what is left is the end of the interpreter
  finally:
    streams.finish()
    gc.freeze()  # it does not matter any more
  sys.exit(exit_code)


def _settle() -> None:
  """Prepares the process for the work, once the command line is right."""
  gc.freeze()  # what stands now is no garbage, see `early`
  gc.enable()
  if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
  _log_plainly()
  _use_compilation_cache()
  switches.use_cores()


def exit_code_of(
  command: Command, line: Sequence[str], settle: Callable[[], None] = lambda: None
) -> int:
  """Runs a command and returns its exit code; what goes wrong is a line on stderr each.

  Args:
    command: a fresh one.
    line: its words, without the program.
    settle: called between the parsing and the work.
  """
  sys.path += [here for here in (os.getcwd(),) if here not in sys.path]  # of own parts
  try:
    if asked := set(line).intersection(usage.HELP):
      usage.show(command, full='--helpfull' in asked)
      return 0
    _parse(command, line)
    if 'print_config' in command.flags and command.flags.print_config:
      usage.show_config(command.flags.config)
      return 0
    settle()
    return command.main(command.flags)
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
  logging.basicConfig(format='%(message)s', level=logging.INFO, force=True)
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


def _parse(command: Command, line: Sequence[str]) -> None:
  """Parses a command line strictly: absl takes stray words and repeated flags without a murmur.

  Raises:
    InputError: all that is wrong with it, and with the config where it can be read.
  """
  problems = errors.Problems()
  right, wrong = words.sorted_out(line, command.flags)
  unneeded = ('workdir',) if '--print_config' in right else ()
  missing = words.missing([n for n in command.required if n not in unneeded], right)
  problems.add([*wrong, *missing])
  if missing:
    problems.add(map(words.stray, words.loose(right)))
  parsed = None if missing else problems.attempt(_parsed_by_absl, command.flags, right)
  if parsed is not None:
    strays, wrong = parsed
    problems.add([*wrong, *map(words.stray, strays)])
    if problems.lines and 'config' in command.flags:
      problems.attempt(study.from_config, command.flags.config)
  problems.refuse()


def _parsed_by_absl(own: flags.FlagValues, line: Sequence[str]) -> tuple[list[str], list[str]]:
  """Runs the config file, then lets absl read the flags.

  Returns:
    what absl leaves of the command line, and what is wrong with keys of the config.
  """
  filename = words.value_of('config', line) if 'config' in own else None
  where = f'--config={filename}' if filename else 'the command line'
  wrong = []
  try:
    if filename is not None:
      line, wrong = _run_config_file(own, words.with_config_file(line, filename))
    argv = [sys.argv[0], *line]
    with words.seen_by_absl(argv):
      return own(argv)[1:], wrong
  except flags.Error as error:
    raise errors.InputError(_tidy(str(error))) from error
  except SystemExit as error:
    raise errors.InputError(
      f'{where}: it ends the program (sys.exit); a config returns its settings'
    ) from error
  except Exception as error:  # the config file is the user's code: anything may come out of it
    raise errors.InputError(f'{where}: {_tidy(_of_config(error))}') from error


def _run_config_file(own: flags.FlagValues, line: Sequence[str]) -> tuple[Sequence[str], list[str]]:
  """Runs the config file, completes it for the parts that the flags name, and hands it to --config.

  What it imports, and the parts that it names, may lie beside it.

  Returns:
    the words whose keys it has, and what is wrong with the others.
  """
  path = words.value_of('config', line)
  directory = pathlib.Path(path.partition(':')[0]).absolute().parent
  sys.path += [entry for entry in (str(directory),) if entry not in sys.path]
  with words.seen_by_absl([sys.argv[0], *line]):
    loaded = own['config'].parser.parse(path)
  _check_is_config(loaded)
  typed = words.typed_keys(line, own)
  config = overrides.completed(loaded, typed)
  own['config'].parser = overrides.Loaded(config)
  known, wrong = overrides.sorted_out(line, typed, config)
  # absl wants the file before its keys.
  return [f'--config={path}', *words.without(['config'], known)], wrong


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
  if 'Error whilst parsing config file' in str(error):  # of ml_collections, with a traceback in it
    cause = error.__context__
  return f'{type(cause).__name__}: {cause}'


def _tidy(message: str) -> str:
  """Says what absl says without its repetitions, its tuples and its tracebacks."""
  message = message.replace('flag --', '--').strip()
  before, traceback, trace = message.partition('Traceback (most recent call last)')
  if traceback:
    message = f'{before.strip()} {trace.strip().splitlines()[-1]}'
  return re.sub(r"\('([^']*)', '[^']*'\)", r'\1', message)
