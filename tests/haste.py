"""What a suite need not have of JAX and Flax: half of its time goes into tracing and lowering.

The operations of the programs stay what they are; how JAX comes to them takes two thirds of the
time. Processes that tests start have JAX as it is, and so has `./launch/test --plain-jax`: for a
traceback into a program, or where a test fails and what is here may be why.
"""

import contextlib
import functools
import threading
import types
from collections.abc import Callable, Hashable
from typing import Any

import jax
import numpy as np
import pytest
from flax.core import meta, scope
from jax._src import config, core, pjit
from jax._src.interpreters import batching, mlir, partial_eval
from jaxlib import _jax

_of_thread = threading.local()
_plain: dict[tuple[Any, str], Callable] = {}  # what `begin` found


def begin(has_one_device: bool = True) -> None:
  """Leaves out what this file is about, until the process ends."""
  if has_one_device:  # which leaves nothing to partition
    jax.config.update('jax_use_shardy_partitioner', False)
  _jax.set_tracebacks_enabled(False)  # from which lines of Python each operation comes
  found = (
    (mlir, 'make_ir_context', _context_of_thread),
    (pjit, '_infer_params', _unless_inlined),
    (pjit, '_run_python_pjit', _or_called),
    (partial_eval, 'trace_to_jaxpr_dynamic', _lowered_once),
    (batching, '_batch_jaxpr_axes', _mapped_once),
    (scope.Scope, 'param', _unchecked),
  )
  for owner, name, hasty in found:
    _plain[owner, name] = getattr(owner, name)
    setattr(owner, name, hasty(_plain[owner, name]))


@contextlib.contextmanager
def plain():
  """Within it JAX traces and lowers as without this file what it has not traced before."""
  with pytest.MonkeyPatch.context() as patch:
    for (owner, name), function in _plain.items():
      patch.setattr(owner, name, function)
    yield


def _context_of_thread(make: Callable[[], Any]) -> Callable[[], Any]:
  """A thread lowers all its programs in one context of MLIR, which takes milliseconds to make."""

  def context():
    if not hasattr(_of_thread, 'context'):
      _of_thread.context = make()
    return _of_thread.context

  return context


def _unless_inlined(infer: Callable) -> Callable:
  """What JAX would trace as a program and write into the one that is traced has no parameters.

  Each `x + y` is such a program: `_or_called` calls it.
  """
  early = True, getattr(getattr(jax, 'Inline', None), 'JAX_EARLY', True)

  def infer_or_none(function, info, arguments, keywords):
    if info.inline in early and function.__module__.startswith('jax.'):
      for argument in arguments:
        if isinstance(argument, core.Tracer):
          return None, None
    return infer(function, info, arguments, keywords)

  return _of_jax(infer_or_none, pjit)


def _or_called(run: Callable) -> Callable:
  """What has no parameters is called, as the function that it is."""
  of_no_program = types.SimpleNamespace(effects=(), consts=())

  def run_or_call(params, flat, function, arguments, keywords):
    if params is None:
      results = function(*arguments, **keywords)
      return results, (), None, None, of_no_program, None, None, None
    return run(params, flat, function, arguments, keywords)

  return _of_jax(run_or_call, pjit)


def _of_jax(function: Callable, module: types.ModuleType) -> Callable:
  """Makes a function's lines a module's own: messages name the last line that is a user's."""
  function.__code__ = function.__code__.replace(co_filename=module.__file__)
  return function


def _lowered_once(trace: Callable) -> Callable:
  """A rule of lowering that is written in JAX, such as that of random bits, is traced once."""
  kept = {}

  @functools.wraps(trace)
  def traced(function, avals, *, lower=False, **options):
    if not lower:
      return trace(function, avals, **options)
    rule = identity(function.f), identity(function.params)
    key = rule, tuple(avals), identity(tuple(options.items())), config.trace_context()
    if key not in kept:  # with the function, so that no other has its identity meanwhile
      kept[key] = trace(function, avals, lower=True, **options), function
    return kept[key][0]

  return traced


def _mapped_once(mapped: Callable) -> Callable:
  """The body of a loop is mapped over lanes once.

  JAX asks which results have the axis, and then for them by their axes; to its cache these are two
  questions wherever a result has none, as the counter of a loop.
  """

  def found(jaxpr, axis, in_axes, out_axes):
    asked = tuple(batching.zero_if_mapped if a is None else a for a in out_axes)
    return mapped(jaxpr, axis, in_axes, asked)

  return found


def _unchecked(param: Callable) -> Callable:
  """A parameter that there is is taken, without an initialiser that is traced for its shape."""

  def taken(self, name, init, *arguments, unbox=True, **keywords):
    if not self.has_variable('params', name):
      return param(self, name, init, *arguments, unbox=unbox, **keywords)
    self.reserve(name, 'params')
    value = self.get_variable('params', name)
    return meta.unbox(value) if unbox else value

  return taken


def identity(value: Any) -> Hashable:
  """Returns what tells a function from others: its code, and what it holds of outside of it."""
  if isinstance(value, functools.partial):
    return identity((value.func, value.args, tuple(sorted(value.keywords.items()))))
  if hasattr(value, '__code__') and value.__closure__:
    held = tuple(cell.cell_contents for cell in value.__closure__)
    owner, keywords = getattr(value, '__self__', None), value.__kwdefaults__ or {}
    return value.__code__, identity((owner, value.__defaults__, tuple(keywords.items()), held))
  if isinstance(value, tuple):
    return tuple(map(identity, value))
  if isinstance(value, np.ndarray):  # a constant of the program
    return value.shape, str(value.dtype), value.tobytes()
  is_plain = isinstance(value, (int, float, str, bool, type(None)))
  return (type(value), value) if is_plain else id(value)
