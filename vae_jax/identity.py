"""What makes a run this run, apart from where its files lie and how it is carried out.

A run is its data, its program, its lanes and their seeds: whatever can change a bit of what it
trains. That is its identity, and one workdir has one. Place and manner can change under it: `TABLE`
has every key of the two, and all other keys, those that come later among them, are identity. Where
the data come from is place: the keys of `data` that are a loader's own.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from vae_jax import parts

PLACE, MANNER, IDENTITY = 'place', 'manner', 'identity'


class Row(NamedTuple):
  """What a key, or a whole section, may do to a run that goes on under another value of it."""

  kind: str  # PLACE or MANNER
  effect: str


TABLE: Mapping[str, Row] = {
  'study': Row(PLACE, 'a title'),
  'wandb': Row(PLACE, 'a copy of the record'),
  'resources': Row(PLACE, 'what it may use'),
  # Schedules and warm-ups count their own steps: nothing depends on the length of the training.
  'train.steps': Row(MANNER, 'the steps before are the same'),
  'train.log_every': Row(MANNER, 'other rows, the same parameters'),
  'train.log_powers_of_two': Row(MANNER, 'other rows, the same parameters'),
  'train.evaluate_every': Row(MANNER, 'other rows, the same parameters'),
  'train.checkpoint_every': Row(MANNER, 'the same parameters'),
  'train.patience': Row(MANNER, 'lanes stop earlier or later; what has stopped stays so'),
  'program.width': Row(MANNER, 'the last bits of the lanes will differ'),
  'program.memory_gib': Row(MANNER, 'the same parameters at one width'),
  'program.resident_gib': Row(MANNER, 'the same parameters'),
  'evaluation': Row(MANNER, 'figures from here on are of other examples or samples'),
}


# The data themselves are held by their sha256, which is checked beside the config.
_SOURCE = Row(PLACE, 'the data are the same')


class Change(NamedTuple):
  """A key that differs."""

  key: str
  stored: Any
  given: Any

  @property
  def kind(self) -> str:
    """PLACE, MANNER or IDENTITY."""
    row = _row(self.key)
    return row.kind if row else IDENTITY

  def __str__(self) -> str:
    """Returns the key with both values and, where the run may go on, what the change does."""
    row = _row(self.key)
    effect = f' ({row.effect})' if row else ''
    return f'{self.key} is {self.stored!r} there, {self.given!r} here{effect}'


def _row(key: str) -> Row | None:
  section, _, name = key.partition('.')
  if section == 'data' and name and name not in parts.SECTIONS['data'].common:
    return _SOURCE
  return TABLE.get(key) or TABLE.get(section)


def changes(stored: Mapping, given: Mapping) -> list[Change]:
  """Returns the keys in which two configs differ, in order; both as JSON reads them back."""
  return list(_changes(stored, given, ''))


def _changes(stored: Any, given: Any, key: str) -> Iterator[Change]:
  if isinstance(stored, dict) and isinstance(given, dict):
    for name in sorted(stored.keys() | given.keys()):
      below = f'{key}.{name}' if key else name
      yield from _changes(stored.get(name), given.get(name), below)
  elif stored != given:
    yield Change(key, stored, given)


def of_kind(found: list[Change], kind: str) -> list[Change]:
  """Returns the changes of one kind."""
  return [change for change in found if change.kind == kind]


def listed(found: list[Change]) -> str:
  """Returns changes in words, the first three of them."""
  more = f' and {len(found) - 3} more' if len(found) > 3 else ''
  return ', '.join(map(str, found[:3])) + more


def source(settings: Mapping[str, Any]) -> str:
  """Returns where the data of a section `data` come from, as a message says it, but no ''."""
  own = (key for key in settings if key not in parts.SECTIONS['data'].common)
  keys = [key for key in own if settings[key] != '']
  return ', '.join(f'data.{key}={settings[key]!r}' for key in keys)
