"""Convolutions of stride 1 in the one layout for which XLA has a fast kernel on a CPU.

The kernels of XLA on a CPU read b01f and 01io and write b01f. Outside of a loop the compiler brings
other layouts into this one. In the body of a loop, where all training is, it does not, and the
gradient of a kernel, which JAX writes as f01b and i01o, is computed one number after the other.
Here the gradients are written in the fast layout, behind barriers that keep XLA from folding the
transpositions back. Examples are the batch axis of one convolution, however they are mapped; lanes,
each with a kernel of its own, follow one another: as one grouped convolution they are slow.

Measured in a loop, 3 x 3, value and gradient of 64 examples, on two busy cores of an Intel Xeon
beside a matrix product of 87 GFLOP/s, in GFLOP/s:

                              here   reference   patches and a product   `convolutions`
  28 x 28, 32 channels          75           1                      26               23
  14 x 14, 64 channels          52           2                      41               24
  7 x 7, 128 channels           73           4                      63               50

Of 8 channels or fewer `convolutions` is the faster one, 12 to 16 beside 7 to 10: see `reads_few`.
Delete it when `reference` is as fast in a loop.
"""

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_batching import custom_vmap

_FEW_CHANNELS = 8
_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def reads_few(channels: int, features: int) -> bool:
  """Tells whether a convolution has too few channels to be worth this layout."""
  return min(channels, features) <= _FEW_CHANNELS


def conv(x: Array, kernel: Array) -> Array:
  """Returns y[o] = sum_t x[o + t - k // 2] kernel[t], of as many pixels, with zeros around x.

  Take the gradient of what is mapped, and do not map the gradient: on a CPU `vmap(grad)` over
  examples that share a kernel has the sum of their gradients by it at the first example, and 0 at
  the others.

  Args:
    x: one example [H, W, C].
    kernel: [k, l, C, C'], k and l odd.
  """
  x, kernel = jnp.asarray(x), jnp.asarray(kernel)
  fast = lambda x, kernel: _conv(x[None], kernel)[0]  # noqa: E731
  return jax.lax.platform_dependent(x, kernel, cpu=fast, default=reference)


def reference(x: Array, kernel: Array) -> Array:
  """The same as a convolution of JAX's own."""
  return _plain(x[None], kernel, kernel.shape)[0]


def _plain(x: Array, kernel: Array, sizes: Sequence[int]) -> Array:
  """Returns the convolution in the layout, with half of `sizes` [k, l] of zeros around."""
  padding = [(size // 2,) * 2 for size in sizes[:2]]
  return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=_LAYOUT)


@jax.custom_vjp
def _conv(x: Array, kernel: Array) -> Array:
  """The convolution of examples [N, H, W, C]; what it calls knows what mapping makes of it."""
  return _examples(x, kernel)


def _backward(inputs: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
  x, kernel = inputs
  turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
  return _examples(g, turned), _gradient(x, g, kernel)


_conv.defvjp(lambda x, kernel: (_conv(x, kernel), (x, kernel)), _backward)


@custom_vmap
def _examples(x: Array, kernel: Array) -> Array:
  return _plain(x, jax.lax.optimization_barrier(kernel), kernel.shape)


@_examples.def_vmap
def _(size, is_mapped, x, kernel):
  if is_mapped[1]:
    return _over_kernels(_examples, size, is_mapped, x, kernel), True
  y = _examples(_merged(x), kernel)
  return y.reshape(*x.shape[:2], *y.shape[1:]), True


@custom_vmap
def _gradient(x: Array, g: Array, kernel: Array) -> Array:
  """Returns the gradient [k, l, C, C'] by the kernel: a convolution over the examples of x by g."""
  x = jax.lax.optimization_barrier(jnp.transpose(x, (3, 1, 2, 0)))  # [C, H, W, N]
  g = jax.lax.optimization_barrier(jnp.transpose(g, (1, 2, 0, 3)))  # [H, W, N, C']
  return jnp.transpose(_plain(x, g, kernel.shape), (1, 2, 0, 3))


@_gradient.def_vmap
def _(size, is_mapped, x, g, kernel):
  if is_mapped[2]:
    return _over_kernels(_gradient, size, is_mapped, x, g, kernel), True
  whole = [_all(size, mapped, a) for a, mapped in zip((x, g), is_mapped, strict=False)]
  total = _gradient(*map(_merged, whole), kernel)
  # Of one kernel for all of the axis the gradients are added up: here they are already.
  return jnp.zeros((size, *total.shape), total.dtype).at[0].set(total), True


def _over_kernels(
  function: Callable[..., Array], size: int, is_mapped: Sequence[bool], *arrays: Array
) -> Array:
  """Returns the results of one kernel after the other, [size, ...]."""
  whole = [_all(size, mapped, a) for a, mapped in zip(arrays, is_mapped, strict=True)]
  return jax.lax.map(lambda each: function(*each), tuple(whole))


def _all(size: int, is_mapped: bool, array: Array) -> Array:
  return array if is_mapped else jnp.broadcast_to(array, (size, *array.shape))


def _merged(x: Array) -> Array:
  return x.reshape(math.prod(x.shape[:2]), *x.shape[2:])
