"""What --help prints: the command, its flags, and every key of a config."""

import inspect
import textwrap

from vae_jax import config, validation

HELP = ('-h', '-?', '--help', '-help', '--helpshort', '--helpfull', '--helpxml')


def show(command, full: bool) -> None:
  """Prints what a command is, its flags, and the keys of a config where it takes one.

  Args:
    command: a `command.Command`.
    full: each key with its meaning, and its value where nothing sets it.
  """
  print(command.about.strip())
  print('\nFlags:\n')
  for flag in command.flags:
    print(f'  --{flag:<13} {command.flags[flag].help}')
  if 'config' in command.flags:
    print(f'\n{page() if full else keys()}')


_EVERY_KEY = 'Every key of the config is a flag, --config.SECTION.KEY=VALUE'


def keys() -> str:
  """Returns the keys by section."""
  lines = [f'{_EVERY_KEY} (--helpfull: what each means):\n']
  for section in validation.sections():
    names = [k.partition('.')[2] for k in validation.CHECKS if k.startswith(f'{section}.')]
    text = f'{section:<11} {" ".join(names)}'
    lines += textwrap.wrap(text, 98, initial_indent='  ', subsequent_indent=' ' * 14)
  return '\n'.join(lines)


def page() -> str:
  """Returns the page of settings as it stands in the code, with its comments."""
  source = inspect.getsource(config.base)
  body = source[source.index('  config.study') : source.rindex('  return')]
  return f'{_EVERY_KEY}:\n\n{body.rstrip()}'
