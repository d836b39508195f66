"""What --help prints: the command, its flags, and every key of a config."""

import textwrap
from collections.abc import Mapping
from typing import Any

from vae_jax import config as settings
from vae_jax import study, validation
from vae_jax.commands import reference

HELP = ('-h', '-?', '--help', '-help', '--helpshort', '--helpfull', '--helpxml')


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
    print(f'\n{_EVERY + reference.as_text() if full else _MORE}')


_EVERY = 'Every key of a config is a flag, --config.SECTION.KEY=VALUE:\n\n'
_MORE = (
  'Every key of a config is a flag, --config.SECTION.KEY=VALUE, as --config.train.steps=1000 is.\n'
  '--helpfull says what each means, --config=digits --print_config which value each has.'
)


def show_config(config: Mapping[str, Any]) -> None:
  """Prints every key of a config with its value, as Python writes it.

  Each line is a flag, --config.SECTION.KEY=VALUE, that leaves the config as it is.

  Raises:
    InputError: all that is wrong with the config by itself; the data are not looked at.
  """
  whole = settings.complete(config)
  validation.check(whole)
  study.points_of(whole)
  for section, below in whole.items():
    keys = {section: below}
    if isinstance(below, Mapping):
      keys = {f'{section}.{key}': value for key, value in below.items()}
    for key, value in keys.items():
      print(f'{key} = {value!r}')
