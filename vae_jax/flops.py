"""Floating-point operations of a function: those of its matrix products and convolutions."""

import functools
import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core


def count(function: Callable, *args: Any, platform: str = 'cpu') -> int:
  """Returns the operations of one call, two for each multiply-add.

  Counted where they are written, before any compiler: elementwise work is left out, and a dense
  layer of N examples has 2 N x inputs x outputs forward, and as many for each of its gradients.

  Args:
    function: is traced, not run. A loop whose length is data counts once.
    args: arrays or their shapes.
    platform: whose way of writing things counts, see `fast`; '' for that of the mathematics.
  """
  return _of_jaxpr(jax.make_jaxpr(function)(*args).jaxpr, platform)


_MADE_OF: dict[core.Primitive, Callable] = {}


def made_of(primitive: core.Primitive, function: Callable) -> None:
  """Says that an operation of one's own is computed by a function of the same arguments."""
  _MADE_OF[primitive] = function


def _of_jaxpr(jaxpr: core.Jaxpr, platform: str) -> int:
  return sum(_of_equation(equation, platform) for equation in jaxpr.eqns)


def _of_equation(equation: core.JaxprEqn, platform: str) -> int:
  shapes = [variable.aval.shape for variable in equation.invars if hasattr(variable.aval, 'shape')]
  if equation.primitive.name == 'dot_general':
    (contracting, _), _ = equation.params['dimension_numbers']
    depth = math.prod(shapes[0][axis] for axis in contracting)
    return 2 * depth * math.prod(equation.outvars[0].aval.shape)
  if equation.primitive.name == 'conv_general_dilated':
    return _of_convolution(equation.params, shapes[1], equation.outvars[0].aval.shape)
  if equation.primitive in _MADE_OF:
    function = functools.partial(_MADE_OF[equation.primitive], **equation.params)
    arrays = [variable.aval for variable in equation.invars]
    return _of_jaxpr(jax.make_jaxpr(function)(*arrays).jaxpr, platform)
  if equation.params.get('branches_platforms'):
    return _of_jaxpr(_branch(equation.params, platform), platform)
  repeats = equation.params.get('length', 1) if equation.primitive.name == 'scan' else 1
  inner = core.jaxprs_in_params(equation.params)
  return repeats * sum(_of_jaxpr(jaxpr, platform) for jaxpr in inner)


def _branch(params: Any, platform: str) -> core.Jaxpr:
  """Returns the branch of a choice by platform; the last one is that of all others."""
  ways = zip(params['branches'], params['branches_platforms'], strict=True)
  return next(branch.jaxpr for branch, of in ways if of is None or platform in of)


def _of_convolution(params: Any, kernel: tuple, outputs: tuple) -> int:
  """Returns 2 x outputs x what each reads; zeros of a dilated input are not counted."""
  layout = params['dimension_numbers'].rhs_spec  # (out, in, *spatial)
  taps = math.prod(kernel[axis] for axis in layout[1:])
  return 2 * math.prod(outputs) * taps // math.prod(params['lhs_dilation'])
