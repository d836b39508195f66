"""Every key of a config and every built-in part with its keys: --helpfull, and docs/settings.md.

It is made of the page of settings, of the signatures of the parts and of their docstrings, so that
nothing is said twice. This writes the tables into the page of documentation anew:

  python -m vae_jax.commands.reference docs/settings.md
"""

import inspect
import pathlib
import re
import sys
import textwrap
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from vae_jax import checks, config, errors, files, lane_fields, parts


class Key(NamedTuple):
  """A key of a section, as a person reads it.

  Attributes:
    name: without its section.
    default: as Python writes it; '' where the key must be given.
    values: what it may be; '' for anything.
    meaning: of the key.
    of: the built-in parts that have it; none for a key that concerns any part.
  """

  name: str
  default: str
  values: str
  meaning: str
  of: tuple[str, ...] = ()


class Section(NamedTuple):
  """A section.

  Attributes:
    name: '' for what is in no section.
    parts: what each built-in part is, by the name that `name` has for it.
    keys: of any part, then of single ones.
  """

  name: str
  parts: Mapping[str, str]
  keys: Sequence[Key]


def sections() -> Iterator[Section]:
  """Yields the page of settings in its order."""
  for name, below in config.PAGE.items():
    if isinstance(below, config.Setting):
      yield Section('', {}, [_key(name, below)])
      continue
    keys = [_key(key, value) for key, value in below.items() if isinstance(value, config.Setting)]
    builtins = parts.SECTIONS[name].builtins if name in parts.SECTIONS else ()
    described = {builtin: _described(name, builtin) for builtin in builtins}
    own = _own_keys(name, {builtin: meanings for builtin, (_, meanings) in described.items()})
    yield Section(name, {builtin: what for builtin, (what, _) in described.items()}, [*keys, *own])


def _key(name: str, setting: config.Setting) -> Key:
  fields = {field.name: field for field in lane_fields.FIELDS}
  values = _values(setting.check)
  if setting.check is checks.axis and name in fields:
    values = f'a tuple, each {_values(fields[name].check)}'
  return Key(name, repr(setting.default), values, setting.meaning)


def _own_keys(section: str, meanings: Mapping[str, Mapping[str, str]]) -> list[Key]:
  """Returns the keys of built-in parts, once where several have the same."""
  owners: dict[Key, list[str]] = {}
  page = config.PAGE[section]
  for part, says in meanings.items():
    for name, parameter in parts.parameters(section, part).items():
      default = page.get(name, parameter.default)
      shown = '' if default is parts.REQUIRED else repr(default)
      key = Key(name, shown, _values(parameter.check), says.get(name, ''))
      owners.setdefault(key, []).append(part)
  return [key._replace(of=tuple(names)) for key, names in owners.items()]


def _values(check: checks.Check) -> str:
  """Returns what a check lets pass, in the words with which it refuses anything else."""
  words = _refusal(check, None).partition('it is ')[2].partition(';')[0].partition(', such as')[0]
  low, high = (_limit(check, sign * 2**1000) for sign in (-1, 1))
  if words.startswith('a finite') and low and high:
    return f'a number from {low} to {high}'
  if words.startswith('a whole') and high and int(high) < 2**31 - 1:
    return f'a whole number from {low} to {high}'
  return words


def _limit(check: checks.Check, beyond: int) -> str:
  return _refusal(check, beyond).partition('the nearest valid value is ')[2]


def _refusal(check: checks.Check, value: Any) -> str:
  try:
    check('', value)
  except errors.InputError as error:
    return str(error).partition(' is not valid: ')[2]
  return ''


_ENTRY = re.compile(r'  ((?:\w+, )*\w+): (.*)')


