"""What launches are called, as names of directories: by themselves, or by the keys of their own."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax import errors

OWN = 'name'  # the key by which a launch names itself
ALONE = 'study'  # the launch of a study that has no other
_LONGEST = 80  # characters of a name
_OWN_NAME = re.compile(rf'(?!\.)[A-Za-z0-9._-]{{1,{_LONGEST}}}')


def names_of(launches: Sequence[Mapping[str, Any]]) -> list[str]:
  """Returns a name for each launch: the one that it gives itself, or 'hidden-64_num_samples-5'.

  Args:
    launches: of each the keys that are its own, `section.key`, with their values; and `name`,
      where it names itself.

  Raises:
    InputError: it names itself what is none of a directory.
  """
  _check_own(launches)
  changes = [changes_of(launch) for launch in launches]
  short = _short(changes)
  wanted = [
    # Keys of one short name have one value.
    launch.get(OWN)
    or '_'.join(dict.fromkeys(f'{short[key]}-{_word(own[key])}' for key in own))
    or ALONE
    for launch, own in zip(launches, changes, strict=True)
  ]
  # Some file systems do not tell capitals from small letters.
  lower = [name.lower() for name in wanted]
  return [
    name
    if OWN in launch or (len(name) <= _LONGEST and lower.count(name.lower()) == 1)
    else _digested(name, launch)
    for name, launch in zip(wanted, launches, strict=True)
  ]


def changes_of(launch: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the settings of a launch, without the name that it may give itself."""
  return {key: value for key, value in launch.items() if key != OWN}


def _check_own(launches: Sequence[Mapping[str, Any]]) -> None:
  problems = errors.Problems()
  for name in (launch[OWN] for launch in launches if OWN in launch):
    if not (isinstance(name, str) and _OWN_NAME.fullmatch(name)):
      problems.add(
        [
          f'launches() yields {OWN}={errors.shown(name)}, which is no name of a directory: at most '
          f'{_LONGEST} letters, digits, dots, dashes and underscores, no dot first; set '
          f'{_word(name)[:_LONGEST]!r}'
        ]
      )
  problems.refuse()


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
