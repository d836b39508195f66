"""What every command shares: --help, a line for what goes wrong, exit codes, the cache.

JAX is imported on use: it takes a second, and --help needs none of it.
"""

import gc
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from absl import flags

from vae_jax import errors, files
from vae_jax.commands import early, streams, usage


class Command(NamedTuple):
  """One command.

  Attributes:
    about: what --help says of it: a sentence, examples.
    flags: its own and no others, as they stand before a command line is parsed: of one use.
    main: from the parsed flags to the exit code.
    required: the flags that must be given.
    computes: whether it needs JAX, which takes a second to start.
  """

  about: str
  flags: flags.FlagValues
  main: Callable[[flags.FlagValues], int]
  required: Sequence[str] = ()
  computes: bool = True


def start(command: Command, line: Sequence[str] | None = None) -> None:
  """Runs a command and ends the process with its exit code.

  Args:
    command: a fresh one.
    line: its words; None for all those of the process.
  """
  line = sys.argv[1:] if line is None else line
  streams.make_patient()
  try:
    if command.computes and not usage.asked(line):
      import jax  # noqa: F401 (what it says of itself is for `early`)

      sys.excepthook = sys.__excepthook__
    exit_code = exit_code_of(command, line, _settle if command.computes else _log_plainly)
    early.leave_at_once(exit_code, '')  # what is left is the end of the interpreter
  finally:
    streams.finish()
    gc.freeze()  # it does not matter any more
  sys.exit(exit_code)


def _settle() -> None:
  """Prepares the process for the work, once the command line is right."""
  from vae_jax import switches

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
    if asked := usage.asked(line):
      usage.show(command, full='--helpfull' in asked)
      return 0
    from vae_jax.commands import parsing

    parsing.parse(command, line)
    if 'print_config' in command.flags and command.flags.print_config:
      from vae_jax.commands import printing

      printing.show_config(command.flags.config)
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
  import jax

  directory = files.cache_root() / 'xla'
  try:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
  except OSError as error:
    logging.warning('no compilation cache: cannot write %s: %s', directory, error.strerror)
    return
  jax.config.update('jax_compilation_cache_dir', str(directory))
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.1)
