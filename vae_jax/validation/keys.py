"""The keys of a config, and the check of each: of the page, and of the parts that it names."""

import functools
from collections.abc import Mapping
from typing import Any

from vae_jax import checks, errors, parts
from vae_jax.config import PAGE, Setting

_NAME = checks.text(empty=False, longest=200)


def sections() -> list[str]:
  """Returns the sections of a config."""
  return [section for section, below in PAGE.items() if isinstance(below, dict)]


def of(config: Mapping[str, Any]) -> dict[str, checks.Check]:
  """Returns the keys that a config has, `section.key`, with the check of each.

  Args:
    config: nested mappings; of a part that cannot be had, the keys are those of the page.
  """
  result = {}
  for section, below in PAGE.items():
    if isinstance(below, Setting):
      result[section] = below.check
      continue
    if section in parts.SECTIONS:
      result[f'{section}.name'] = functools.partial(_check_name, section)
      for key, parameter in own(config, section).items():
        result[f'{section}.{key}'] = parameter.check
    for key, setting in below.items():
      if isinstance(setting, Setting):
        result[f'{section}.{key}'] = setting.check
  return result


def own(config: Mapping[str, Any], section: str) -> Mapping[str, parts.Parameter]:
  """Returns the keys of the part that a config names; none where it cannot be had."""
  settings = config.get(section)
  try:
    return parts.parameters(section, settings['name']) if isinstance(settings, Mapping) else {}
  except (KeyError, errors.InputError):
    return {}


def every() -> list[str]:
  """Returns the keys that some config has: of the page, and of all built-in parts."""
  result = []
  for section, below in PAGE.items():
    names = parts.SECTIONS[section].builtins if section in parts.SECTIONS else ()
    builtin = [key for name in names for key in parts.parameters(section, name)]
    common = below if isinstance(below, dict) else ()
    result += [section] if isinstance(below, Setting) else []
    result += [f'{section}.{key}' for key in dict.fromkeys([*common, *builtin])]
  return result


def _check_name(section: str, key: str, value: Any) -> None:
  if section == 'data':
    _NAME(key, value)
  parts.resolve(section, value)


def owners(section: str, key: str) -> list[str]:
  """Returns the built-in parts of a section that have a key."""
  names = parts.SECTIONS[section].builtins if section in parts.SECTIONS else ()
  return [name for name in names if key in parts.parameters(section, name)]


def kind_of(config: Mapping[str, Any], key: str) -> type | None:
  """Returns the type of a key's values, `object` for several; None where there is no such key."""
  section, _, name = key.partition('.')
  below = PAGE.get(section)
  if isinstance(below, Setting) or not isinstance(below, dict):
    return None
  if section in parts.SECTIONS and name in (found := own(config, section)):
    return found[name].kind
  setting = below.get(name)
  if not isinstance(setting, Setting):
    return None
  return setting.kind or type(setting.default)
