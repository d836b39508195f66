"""The key that somebody may have meant."""

import difflib
from collections.abc import Collection

from vae_jax.validation.keys import sections

_NEAR = 0.6  # of `difflib`: what is less alike is no help


def nearest_key(key: str, known: Collection[str]) -> str | None:
  """Returns the one of the `known` keys that looks like `key`, None where none does.

  `lanes.bta` is `lanes.beta`, `trian.steps` is `train.steps`, and `beta` is `lanes.beta`.
  """
  section, dot, name = key.rpartition('.')
  if dot and section not in sections():
    section = _nearest(section, sections())
  if not dot and (near := _nearest(name, [*sections(), *(k for k in known if '.' not in k)])):
    return near
  inside = {k.partition('.')[2]: k for k in known if section in ('', k.partition('.')[0])}
  anywhere = {k.partition('.')[2]: k for k in reversed(list(known))}
  near = _nearest(name, list(inside))
  return inside[near] if near else anywhere.get(name)


def hint(key: str, known: Collection[str], prefix: str = '') -> str:
  """Returns what a message says of an unknown key: the one that was meant, or those that there are.

  Args:
    key: that the config does not have.
    known: the keys that it has.
    prefix: of the keys as they are shown, such as '--config.'.
  """
  if near := nearest_key(key, known):
    return f'did you mean {prefix}{near}?'
  section = key.partition('.')[0]
  if section in sections():
    names = (k.partition('.')[2] for k in known if k.startswith(f'{section}.'))
    return f'{section} has {", ".join(names)}'
  return f'the sections are {", ".join(sections())}'


def _nearest(word: str, words: list[str]) -> str | None:
  near = difflib.get_close_matches(word[:100], words, n=1, cutoff=_NEAR)
  return near[0] if near else None
