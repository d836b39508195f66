"""A section of a config is a call: `name` says of what, the other keys are its arguments.

  encoder = dict(name='mlp', hidden=(500,))                # networks.MlpEncoder(hidden=(500,), ...)
  encoder = dict(name='my_package.nets:ResNet', depth=3)   # ResNet(depth=3)
  optimizer = dict(name='optax:lion', weight_decay=1e-2)   # lion(rate, weight_decay=1e-2)

A name is that of a built-in part or 'package.module:attribute', anything that can be called. Its
keys are the parameters of its signature. What a study decides itself (the shape of an example, the
number of outputs ...) is handed in by name where the signature asks for it: `Section.given`, and
the keys that concern any part of a section: `Section.common`. A parameter may say what its values
are, `Annotated[int, checks.whole(1, 100)]`; otherwise its type does; see `checks.of`.

No built-in part is imported before it is asked for: this module costs nothing.
"""

import functools
from collections.abc import Mapping
from typing import Any

from vae_jax import errors
from vae_jax.parts.importing import is_from_outside, line_of, origin, origins, resolve
from vae_jax.parts.sections import SECTIONS, Section
from vae_jax.parts.signatures import REQUIRED, Parameter, read

__all__ = [
  'REQUIRED',
  'SECTIONS',
  'Parameter',
  'Section',
  'asked',
  'build',
  'complete',
  'is_from_outside',
  'keys_of_builtins',
  'origin',
  'origins',
  'parameters',
  'resolve',
]


def parameters(section: str, name: str) -> Mapping[str, Parameter]:
  """Returns the keys of a part that are its own, in the order of its signature.

  Raises:
    InputError: see `resolve`.
  """
  own = {**read(resolve(section, name))}
  for key in ('name', *SECTIONS[section].common, *SECTIONS[section].given):
    own.pop(key, None)
  return own


def asked(section: str, name: str) -> frozenset[str]:
  """Returns what of `Section.given` a part asks for; raises InputError, see `resolve`."""
  return frozenset(SECTIONS[section].given) & read(resolve(section, name)).keys()


def complete(section: str, settings: Mapping[str, Any], page: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a section with exactly the keys of its part: `name`, its own, and the common ones.

  A key that is missing has its value of the page where the page has it and the part is built in,
  otherwise that of the signature. A key of another built-in part is left out: a config of an
  earlier version has the keys of all, and a switch of the name leaves those of the part before. Any
  other key stays, for `validation` to refuse, and so do all where the part cannot be had.

  Args:
    settings: of the section.
    page: the section of `config.base`.
  """
  chosen = settings.get('name', page['name'])
  try:
    own = parameters(section, chosen)
  except errors.InputError:
    return {**{key: page[key] for key in SECTIONS[section].common}, 'name': chosen, **settings}
  result: dict[str, Any] = {'name': chosen}
  for key, parameter in own.items():
    if key in settings:
      result[key] = settings[key]
    elif key in page and not is_from_outside(chosen):
      result[key] = page[key]
    elif parameter.default is not REQUIRED:
      result[key] = parameter.default
  result |= {key: settings.get(key, page[key]) for key in SECTIONS[section].common}
  others = settings.keys() - result.keys()
  if others:
    known = keys_of_builtins(section)
    result |= {key: value for key, value in settings.items() if key in others - known}
  return result


@functools.cache
def keys_of_builtins(section: str) -> frozenset[str]:
  """Returns the keys that some built-in part of a section has."""
  return frozenset(k for name in SECTIONS[section].builtins for k in parameters(section, name))


def build(section: str, settings: Mapping[str, Any], **given: Any) -> Any:
  """Returns the part of a section: calls its constructor.

  Args:
    section: its name.
    settings: complete and valid.
    **given: of `Section.given`, as they are; those that the signature does not ask for are left
      out, see `asked`.

  Raises:
    InputError: there is no such part, or it does not take these settings.
  """
  name = settings['name']
  constructor = resolve(section, name)
  values = {**settings, **given}
  arguments = {key: _frozen(values[key]) for key in read(constructor) if key in values}
  if not is_from_outside(name):
    return constructor(**arguments)
  try:
    return constructor(**arguments)
  except errors.InputError:
    raise
  except Exception as error:
    shown = ', '.join(f'{k}={errors.shown(v)}' for k, v in arguments.items() if k not in given)
    raise errors.InputError(
      f'{section}.name={name!r}: {name.partition(":")[2]}({shown}) raises '
      f'{type(error).__name__}: {error}{line_of(error)}'
    ) from error


def _frozen(value: Any) -> Any:
  """Returns a value with tuples for lists: JSON has lists, and a module is compared and hashed."""
  return tuple(map(_frozen, value)) if type(value) in (list, tuple) else value
