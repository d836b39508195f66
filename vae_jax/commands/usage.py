"""What --help prints: the command, its flags, and every key of a config on demand."""

import textwrap
from collections.abc import Sequence

_HELP = ('-h', '-?', '--help', '-help', '--helpshort', '--helpfull', '--helpxml')


def asked(line: Sequence[str]) -> set[str]:
  """Returns the words of a command line that ask for help."""
  return set(line).intersection(_HELP)


def show(command, full: bool) -> None:
  """Prints what a command is and its flags, on one screen.

  Args:
    command: a `command.Command`.
    full: whether every key of a config follows, with its meaning and its value where nothing sets
      it, for a command that takes one.
  """
  print(command.about.strip())
  print('\nFlags:\n')
  for flag in command.flags:
    text = f'--{flag:<13} {command.flags[flag].help}'
    print(textwrap.fill(text, 98, initial_indent='  ', subsequent_indent=' ' * 18))
  if 'config' in command.flags:
    print(f'\n{_every() if full else _MORE}')


def _every() -> str:
  from vae_jax.commands import reference  # reads the signatures of all parts: JAX

  return 'Every key of a config is a flag, --config.SECTION.KEY=VALUE:\n\n' + reference.as_text()


_MORE = (
  'Every key of a config is a flag, --config.SECTION.KEY=VALUE, as --config.train.steps=1000 is.\n'
  '--helpfull says what each means, --config=digits --print_config which value each has.'
)
