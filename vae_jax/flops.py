"""Floating-point operations of a function: those of its matrix products and convolutions."""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax.extend import core


def count(function: Callable, *args: Any) -> int:
  """Returns the operations of one call, two for each multiply-add.

  Counted where they are written, before any compiler: elementwise work is left out, and a dense
  layer of N examples has 2 N x inputs x outputs forward, and as many for each of its gradients.

  Args:
    function: is traced, not run. A loop whose length is data counts once.
    args: arrays or their shapes.
  """
  return _of_jaxpr(jax.make_jaxpr(function)(*args).jaxpr)


def _of_jaxpr(jaxpr: core.Jaxpr) -> int:
  return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation: core.JaxprEqn) -> int:
  shapes = [variable.aval.shape for variable in equation.invars if hasattr(variable.aval, 'shape')]
  if equation.primitive.name == 'dot_general':
    (contracting, _), _ = equation.params['dimension_numbers']
    depth = math.prod(shapes[0][axis] for axis in contracting)
    return 2 * depth * math.prod(equation.outvars[0].aval.shape)
  if equation.primitive.name == 'conv_general_dilated':
    return _of_convolution(equation.params, shapes[1], equation.outvars[0].aval.shape)
  repeats = equation.params.get('length', 1) if equation.primitive.name == 'scan' else 1
  return repeats * sum(_of_jaxpr(inner) for inner in core.jaxprs_in_params(equation.params))


def _of_convolution(params: Any, kernel: tuple, outputs: tuple) -> int:
  """Returns 2 x outputs x what each reads; zeros of a dilated input are not counted."""
  layout = params['dimension_numbers'].rhs_spec  # (out, in, *spatial)
  taps = math.prod(kernel[axis] for axis in layout[1:])
  return 2 * math.prod(outputs) * taps // math.prod(params['lhs_dilation'])
