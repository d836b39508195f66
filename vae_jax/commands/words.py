"""The words of a command line, strictly: absl takes strays, repetitions and flag files unseen."""

import difflib
import itertools
import os
import re
from collections.abc import Sequence

from absl import flags

from vae_jax import errors, parts

# Flags of absl that would bring in others unseen, or end the command with nothing done.
_REFUSED = ('flagfile', 'undefok', 'only_check_args')


def sorted_out(words: Sequence[str], own: flags.FlagValues) -> tuple[list[str], list[str]]:
  """Returns the words that are right as far as can be seen, and what is wrong with the others.

  Wrong are a flag given twice that is no list, of which absl takes the last, and a key that no
  config has.

  Args:
    words: the command line without the program.
    own: the flags of the command.
  """
  right, problems, seen = [], [], set()
  wrong_flag = False  # the word before is one, and this may be its value
  for word in words:
    match = re.match(r'--?([\w.\[\]]+)(=?)', word)
    if not match:
      if not wrong_flag:
        right.append(word)
      wrong_flag = False
      continue
    name = _positive(match.group(1), own)
    again = name in seen and not _is_list(name, own)
    problem = _twice(name) if again else _problem_of(name, own)
    seen.add(name)
    wrong_flag = bool(problem) and not match.group(2)
    if problem:
      problems.append(problem)
    else:
      right.append(word)
  return right, problems


def _positive(name: str, own: flags.FlagValues) -> str:
  """Returns the flag that a name sets: `noconfig.data.scale_to_unit` is one of its two forms."""
  positive = name.removeprefix('no')
  negates = name.startswith('noconfig.') or (name not in own and positive in own)
  return positive if negates else name


def _is_list(name: str, own: flags.FlagValues) -> bool:
  return name in own and isinstance(own[name], flags.MultiFlag)


def _twice(name: str) -> str:
  return f'--{name} is given twice; give it once'


def _problem_of(name: str, own: flags.FlagValues) -> str:
  """Returns what is wrong with a flag, '' where nothing is."""
  if name in _REFUSED:
    return f'--{name} is not taken; write every flag on the command line'
  section, _, key = name.partition('.')
  if section == 'config' and key and not _may_be_key(key):
    from vae_jax import validation  # JAX: not every command needs it

    return f'--{name}: no such key; {validation.hint(key, validation.keys.every(), "--config.")}'
  if section != 'config' and name not in own:
    near = difflib.get_close_matches(name, [*own], n=1)
    return f'--{name}: no such flag' + (f'; did you mean --{near[0]}?' if near else '')
  return ''


def _may_be_key(key: str) -> bool:
  """Tells whether some config may have a key: which those of a part are, its name decides."""
  from vae_jax import validation  # see `_problem_of`

  section, _, name = key.partition('.')
  of_a_part = section in parts.SECTIONS and name.isidentifier()
  return key in validation.sections() or key in validation.keys.of({}) or of_a_part


def typed_keys(words: Sequence[str], own: flags.FlagValues) -> dict[str, str]:
  """Returns the keys of the config that a command line sets, with the words given for them."""
  result = {}
  for word, following in itertools.zip_longest(words, words[1:], fillvalue=''):
    if match := re.match(r'--?([\w.]+)(=?)', word):
      name = _positive(match.group(1), own)
      if name.startswith('config.'):
        value = word[match.end() :] if match.group(2) else following
        result[name.removeprefix('config.')] = value
  return result


def without(names: Sequence[str], words: Sequence[str]) -> list[str]:
  """Returns a command line without some flags, in either of their forms, and their values."""
  result, gone = [], False
  for word in words:
    match = re.match(r'--?(?:no)?([\w.]+)(=?)', word)
    if match:
      gone = match.group(1) in names
      if not gone:
        result.append(word)
      gone = gone and not match.group(2)
    elif not gone:
      result.append(word)
    else:
      gone = False
  return result


def loose(words: Sequence[str]) -> list[str]:
  """Returns the words that are neither a flag nor can be the value of the one before."""
  may_be_value = [False, *(word.startswith('-') and '=' not in word for word in words)]
  return [
    word
    for word, is_value in zip(words, may_be_value, strict=False)
    if not (word.startswith('-') or is_value)
  ]


def stray(word: str) -> str:
  """Returns what is said of a word that is no flag."""
  if word.endswith('.py') or os.path.isdir(word):
    flag = 'config' if word.endswith('.py') else 'workdir'
    return f'{errors.shown(word)} is no flag; did you mean --{flag}={errors.shown(word)[1:-1]}?'
  from vae_jax import validation  # see `_problem_of`

  name, equals, value = word.partition('=')
  near = validation.nearest_key(name.removeprefix('config.'), validation.keys.every())
  meant = f'; did you mean --config.{near}{equals}{errors.shown(value)[1:-1]}?' if near else ''
  return f'{errors.shown(word)} is no flag{meant}'


def value_of(flag: str, words: Sequence[str]) -> str | None:
  """Returns the value that a command line gives a flag, None where it does not."""
  for word, following in itertools.zip_longest(words, words[1:]):
    name, equals, value = word.lstrip('-').partition('=')
    if word.startswith('-') and name == flag:
      return value if equals else following
  return None


def missing(required: Sequence[str], words: Sequence[str]) -> list[str]:
  """Returns a line for each flag that is required and not given."""
  absent = (name for name in required if value_of(name, words) is None)
  return [f'--{name} is missing; it is required' for name in absent]
