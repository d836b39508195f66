"""What --help prints: the command, its flags, and every key of a config."""

import textwrap
from collections.abc import Mapping
from typing import Any

from vae_jax import config as settings
from vae_jax import parts, study, validation

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
    print(f'\n{page() if full else _MORE}')


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


_EVERY_KEY = 'Every key of the config is a flag, --config.SECTION.KEY=VALUE'


def keys() -> str:
  """Returns the keys by section."""
  lines = [f'{_EVERY_KEY} (--helpfull: what each means):\n']
  every = validation.keys.every()
  for section in validation.sections():
    names = [k.partition('.')[2] for k in every if k.startswith(f'{section}.')]
    text = f'{section:<11} {" ".join(names)}'
    lines += textwrap.wrap(text, 98, initial_indent='  ', subsequent_indent=' ' * 14)
  return '\n'.join(lines)


def page() -> str:
  """Returns the page of settings: the value of each key where nothing sets it, and its meaning."""
  lines = [f'{_EVERY_KEY}:']
  for section, below in settings.PAGE.items():
    lines.append('')
    for key, setting in below.items() if isinstance(below, dict) else [('', below)]:
      name = f'{section}.{key}' if key else section
      known = isinstance(setting, settings.Setting)
      value, meaning = (setting.default, setting.meaning) if known else (setting, '')
      lines.append(f'  {name}={value!r}'.ljust(38) + f'  {meaning}'.rstrip())
    lines += _parts(section)
  return '\n'.join(lines)


def _parts(section: str) -> list[str]:
  """Returns the keys of each built-in part of a section, at the values of their signatures."""
  lines = []
  for name in parts.SECTIONS[section].builtins if section in parts.SECTIONS else ():
    keys = parts.parameters(section, name)
    shown = ' '.join(f'{key}={parameter.default!r}' for key, parameter in keys.items())
    lines.append(f'  {section}.name={name!r}  {shown}'.rstrip())
  return lines
