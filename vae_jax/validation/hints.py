"""The key that somebody may have meant."""

import difflib
import functools

from vae_jax.validation.keys import CHECKS

_NEAR = 0.6  # of `difflib`: what is less alike is no help


def nearest_key(key: str) -> str | None:
  """Returns the key of a config that looks like `key`, None where none does.

  `lanes.bta` is `lanes.beta`, `trian.steps` is `train.steps`, and `beta` is `lanes.beta`.
  """
  section, dot, name = key.rpartition('.')
  if dot and section not in sections():
    section = _nearest(section, sections())
  if not dot and (near := _nearest(name, [*sections(), *(k for k in CHECKS if '.' not in k)])):
    return near
  inside = {k.partition('.')[2]: k for k in CHECKS if section in ('', k.partition('.')[0])}
  anywhere = {k.partition('.')[2]: k for k in reversed(CHECKS)}
  near = _nearest(name, list(inside))
  return inside[near] if near else anywhere.get(name)


def hint(key: str, prefix: str = '') -> str:
  """Returns what a message says of an unknown key: the one that was meant, or those that there are.

  Args:
    key: that no config has.
    prefix: of the keys as they are shown, such as '--config.'.
  """
  if near := nearest_key(key):
    return f'did you mean {prefix}{near}?'
  section = key.partition('.')[0]
  if section in sections():
    names = (k.partition('.')[2] for k in CHECKS if k.startswith(f'{section}.'))
    return f'{section} has {", ".join(names)}'
  return f'the sections are {", ".join(sections())}'


@functools.cache
def sections() -> list[str]:
  """Returns the sections of a config."""
  return list(dict.fromkeys(key.partition('.')[0] for key in CHECKS if '.' in key))


def _nearest(word: str, words: list[str]) -> str | None:
  near = difflib.get_close_matches(word[:100], words, n=1, cutoff=_NEAR)
  return near[0] if near else None
