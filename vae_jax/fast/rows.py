"""Samples of examples as the rows of one matrix.

Measured: the product of a kernel's gradient over two mapped axes runs at two thirds of the rate of
one over one axis, on a CPU. Delete it when `reference` runs at the same rate.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
from jax import Array
from jax.custom_batching import custom_vmap


def over_rows(function: Callable[[Any, Array], Array]) -> Callable[[Any, Array], Array]:
  """Returns `function` with two mapped axes as one: of two nested `jax.vmap`s, one over all rows.

  The gradient of a kernel is a product that sums over every mapped axis. Over two of them, samples
  [L] within examples [N], XLA on a CPU first transposes what comes from above, [N, L, O], and then
  multiplies at two thirds of the rate. Over one of N L rows there is nothing to transpose.

  Args:
    function: (shared, row) -> array; `shared` is the same for all rows.

  Returns:
    The same function, to be mapped over its second argument twice, neither more nor less often, and
    differentiated outside of that: a custom rule of mapping has no reverse mode of its own.
  """

  @custom_vmap
  def of_example(shared, rows):  # [L, *row]
    return jax.vmap(function, (None, 0))(shared, rows)

  @of_example.def_vmap
  def _(num_examples, is_mapped, shared, rows):  # [N, L, *row]
    _check(is_mapped)
    flat = rows.reshape(math.prod(rows.shape[:2]), *rows.shape[2:])
    results = jax.vmap(function, (None, 0))(shared, flat)
    return results.reshape(num_examples, -1, *results.shape[1:]), True

  @custom_vmap
  def of_sample(shared, row):
    return function(shared, row)

  @of_sample.def_vmap
  def _(num_samples, is_mapped, shared, rows):
    del num_samples
    _check(is_mapped)
    return of_example(shared, rows), True

  return of_sample


def reference(function: Callable[[Any, Array], Array]) -> Callable[[Any, Array], Array]:
  """Returns `function`, to be mapped twice."""
  return function


def _check(is_mapped: tuple[Any, bool]) -> None:
  shared, row = is_mapped
  if any(jax.tree.leaves(shared)) or not row:
    raise ValueError('rows alone are mapped, not what they share')
