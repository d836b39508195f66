"""From the words of a command line to its flags, and what is wrong with them, all at once."""

import re
import sys
from collections.abc import Sequence

from absl import flags

from vae_jax import config_files, errors
from vae_jax.commands import argv, words
from vae_jax.commands.command import Command


def parse(command: Command, line: Sequence[str]) -> None:
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
      from vae_jax import study  # JAX: not every command needs it

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
  shown = [sys.argv[0], *line]
  try:
    with argv.seen_by_absl(shown):
      return own(shown)[1:], wrong
  except flags.Error as error:
    raise errors.InputError(_tidy(str(error))) from error


def _run_config_file(
  own: flags.FlagValues, filename: str, line: Sequence[str]
) -> tuple[Sequence[str], list[str]]:
  """Runs the config file, completes it for the parts that the flags name, and hands it to --config.

  Returns:
    the words whose keys it has, and what is wrong with the others.
  """
  from vae_jax.commands import overrides  # JAX: not every command needs it

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
