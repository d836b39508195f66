"""Samples of examples as the rows of one matrix.

Measured: the product of a kernel's gradient over two mapped axes runs at two thirds of the rate of
one over one axis, on a CPU. Delete it when `reference` runs at the same rate.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_batching import custom_vmap


def over_rows(function: Callable[[Any, Any], Array]) -> Callable[[Any, Any], Array]:
  """Returns `function` with two mapped axes as one: of two nested `jax.vmap`s, one over all rows.

  The gradient of a kernel is a product that sums over every mapped axis. Over two of them, samples
  [L] within examples [N], XLA on a CPU first transposes what comes from above, [N, L, O], and then
  multiplies at two thirds of the rate. Over one of N L rows there is nothing to transpose.

  Args:
    function: (shared, row) -> array; `shared` is the same for all rows, and a row an array, or a
      tree whose leaves may be the same for the samples of an example.

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
    rows = _repeated(num_examples, is_mapped[1], rows)
    flat = jax.tree.map(lambda leaf: leaf.reshape(math.prod(leaf.shape[:2]), *leaf.shape[2:]), rows)
    results = jax.vmap(function, (None, 0))(shared, flat)
    return results.reshape(num_examples, -1, *results.shape[1:]), True

  @custom_vmap
  def of_sample(shared, row):
    return function(shared, row)

  @of_sample.def_vmap
  def _(num_samples, is_mapped, shared, rows):
    _check(is_mapped)
    return of_example(shared, _repeated(num_samples, is_mapped[1], rows)), True

  return of_sample


def _repeated(size: int, is_mapped: Any, rows: Any) -> Any:
  """Returns rows [size, ...], those leaves repeated that are not mapped."""

  def repeated(leaf: Array, mapped: bool) -> Array:
    return leaf if mapped else jnp.broadcast_to(leaf, (size, *leaf.shape))

  return jax.tree.map(repeated, rows, is_mapped)


def reference(function: Callable[[Any, Any], Array]) -> Callable[[Any, Any], Array]:
  """Returns `function`, to be mapped twice."""
  return function


def _check(is_mapped: tuple[Any, Any]) -> None:
  shared, row = is_mapped
  if any(jax.tree.leaves(shared)) or not any(jax.tree.leaves(row)):
    raise ValueError('rows alone are mapped, not what they share')
