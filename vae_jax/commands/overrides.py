"""Keys of a config as flags: which there are depends on the parts that are named, there or here."""

from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags
from ml_collections import config_dict

from vae_jax import config as settings
from vae_jax import parts, validation
from vae_jax.commands import words


class Loaded(flags.ArgumentParser):
  """The parser of --config once its file has run: what it returned, completed."""

  def __init__(self, config: config_dict.ConfigDict):
    self._config = config

  def parse(self, argument: str) -> config_dict.ConfigDict:
    """Returns the config whatever the name of its file."""
    del argument
    return self._config


def completed(config: Mapping[str, Any], typed: Mapping[str, str]) -> config_dict.ConfigDict:
  """Returns a config with the keys of the parts that it has once the typed flags are applied.

  Each key that is typed has the type of its parameter.

  Args:
    config: what a config file returned.
    typed: the keys of the flags, `section.key`, with the words given for them.

  Raises:
    ValueError, TypeError: no ConfigDict can hold it.
  """
  given = settings.plain(config)
  for section in parts.SECTIONS:
    name = typed.get(f'{section}.name')
    if name is not None and isinstance(given.get(section, {}), Mapping):
      given[section] = validation.switched(section, given.get(section, {}), name)
  whole = settings.complete(given)
  result = config_dict.ConfigDict(whole)
  for key in typed:
    if (kind := validation.keys.kind_of(whole, key)) is not None:
      _set_type(result, key, kind)
  return result.lock()


def _set_type(config: config_dict.ConfigDict, key: str, kind: type) -> None:
  """Gives a key the type by which its flag is read."""
  section, _, name = key.partition('.')
  if not isinstance(config.get(section), config_dict.ConfigDict):
    return
  value = config[section].get(name)
  value = tuple(value) if isinstance(value, list) else value
  fits = isinstance(value, kind) and not (kind is not bool and isinstance(value, bool))
  config[section][name] = config_dict.FieldReference(value if fits else None, field_type=kind)


def sorted_out(
  line: Sequence[str], typed: Mapping[str, str], config: Mapping[str, Any]
) -> tuple[list[str], list[str]]:
  """Returns the words whose keys a config has, and what is wrong with the others.

  Of a part that cannot be had no key is known: its flags are left out, and `validation` says why.

  Args:
    line: the words of a command line.
    typed: see `completed`.
    config: completed.
  """
  plain = settings.plain(config)
  known = validation.keys.of(plain)
  unnamed = validation.unnamed(plain)
  wrong = [key for key in typed if key not in known and key not in validation.sections()]
  problems = [_problem(key, plain, known) for key in wrong if key.partition('.')[0] not in unnamed]
  # A flag of any type may be a switch to absl, whose value is not the next word.
  loose = [key for key in typed if validation.keys.kind_of(plain, key) is object]
  line = words.without([f'config.{key}' for key in (*wrong, *loose)], line)
  return [*line, *(f'--config.{key}={typed[key]}' for key in loose)], problems


def _problem(key: str, config: Mapping[str, Any], known: Mapping[str, Any]) -> str:
  section, _, name = key.partition('.')
  owners = validation.keys.owners(section, name)
  if not owners:
    return f'--config.{key}: no such key; {validation.hint(key, known, "--config.")}'
  have = ', '.join(owners[:-1]) + f' and {owners[-1]} have' if owners[1:] else f'{owners[0]} has'
  return f'--config.{key}: {section}.name={config[section]["name"]!r} has none, {have} one'
