"""A config with other values: whole sections, other parts, single keys."""

from collections.abc import Mapping
from typing import Any

from vae_jax import config as settings
from vae_jax import errors, parts
from vae_jax.config import PAGE
from vae_jax.validation import keys
from vae_jax.validation.hints import hint


def switched(section: str, stored: Mapping[str, Any], name: str) -> dict[str, Any]:
  """Returns a section under another name, without the keys that were of the part before alone.

  Of a part from outside without what nobody has stated, too: a key that has its value of the page
  goes with the part that the page names, `b2` of Adam is none of `optax:lion`.
  """
  before, page = stored.get('name'), PAGE[section]
  if before == name:
    return dict(stored)
  own = keys.own({section: stored}, section).keys()
  own -= keys.own({section: {'name': name}}, section).keys()
  if parts.is_from_outside(name):
    common = parts.SECTIONS[section].common
    own |= {key for key in stored.keys() & page.keys() - {*common} if page[key] == stored[key]}
  return {key: value for key, value in stored.items() if key not in own} | {'name': name}


def changed(config: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a complete config in which some keys have other values, which are not checked here.

  Args:
    config: nested mappings.
    changes: 'section.key' -> its value; 'section' -> a mapping, the whole of it.

  Raises:
    InputError: no such key; with the nearest one.
  """
  result = settings.plain(config)
  for section, value in changes.items():
    if isinstance(value, Mapping):
      result[section] = settings.plain(value)
  for section in parts.SECTIONS:
    if (name := changes.get(f'{section}.name')) is not None:
      result[section] = switched(section, result.get(section, {}), name)
  result = settings.complete(result)
  problems, known = errors.Problems(), keys.of(result)
  for key, value in changes.items():
    section, _, name = key.partition('.')
    if isinstance(value, Mapping) and section == key and key in keys.sections():
      continue
    if key not in known:
      problems.add([f'{key}: no such key; {hint(key, known)}'])
    elif name:
      result[section] = {**result[section], name: settings.plain(value)}
    else:
      result[key] = settings.plain(value)
  problems.refuse()
  return result
