"""Convolutions, as matrix products and not, against XLA's own, through `flax.linen`."""

import functools
import itertools

import jax
import latent_kinds as kinds
import numpy as np
import pytest
from flax import linen as nn

from vae_jax.fast import convolutions

pytestmark = pytest.mark.math

OURS = {False: convolutions.Conv, True: convolutions.ConvTranspose}
NORMAL = nn.initializers.normal(1.0)


def pair(transposed, features, kernel, stride, padding):
  settings = dict(kernel_init=NORMAL, bias_init=NORMAL)
  ours = OURS[transposed](features, kernel, stride, padding, **settings)
  theirs = convolutions.reference(ours)
  assert type(theirs) is (nn.ConvTranspose if transposed else nn.Conv)
  return ours, theirs


# From thin to thin, from thin to thick and back: each takes its own way.
CHANNELS = itertools.cycle([(1, 2), (12, 3), (3, 12), (10, 11)])
SIZES = [(1, 2), (2, 3), (3, 1), (3, 2), (4, 2), (5, 1)]  # kernel, stride
# By default each size once, with either padding both ways, and each pair of channels; the stride of
# a transposed one is larger than its kernel, and smaller.
CASES = [
  pytest.param(
    transposed,
    ('same', 'valid')[(i + transposed) % 2],
    SIZES[i],
    next(CHANNELS),
    marks=() if transposed == (i in (1, 2)) else pytest.mark.slow,
  )
  for i, transposed in itertools.product(range(len(SIZES)), (False, True))
]


@pytest.mark.parametrize(('transposed', 'padding', 'sizes', 'channels'), CASES)
def test_outputs_and_gradients_are_those_of_xla(transposed, padding, sizes, channels):
  x = kinds.normal(0, 7, 6, channels[0])
  nets = pair(transposed, channels[1], *sizes, padding)

  @jax.jit
  def both(x):
    def weighted(net, params, x):
      y = net.apply(params, x)
      return (jax.random.normal(jax.random.key(2), y.shape) * y).sum(), y

    params = [net.init(jax.random.key(1), x) for net in nets]
    return params, [
      jax.value_and_grad(functools.partial(weighted, net), (0, 1), has_aux=True)(params[0], x)
      for net in nets
    ]

  (params, same), (found, expected) = both(x)
  assert all(jax.tree.leaves(jax.tree.map(np.array_equal, params, same)))
  assert found[0][1].size
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3), found, expected)


@pytest.mark.parametrize(('dtype', 'padding'), [('float32', 'same'), ('bfloat16', 'valid')])
@pytest.mark.parametrize('transposed', [False, True])
def test_elsewhere_than_on_a_cpu_they_are_those_of_xla(transposed, dtype, padding, monkeypatch):
  """The branch of all other platforms, computed on this one; also at half precision."""
  monkeypatch.setattr(jax.lax, 'platform_dependent', lambda *given, cpu, default: default(*given))
  x = kinds.normal(0, 7, 6, 3)
  for sizes in ((3, 2), ((4, 3), (1, 2))):
    ours, theirs = pair(transposed, 5, *sizes, padding)
    params, given = jax.tree.map(lambda a: a.astype(dtype), (ours.init(jax.random.key(1), x), x))
    found, expected = ours.apply(params, given), theirs.apply(params, given)
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize('transposed', [False, True])
def test_lanes_are_a_batch_axis(transposed):
  """Two kernels, each on three images: the way a network is mapped.

  On a CPU no convolution is left, forward and backward; elsewhere nothing but convolutions is.
  """
  ours, theirs = pair(transposed, 2, 3, 2, 'same')
  x = kinds.normal(0, 3, 6, 6, 4)
  keys = jax.random.split(jax.random.key(0), 2)
  params = jax.jit(jax.vmap(lambda key: ours.init(key, x[0])))(keys)

  def mapped(net):
    return jax.vmap(jax.vmap(net.apply, (None, 0)), (0, None))

  found, expected = jax.jit(lambda *given: [mapped(net)(*given) for net in (ours, theirs)])(
    params, x
  )
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
  loss = lambda params: mapped(ours)(params, x).sum()  # noqa: E731
  traced = jax.jit(jax.grad(loss)).trace(params)
  products, convolutions_of_xla = {}, {}
  for platform in ('cpu', 'cuda', 'tpu'):
    program = traced.lower(lowering_platforms=(platform,)).as_text()
    products[platform] = program.count('stablehlo.dot_general')
    convolutions_of_xla[platform] = program.count('stablehlo.convolution')
  assert products['cpu'] > 0 and products['cuda'] == products['tpu'] == 0
  assert convolutions_of_xla['cpu'] == 0 and convolutions_of_xla['cuda'] > 0