def _described(section: str, name: str) -> tuple[str, dict[str, str]]:
  """Returns the first paragraph of a part's docstring, and what it says of each key."""
  constructor = parts.resolve(section, name)
  head, _, rest = (inspect.getdoc(constructor) or '').partition('\n\n')
  entries = re.search(r'^(?:Args|Attributes):\n((?:  .*\n?)*)', rest, re.MULTILINE)
  meanings, names = _annotated(constructor), []
  for line in entries.group(1).splitlines() if entries else ():
    if match := _ENTRY.fullmatch(line):
      names = match.group(1).split(', ')
      meanings |= dict.fromkeys(names, match.group(2))
    else:
      meanings |= {name: f'{meanings[name]} {line.strip()}' for name in names}
  what = ' '.join(head.removeprefix('Returns ').split())
  return what[:1].upper() + what[1:], {name: text.rstrip('.') for name, text in meanings.items()}


def _annotated(constructor: Any) -> dict[str, str]:
  """Returns the texts that annotations of parameters have, `Annotated[int, 'of the optimiser']`."""
  hints = typing.get_type_hints(constructor, include_extras=True)
  extras = {name: getattr(hint, '__metadata__', ()) for name, hint in hints.items()}
  return {name: text for name, found in extras.items() for text in found if isinstance(text, str)}


def as_text() -> str:
  """Returns the page for a terminal."""
  lines = []
  for section in sections():
    prefix = f'{section.name}.' if section.name else ''
    lines.append('')
    if section.parts:
      name = config.PAGE[section.name]['name']
      lines += _entry(
        f'{prefix}name={name!r}', 'one of these, or your own package.module:attribute'
      )
      for part, what in section.parts.items():
        lines += _entry(f'  {part}', what)
    for key in section.keys:
      of = f'({", ".join(key.of)}) ' if len(key.of) < len(section.parts) and key.of else ''
      text = '; '.join(filter(None, (key.meaning, key.values)))
      lines += _entry(f'{prefix}{key.name}={key.default}', f'{of}{text}')
  return '\n'.join(lines[1:])


def _entry(head: str, text: str) -> list[str]:
  lines = textwrap.wrap(text, 61) or ['']
  first = [f'  {head:36}{lines[0]}'] if len(head) < 36 else [f'  {head}', f'{"":38}{lines[0]}']
  return [*first, *(f'{"":38}{line}' for line in lines[1:])]


def as_markdown() -> str:
  """Returns the page as tables."""
  blocks = []
  for section in sections():
    blocks.append(f'### `{section.name or section.keys[0].name}`')
    if section.parts:
      default = config.PAGE[section.name]['name']
      rows = [
        (f'`{name}`' + (' (default)' if name == default else ''), what)
        for name, what in section.parts.items()
      ]
      blocks.append(_table(('name', 'what it is'), rows))
    if section.keys:
      heads = ('key', *(['of'] if section.parts else []), 'default', 'values', 'meaning')
      blocks.append(_table(heads, [_cells(key, section) for key in section.keys]))
  return '\n\n'.join(blocks) + '\n'


def _cells(key: Key, section: Section) -> tuple[str, ...]:
  of = ', '.join(f'`{name}`' for name in key.of) if len(key.of) < len(section.parts) else 'all'
  default = f'`{key.default}`' if key.default else 'must be given'
  return (f'`{key.name}`', *([of or 'all'] if section.parts else []), default, *key[2:4])


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  lines = [' | '.join(cell.replace('|', r'\|') for cell in row) for row in (heads, *rows)]
  return '\n'.join([f'| {lines[0]} |', '|---' * len(heads) + '|', *(f'| {x} |' for x in lines[1:])])


_BEGIN, _END = '<!-- made by vae_jax.commands.reference: begin -->', '<!-- end -->'


def written_into(page: str) -> str:
  """Returns a page of documentation with the tables between its two marks made anew."""
  before, begin, rest = page.partition(_BEGIN)
  _, end, after = rest.partition(_END)
  if not begin or not end:
    raise errors.InputError(f'the page has no marks {_BEGIN} and {_END}')
  return f'{before}{begin}\n\n{as_markdown()}\n{end}{after}'


if __name__ == '__main__':
  for path in map(pathlib.Path, sys.argv[1:]):
    files.write_text(path, written_into(path.read_text()))
