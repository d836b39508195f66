"""What every command shares: strict flags, a line for what goes wrong, exit codes, the cache."""

import gc
import logging
import os
import re
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
from absl import flags

from vae_jax import config_files, errors, files, study, switches
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
  wrong = []
  if filename is not None:
    line, wrong = _run_config_file(own, filename, line)
  argv = [sys.argv[0], *line]
  try:
    with words.seen_by_absl(argv):
      return own(argv)[1:], wrong
  except flags.Error as error:
    raise errors.InputError(_tidy(str(error))) from error


def _run_config_file(
  own: flags.FlagValues, filename: str, line: Sequence[str]
) -> tuple[Sequence[str], list[str]]:
  """Runs the config file, completes it for the parts that the flags name, and hands it to --config.

  Returns:
    the words whose keys it has, and what is wrong with the others.
  """
  loaded = config_files.read(filename, '--config')
  typed = words.typed_keys(line, own)
  try:
    config = overrides.completed(loaded, typed)
  except (ValueError, TypeError) as error:
    raise errors.InputError(f'--config={filename}: {error}') from error
  own['config'].parser = overrides.Loaded(config)
  known, wrong = overrides.sorted_out(line, typed, config)
  # absl wants the file before its keys.
  return [f'--config={filename}', *words.without(['config'], known)], wrong


def _tidy(message: str) -> str:
  """Says what absl says without its repetitions, its tuples and its tracebacks."""
  message = message.replace('flag --', '--').strip()
  before, traceback, trace = message.partition('Traceback (most recent call last)')
  if traceback:
    message = f'{before.strip()} {trace.strip().splitlines()[-1]}'
  return re.sub(r"\('([^']*)', '[^']*'\)", r'\1', message)
