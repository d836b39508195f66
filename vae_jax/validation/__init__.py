"""Checks a whole config before anything is created: every key, its type, its range.

`CHECKS` lists every key that a config has. A key that is missing, unknown, of the wrong type or out
of range is an InputError of one line with the key, the value and the nearest valid one.
"""

import difflib
from collections.abc import Mapping
from typing import Any

from vae_jax import errors
from vae_jax.validation import keys
from vae_jax.validation.keys import CHECKS
from vae_jax.validation.together import check_together

__all__ = ['CHECKS', 'check', 'keys', 'nearest_key']


def _flatten(tree: Mapping, prefix: str = '') -> dict[str, Any]:
  result = {}
  for name, value in tree.items():
    key = f'{prefix}{name}'
    is_section = any(check.startswith(f'{key}.') for check in CHECKS)
    if isinstance(value, Mapping) and is_section:
      result |= _flatten(value, f'{key}.')
    else:
      result[key] = value
  return result


def nearest_key(key: str) -> str:
  """Returns the key of a config that looks most like `key`."""
  near = difflib.get_close_matches(key, CHECKS, n=1, cutoff=0.0)
  return near[0]


def check(config: Mapping) -> None:
  """Checks a config, as nested mappings of plain values.

  Raises:
    InputError: the first thing that is wrong with it.
  """
  values = _flatten(config)
  for key in values:
    if key not in CHECKS:
      raise errors.InputError(f'unknown key {key}; did you mean {nearest_key(key)}?')
  for key, check_value in CHECKS.items():
    if key not in values:
      raise errors.InputError(f'the config lacks {key}; vae_jax.config.base has every setting')
    check_value(key, values[key])
  check_together(values)
