"""What launches are called: by the keys that are their own, as names of directories."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

ALONE = 'study'  # the launch of a study that has no other
_LONGEST = 80  # characters of a name


def names_of(launches: Sequence[Mapping[str, Any]]) -> list[str]:
  """Returns a name for each launch: 'hidden-64_num_samples-5'.

  Args:
    launches: of each the keys that are its own, `section.key`, with their values.
  """
  short = _short(launches)
  wanted = [
    # Keys of one short name have one value.
    '_'.join(dict.fromkeys(f'{short[key]}-{_word(launch[key])}' for key in launch)) or ALONE
    for launch in launches
  ]
  # Some file systems do not tell capitals from small letters.
  lower = [name.lower() for name in wanted]
  return [
    name if len(name) <= _LONGEST and lower.count(name.lower()) == 1 else _digested(name, launch)
    for name, launch in zip(wanted, launches, strict=True)
  ]


def shown(changes: Mapping[str, Any]) -> str:
  """Returns what a launch is, for a person: 'encoder.hidden=(64,), bound.num_samples=5'."""
  return ', '.join(f'{key}={value!r}' for key, value in changes.items()) or 'the config as it is'


def _short(launches: Sequence[Mapping[str, Any]]) -> dict[str, str]:
  """Returns the last part of each key, and all of it where that would be two keys.

  'encoder.hidden' and 'decoder.hidden' are both 'hidden' where no launch has two values of them.
  """
  keys = list(dict.fromkeys(key for launch in launches for key in launch))
  result = {}
  for key in keys:
    section, _, last = key.rpartition('.')
    alike = [other for other in keys if other.rpartition('.')[2] == last]
    is_one = all(len({repr(launch.get(other)) for other in alike}) == 1 for launch in launches)
    result[key] = section if last == 'name' else last if is_one else key
  return result


def _word(value: Any) -> str:
  """Returns a value as letters, digits, dots and dashes."""
  if isinstance(value, Mapping):
    return '-'.join(_word(each) for each in value.values()) or 'none'
  if isinstance(value, (tuple, list)):
    return 'x'.join(map(_word, value)) or 'none'
  text = value.rpartition(':')[2] if isinstance(value, str) else repr(value)
  return re.sub(r'[^A-Za-z0-9.-]+', '-', text).lstrip('.').rstrip('-.') or 'none'


def _digested(name: str, launch: Mapping[str, Any]) -> str:
  digest = hashlib.sha256(repr(sorted(launch.items(), key=str)).encode()).hexdigest()[:8]
  return f'{name[: _LONGEST - 9]}-{digest}'
