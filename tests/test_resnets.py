"""Residual nets and signals: convolutions of XLA, blocks by NumPy, the law of the mask."""

import functools
import math

import jax
import jax.numpy as jnp
import latent_kinds as kinds
import numpy as np
import pytest
import scipy.signal
from flax import linen as nn

from vae_jax import flops, networks
from vae_jax.fast import layouts
from vae_jax.networks import layers, resnets

pytestmark = pytest.mark.math

KEY = jax.random.key(2)
MASK = jnp.array([1.0, 1.0, 0.0])


def init(net, *inputs):
  """Parameters as NumPy's: what is taken of them, and added, is no program of its own."""
  return jax.device_get(jax.jit(net.init)(KEY, *inputs))


def moved(params, seed=0, size=0.3):
  """Parameters of which none is 0: a block begins as the identity."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda a: a + size * rng.normal(size=a.shape).astype(np.float32), params)


@pytest.mark.parametrize('kernel', [(3, 3), (5, 1)])
def test_outputs_and_gradients_are_those_of_xla_however_they_are_mapped(kernel):
  """Two lanes of three examples; and four samples of them, as in an evaluation."""
  x, weights = map(
    jnp.asarray, (kinds.normal(0, 2, 3, 6, 5, 9), kinds.normal(1, 2, *kernel, 9, 10))
  )

  def gradients(conv):
    def of_lane(x, kernel):
      return jnp.sum(jnp.sin(jax.vmap(lambda x: conv(x, kernel))(x)))

    return jax.vmap(jax.value_and_grad(of_lane, (0, 1)))(x, weights)

  def evaluated(conv):
    samples = jnp.stack([x, 2 * x], axis=2)  # [2, 3, 2, ...]
    one = jax.vmap(jax.vmap(conv, (0, None)), (0, None))
    return jax.vmap(one)(samples, weights)

  both = jax.jit(
    lambda: [(gradients(conv), evaluated(conv)) for conv in (layouts.conv, layouts.reference)]
  )
  found, expected = both()
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), found, expected)


def test_a_gradient_that_is_mapped_is_that_of_each_example():
  """And the derivatives of a gradient, backward and forward."""
  x, kernel = jnp.asarray(kinds.normal(0, 3, 5, 4, 9)), jnp.asarray(kinds.normal(1, 3, 3, 9, 10))

  def derivatives(conv):
    def of_example(kernel, x):
      return jnp.sum(jnp.sin(conv(x, kernel)))

    mapped = jax.vmap(jax.grad(of_example), (None, 0))

    def steepness(kernel, x):
      return jnp.sum(mapped(kernel, x) ** 2)

    _, forward = jax.jvp(jax.grad(steepness, (0, 1)), (kernel, x), (kernel, x))
    return mapped(kernel, x), jax.grad(steepness, (0, 1))(kernel, x), forward

  found, expected = jax.jit(lambda: [derivatives(c) for c in (layouts.conv, layouts.reference)])()
  for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
    np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())
  one = [layouts.conv(x[0], kernel), layouts.reference(x[0], kernel)]  # outside of any program
  np.testing.assert_allclose(*one, rtol=1e-4, atol=1e-4)


def test_the_layout_is_that_of_the_platform_that_a_program_is_for():
  """Also where lanes are mapped around a gradient: not what this process computes on decides."""
  x, weights = jnp.ones((2, 3, 6, 5, 9)), jnp.ones((2, 3, 3, 9, 10))

  def loss(x, kernel):
    return jnp.sum(jnp.sin(jax.vmap(lambda x: layouts.conv(x, kernel))(x)))

  traced = jax.jit(jax.vmap(jax.grad(loss, 1))).trace(x, weights)
  texts = {
    platform: traced.lower(lowering_platforms=(platform,)).as_text() for platform in ('cpu', 'tpu')
  }
  barriers, loops = ({p: text.count(word) for p, text in texts.items()} for word in _OF_LAYOUTS)
  assert barriers['cpu'] > 0 and loops['cpu'] > 0
  assert barriers['tpu'] == loops['tpu'] == 0


_OF_LAYOUTS = 'optimization_barrier', 'stablehlo.while'  # lanes that follow one another


def correlated(x, kernel, bias):
  """A convolution of one image by SciPy, [H, W, C']."""
  maps = [
    sum(
      scipy.signal.correlate2d(x[..., c], kernel[..., c, f], mode='same')
      for c in range(x.shape[-1])
    )
    for f in range(kernel.shape[-1])
  ]
  return np.stack(maps, axis=-1) + bias


def normalised(x, params):
  """Group normalisation by NumPy."""
  groups = math.gcd(8, x.shape[-1])
  parts = x.reshape(*x.shape[:2], groups, -1)
  mean, variance = (
    getattr(np, name)(parts, axis=(0, 1, 3), keepdims=True) for name in ('mean', 'var')
  )
  y = ((parts - mean) / np.sqrt(variance + 1e-5)).reshape(x.shape)
  scale, bias = (params['GroupNorm_0'][name] for name in ('scale', 'bias'))
  return y * scale + bias


def silu(x):
  return x / (1 + np.exp(-x))


def block_by_hand(params, x):
  h = np.float64(x)
  for i in range(2):
    h = silu(normalised(h, params[f'norm_{i}']))
    h = correlated(h, params[f'conv_{i}']['kernel'], params[f'conv_{i}']['bias'])
  return h + (x @ params['skip']['kernel'] if 'skip' in params else x)


def test_a_block_is_norms_and_convolutions_beside_its_input():
  x = kinds.normal(3, 5, 4, 16).astype(np.float32)
  block = resnets.Block(24, 'silu', 'he')
  start = jax.device_get(jax.jit(lambda: block.init(KEY, x, (5, 4)))())
  params = moved(start)

  apply = jax.jit(lambda params, x: block.apply(params, x, (5, 4)))
  for given in (x, 1e-3 * x):  # whose variance is far above what a norm adds to it, and far below
    expected = block_by_hand(params['params'], given)
    np.testing.assert_allclose(apply(params, given), expected, rtol=1e-3, atol=2e-3)
  np.testing.assert_allclose(
    apply(start, x), x @ start['params']['skip']['kernel'], rtol=1e-4, atol=1e-5
  )


def test_stored_parameters_are_called_by_whether_there_are_few_channels():
  """Up to 8 on either side: a net that is stored is read by these names."""
  encoder = networks.ResNetEncoder(widths=(8, 9))
  params = jax.eval_shape(encoder.init, KEY, np.zeros((4, 4, 3), 'f'))['params']
  convs = {'input': params['input']} | {
    f'{block} {name}': params[block][name]
    for block in ('block_0_0', 'block_1_0')
    for name in ('conv_0', 'conv_1')
  }
  few = {name for name, found in convs.items() if set(found) == {'few'}}
  assert few == convs.keys() - {'block_1_0 conv_1'}  # from 9 to 9
  assert set(convs['block_1_0 conv_1']) == {'kernel', 'bias'}


def test_nets_are_blocks_then_a_norm_and_an_activation():
  """By NumPy and SciPy, down to one pixel and up again: kernels are as wide at every level."""
  event, x, z = (2, 2, 9), kinds.normal(4, 2, 2, 9), kinds.normal(5, 3)
  encoder = networks.ResNetEncoder(widths=(16, 24), activation='silu')
  decoder = networks.ResNetDecoder(event, 2, widths=(24, 16), activation='silu')
  nets = [(encoder, (x,)), (decoder, (z, np.ones(3, 'f')))]
  params = [kinds.randomized(jax.eval_shape(net.init, KEY, *given), 0) for net, given in nets]
  found = jax.jit(
    lambda params: [
      net.apply(each, *given) for each, (net, given) in zip(params, nets, strict=True)
    ]
  )(params)
  first, second = (each['params'] for each in params)
  for each in (first, second):
    blocks = each['block_0_0'], each['block_1_0']
    assert [block['conv_0']['kernel'].shape[:2] for block in blocks] == [(3, 3), (3, 3)]
  h = block_by_hand(first['block_0_0'], correlated(x, **first['input']))
  h = block_by_hand(first['block_1_0'], h.mean(axis=(0, 1), keepdims=True))
  expected = silu(normalised(h, first['norm'])).ravel()
  np.testing.assert_allclose(found[0], expected, rtol=1e-3, atol=2e-3)
  h = block_by_hand(second['block_0_0'], kinds.dense(second['dense']['output'], z)[None, None])
  h = block_by_hand(second['block_1_0'], np.tile(h, (2, 2, 1)))
  h = correlated(silu(normalised(h, second['norm'])), **second['output'])
  expected = np.stack([h[..., :9], h[..., 9:]])
  np.testing.assert_allclose(found[1], expected, rtol=1e-3, atol=2e-3)


def test_levels_are_halved_and_doubled_whatever_the_size():
  x = np.arange(10.0, dtype=np.float32).reshape(5, 2, 1)
  line = x[:, :1]

  @jax.jit
  def computed(x, line):
    found = resnets._halved(x)
    lines = resnets._halved(line), resnets._doubled(line, (9, 1))
    return found, resnets._doubled(found, (5, 2)), *lines

  found, again, half, double = computed(x, line)
  expected = [[(0 + 1 + 2 + 3) / 4], [(4 + 5 + 6 + 7) / 4], [(8 + 9) / 2]]
  np.testing.assert_allclose(found[..., 0], expected)
  np.testing.assert_allclose(again[..., 0], np.repeat(np.repeat(expected, 2, 0), 2, 1)[:5])
  assert half.shape == (3, 1, 1)
  assert double.shape == (9, 1, 1)


@pytest.mark.parametrize('event', [(7, 5, 3), (9, 2), (6, 6, 1)])
def test_nets_are_of_one_example_of_any_size(event):
  encoder = networks.ResNetEncoder(widths=(8, 16), blocks=1)
  decoder = networks.ResNetDecoder(event, 2, widths=(16, 8), channel_bias=(0.5,) * event[-1])
  x = kinds.normal(0, *event).astype(np.float32)

  h, _ = jax.eval_shape(encoder.init_with_output, KEY, x)
  outputs, params = jax.jit(decoder.init_with_output)(KEY, np.zeros(3, 'f'), MASK)
  small = [-(-size // 2) if size > 1 else 1 for size in event[:-1]]
  assert h.shape == (np.prod(small) * 16,)
  assert outputs.shape == (2, *event)
  kernel = params['params']['output']['few']['kernel']
  assert kernel.shape[:2] == (3, 3 if len(event) == 3 else 1)
  # At z = 0 all is 0 but the bias, as biases and the second convolutions begin at 0.
  np.testing.assert_allclose(outputs[0], 0.5, atol=1e-6)
  np.testing.assert_allclose(outputs[1], 0, atol=1e-6)


NETS = {
  'resnet': lambda: networks.ResNetDecoder((6, 5, 1), 1, widths=(16, 8)),
  'norm': lambda: networks.MlpDecoder((4,), 1, (5, 5), norm='layer', residual=True),
  'signal': lambda: networks.ConvDecoder((9, 2), 1, (3, 4), (4, 3), (2, 1)),
}


@pytest.mark.parametrize('name', NETS)
def test_inert_latents_change_nothing_and_a_padded_net_draws_the_same_weights(name):
  net, z = NETS[name](), kinds.normal(1, 3).astype(np.float32)

  @jax.jit
  def computed():
    wide = net.init(KEY, jnp.zeros(3), MASK)
    narrow = net.init(KEY, jnp.zeros(2), MASK[:2])

    def squares(params):
      outputs = net.apply(params, z, MASK)
      return jnp.sum(jnp.square(outputs)), outputs

    grads, outputs = jax.grad(squares, has_aux=True)(wide)
    others = net.apply(wide, jnp.asarray(z).at[2].set(9.0), MASK)
    return wide, narrow, grads, [outputs, others, net.apply(narrow, z[:2], MASK[:2])]

  wide, narrow, grads, (found, others, expected) = computed()
  np.testing.assert_array_equal(found, others)
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
  differing = [
    (a, b, g)
    for a, b, g in zip(*map(jax.tree.leaves, (wide, narrow, grads)), strict=True)
    if a.shape != b.shape
  ]
  assert len(differing) == 1  # the first kernel
  kernel, unpadded, gradient = differing[0]
  np.testing.assert_array_equal(kernel[:2], unpadded)
  assert not kernel[2:].any() and not gradient[2:].any()


def test_a_layer_of_an_mlp_is_normalised_and_residual_where_it_is_as_wide():
  x = kinds.normal(4, 6).astype(np.float32)
  net = networks.MlpEncoder((5, 5), 'tanh', norm='layer', residual=True)
  params = moved(init(net, x))
  h = np.float64(x)
  layers_of = params['params']['mlp']
  for i in range(2):
    y = kinds.dense(layers_of[f'hidden_{i}'], h)
    y = (y - y.mean()) / np.sqrt(y.var() + 1e-6)
    y = np.tanh(y * layers_of[f'norm_{i}']['scale'] + layers_of[f'norm_{i}']['bias'])
    h = h + y if i else y
  np.testing.assert_allclose(jax.jit(net.apply)(params, x), h, rtol=1e-4, atol=1e-5)


def test_latents_are_not_added_to_a_layer_that_is_as_wide_as_they_are():
  """A padded lane has more of them, and would have another net."""
  z, mask = kinds.normal(4, 3), np.ones(3, 'f')
  net = networks.MlpDecoder((4,), 1, (3, 3), 'tanh', residual=True)
  params = moved(init(net, z, mask))
  first, second = (params['params']['mlp'][f'hidden_{i}'] for i in range(2))
  h = np.tanh(kinds.dense(first, z))
  h = h + np.tanh(kinds.dense(second, h))
  expected = kinds.dense(params['params']['output'], h)
  np.testing.assert_allclose(jax.jit(net.apply)(params, z, mask)[0], expected, rtol=1e-4, atol=1e-5)


def test_the_options_of_an_mlp_are_off():
  x = kinds.normal(4, 6).astype(np.float32)
  plain = networks.MlpEncoder((6, 6), 'tanh')
  wanted = layers.Mlp((6, 6), 'tanh', 'lecun')
  found, expected = (jax.eval_shape(net.init, KEY, x)['params'] for net in (plain, wanted))
  assert jax.tree.structure(found['mlp']) == jax.tree.structure(expected)


@pytest.mark.parametrize('transposed', [False, True])
def test_a_convolution_of_a_signal_has_one_axis(transposed):
  """Flax's own, of [T, C]; the decoder of a signal computes no columns that it throws away."""
  x = kinds.normal(0, 9, 3).astype(np.float32)
  if transposed:
    net = networks.ConvDecoder((9, 3), 1, (4,), (5,), (2,))
    params = init(net, jnp.zeros(2), jnp.ones(2))
    z = kinds.normal(1, 2).astype(np.float32)
    small = kinds.dense(params['params']['dense']['output'], z).reshape(5, 4)
    theirs, kernel = nn.ConvTranspose(3, (5,), (2,), 'SAME'), params['params']['output']
    found = jax.jit(lambda: net.apply(params, z, jnp.ones(2)))()[0]
    h, first = np.maximum(small, 0), (10 - 9) // 2
  else:
    net = networks.ConvEncoder((4,), (5,), (2,))
    params = init(net, x)
    theirs, kernel, h = nn.Conv(4, (5,), (2,), 'SAME'), params['params']['conv_0'], x
    found, first = jax.jit(net.apply)(params, x).reshape(5, 4), 0
  squeezed = {'params': {'kernel': kernel['kernel'][:, 0], 'bias': kernel['bias']}}
  expected = jax.jit(theirs.apply)(squeezed, h)
  expected = expected[first : first + 9] if transposed else np.maximum(expected, 0)
  assert kernel['kernel'].shape[1] == 1
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_half_precision_is_half_as_wide_all_the_way():
  """Nothing goes back to float32 within a net: bfloat16 in, bfloat16 out, and near the same."""
  encoder = networks.ResNetEncoder(widths=(16, 16))
  x = kinds.normal(0, 8, 8, 3).astype(np.float32)
  params = moved(init(encoder, x), size=0.1)
  half = functools.partial(jax.tree.map, lambda leaf: leaf.astype(jnp.bfloat16))
  found = jax.jit(lambda: encoder.apply(half(params), x.astype(jnp.bfloat16)))()
  assert found.dtype == jnp.bfloat16
  expected = jax.jit(encoder.apply)(params, x)
  assert np.abs(np.float32(found) - expected).mean() < 0.05 * np.abs(expected).mean()


def test_operations_of_the_layout_are_counted():
  """Of the value, and as many for each of the two gradients."""
  x, kernel = jnp.ones((3, 6, 5, 9)), jnp.ones((3, 3, 9, 10))

  def value(x, kernel):
    return jnp.sum(jax.vmap(lambda x: layouts.conv(x, kernel))(x))

  once = 2 * 3 * 6 * 5 * 9 * 9 * 10
  assert flops.count(value, x, kernel, platform='cpu') == once
  assert flops.count(jax.value_and_grad(value, (0, 1)), x, kernel, platform='cpu') == 3 * once
