"""What a constructor can be given by name, read from its signature."""

import contextlib
import functools
import inspect
import sys
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from vae_jax import checks, errors

REQUIRED = inspect.Parameter.empty  # the default of a key that has none


class Parameter(NamedTuple):
  """A key of a part.

  Attributes:
    default: its value where nothing sets it, REQUIRED for none.
    check: raises InputError for what it cannot be.
    kind: the type of its values, `object` for several.
  """

  default: Any
  check: checks.Check
  kind: type


def read(constructor: Callable[..., Any]) -> Mapping[str, Parameter]:
  """Returns what can be handed to a constructor by name."""
  try:
    return _read_once(constructor)
  except TypeError:  # it has no hash
    return _read(constructor)


def _read(constructor: Callable[..., Any]) -> Mapping[str, Parameter]:
  try:
    signature = inspect.signature(constructor)
  except ValueError:  # of a class in C
    return {}
  reserved = ('name', 'parent') if _is_linen(constructor) else ()
  result = {}
  for name, parameter in signature.parameters.items():
    by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    if not by_name or name in reserved or not _is_key(parameter.default):
      continue
    annotation = _annotation(constructor, parameter)
    check = checks.of(annotation, parameter.default)
    result[name] = Parameter(parameter.default, check, checks.kind_of(annotation))
  return result


_read_once = functools.cache(_read)


def _is_linen(constructor: Any) -> bool:
  """Tells whether a constructor is a Flax module, which has the attributes `name` and `parent`."""
  bases = constructor.__mro__ if isinstance(constructor, type) else ()
  return any(base.__module__.startswith('flax.linen') for base in bases)


def _is_key(default: Any) -> bool:
  """Tells whether a config can hold a default; one that JSON cannot is the constructor's affair."""
  if default is REQUIRED:
    return True
  try:
    checks.anything('', default)
  except errors.InputError:
    return False
  return True


def _annotation(constructor: Callable[..., Any], parameter: inspect.Parameter) -> Any:
  """Returns a parameter's annotation, that of a module without evaluated annotations, too."""
  if not isinstance(parameter.annotation, str):
    return parameter.annotation
  module = sys.modules.get(getattr(constructor, '__module__', None) or '')
  holder = types.SimpleNamespace(__annotations__={'it': parameter.annotation})
  with contextlib.suppress(Exception):  # a name that stands for the type checker alone
    return typing.get_type_hints(holder, vars(module), include_extras=True)['it']
  return Any
