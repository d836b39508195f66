"""Checks a whole config before anything is created: every key, its type, its range.

The keys are those of the page and of the parts that the config names, see `config` and `parts`. A
key that is missing, unknown, of the wrong type or out of range is a problem of one line with the
key, the value and the nearest valid one; all that is wrong is said at once.
"""

import contextlib
from collections.abc import Collection, Mapping
from typing import Any

from vae_jax import errors, parts
from vae_jax.validation import keys
from vae_jax.validation.built import Built, UnknownError
from vae_jax.validation.hints import hint, nearest_key
from vae_jax.validation.keys import sections
from vae_jax.validation.switching import changed, switched
from vae_jax.validation.together import RULES

__all__ = [
  'Built',
  'UnknownError',
  'add_disagreements',
  'changed',
  'check',
  'hint',
  'keys',
  'nearest_key',
  'problems',
  'sections',
  'switched',
  'unnamed',
]


def check(config: Mapping) -> None:
  """Checks a config, as nested mappings of plain values.

  Raises:
    InputError: all that is wrong with it.
  """
  problems(config).refuse()


def problems(config: Mapping) -> errors.Problems:
  """Returns what is wrong with a config by itself, before its lanes and its data are looked at."""
  found = errors.Problems()
  values, known = _flatten(config), keys.of(config)
  nameless = unnamed(config)
  for key in values:
    if key not in known:
      found.keys.add(key)
      if key.partition('.')[0] not in nameless:  # which is said below
        found.add([_unknown(key, values[key], known)])
  for key, check_value in known.items():
    if key in values:
      found.attempt(check_value, key, values[key], key=key)
    else:
      found.keys.add(key)
      if key.partition('.')[0] not in values:  # which is said above
        found.add([_missing(key, values)])
  add_disagreements(found, Built(config, found.keys))
  return found


def unnamed(config: Mapping) -> set[str]:
  """Returns the sections whose part cannot be had: nobody knows its keys."""
  found = errors.Problems()
  for section in parts.SECTIONS:
    settings = config.get(section)
    if isinstance(settings, Mapping):
      found.attempt(parts.resolve, section, settings.get('name'), key=section)
  return found.keys


def add_disagreements(found: errors.Problems, built: Built) -> None:
  """Adds what the keys of a config do not agree on, as far as its parts are known.

  Args:
    found: what is wrong with single keys.
    built: the parts. Once more is known of the data there is more to say; what was said is not
      added again.
  """
  values = _flatten(built.config)
  sound = _Sound({key: value for key, value in values.items() if key not in found.keys})
  for rule in RULES:
    with contextlib.suppress(UnknownError):
      try:
        # A rule may end in the middle, so each of its lines is added as it comes.
        for line in rule(sound, built):
          found.add([line])
      except errors.InputError as error:  # of a part from outside that cannot be built
        found.add(error.problems)


class _Sound(dict):
  """The values that are valid, each by itself."""

  def __missing__(self, key: str):
    raise UnknownError(key)


def _flatten(tree: Mapping, prefix: str = '') -> dict[str, Any]:
  result, divided = {}, () if prefix else sections()
  for name, value in tree.items():
    # A name with a dot would pass for a key of a section.
    key = f'{prefix}{name}' if isinstance(name, str) and '.' not in name else errors.shown(name)
    if isinstance(value, Mapping) and key in divided:
      result |= _flatten(value, f'{key}.')
    else:
      result[key] = value
  return result


def _unknown(key: str, value: Any, known: Collection[str]) -> str:
  if key in sections():
    return f'{key}={errors.shown(value)} is not valid: it is a section; {hint(f"{key}.", known)}'
  return f'unknown key {errors.shown(key)[1:-1]}; {hint(key, known)}'


def _missing(key: str, values: Mapping[str, Any]) -> str:
  section = key.partition('.')[0]
  name = values.get(f'{section}.name')
  if name is not None and key not in keys.of({}):
    return f'the config lacks {key}, of which {section}.name={name!r} has no default'
  return f'the config lacks {key}; vae_jax.config.base has every setting'
