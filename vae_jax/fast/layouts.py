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

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import ShapedArray
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from vae_jax import flops

_FEW_CHANNELS = 8
_LAYOUT = ('NHWC', 'HWIO', 'NHWC')


def reads_few(channels: int, features: int) -> bool:
  """Tells whether a convolution has too few channels to be worth this layout."""
  return min(channels, features) <= _FEW_CHANNELS


def conv(x: Array, kernel: Array) -> Array:
  """Returns y[o] = sum_t x[o + t - k // 2] kernel[t], of as many pixels, with zeros around x.

  Args:
    x: one example [H, W, C].
    kernel: [k, l, C, C'], k and l odd.
  """
  x, kernel = jnp.asarray(x), jnp.asarray(kernel)
  fast = lambda x, kernel: _CONV.bind(x[None], kernel)[0]  # noqa: E731
  return jax.lax.platform_dependent(x, kernel, cpu=fast, default=reference)


def reference(x: Array, kernel: Array) -> Array:
  """The same as a convolution of JAX's own."""
  return _plain(x[None], kernel, kernel.shape)[0]


def _plain(x: Array, kernel: Array, sizes: Sequence[int]) -> Array:
  """Returns the convolution in the layout, with half of `sizes` [k, l] of zeros around."""
  padding = [(size // 2,) * 2 for size in sizes[:2]]
  return jax.lax.conv_general_dilated(x, kernel, (1, 1), padding, dimension_numbers=_LAYOUT)


def _examples(x: Array, kernel: Array) -> Array:
  """Returns the convolution of examples [N, H, W, C]."""
  return _plain(x, jax.lax.optimization_barrier(kernel), kernel.shape)


def _gradient(x: Array, g: Array, *, sizes: Sequence[int]) -> Array:
  """Returns the gradient [k, l, C, C'] by the kernel: a convolution over the examples of x by g."""
  x = jax.lax.optimization_barrier(jnp.transpose(x, (3, 1, 2, 0)))  # [C, H, W, N]
  g = jax.lax.optimization_barrier(jnp.transpose(g, (1, 2, 0, 3)))  # [H, W, N, C']
  return jnp.transpose(_plain(x, g, sizes), (1, 2, 0, 3))


def _primitive(name: str, function: Callable[..., Array]) -> Primitive:
  """Returns an operation of JAX that is computed by `function`."""
  primitive = Primitive(name)

  @primitive.def_abstract_eval
  def _(*arrays, **options):
    shapes = [jax.ShapeDtypeStruct(array.shape, array.dtype) for array in arrays]
    found = jax.eval_shape(functools.partial(function, **options), *shapes)
    return ShapedArray(found.shape, found.dtype)

  primitive.def_impl(lambda *arrays, **options: jax.jit(primitive.bind)(*arrays, **options))
  mlir.register_lowering(primitive, mlir.lower_fun(function, multiple_results=False))
  flops.made_of(primitive, function)
  return primitive


# Operations of their own, as what mapping makes of them is: examples of one kernel become more
# examples of one convolution, and the gradient by it, a sum over examples, follows from that. They
# are linear in each argument, so that derivatives of any order are made of the two.
_CONV = _primitive('vae_jax_convolution', _examples)
_GRADIENT = _primitive('vae_jax_convolution_gradient', _gradient)


def _turned(kernel: Array) -> Array:
  return jnp.flip(kernel, (0, 1)).swapaxes(2, 3)


ad.defbilinear(
  _CONV,
  lambda g, x, kernel: _CONV.bind(g, _turned(kernel)),
  lambda g, x, kernel: _GRADIENT.bind(x, g, sizes=kernel.aval.shape[:2]),
)
ad.defbilinear(
  _GRADIENT,
  lambda k, x, g, sizes: _CONV.bind(g, _turned(k)),
  lambda k, x, g, sizes: _CONV.bind(x, k),
)


def _map_conv(arrays: Sequence[Array], axes: Sequence[int | None]) -> tuple[Array, int]:
  if axes[1] is not None:
    return _one_by_one(_CONV.bind, arrays, axes), 0
  x, kernel = jnp.moveaxis(arrays[0], axes[0], 0), arrays[1]
  y = _CONV.bind(x.reshape(math.prod(x.shape[:2]), *x.shape[2:]), kernel)
  return y.reshape(*x.shape[:2], *y.shape[1:]), 0


def _map_gradient(
  arrays: Sequence[Array], axes: Sequence[int | None], **options
) -> tuple[Array, int]:
  return _one_by_one(functools.partial(_GRADIENT.bind, **options), arrays, axes), 0


batching.primitive_batchers[_CONV] = _map_conv
batching.primitive_batchers[_GRADIENT] = _map_gradient


def _one_by_one(
  function: Callable[..., Array], arrays: Sequence[Array], axes: Sequence[int | None]
) -> Array:
  """Returns what a function makes of each place of a mapped axis, one after the other."""
  each = [
    a if axis is None else jnp.moveaxis(a, axis, 0) for a, axis in zip(arrays, axes, strict=True)
  ]
  size = next(len(a) for a, axis in zip(each, axes, strict=True) if axis is not None)
  whole = [
    jnp.broadcast_to(a, (size, *a.shape)) if axis is None else a
    for a, axis in zip(each, axes, strict=True)
  ]
  return jax.lax.map(lambda arrays: function(*arrays), tuple(whole))
