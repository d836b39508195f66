"""Encoders and decoders: layers against NumPy, shapes from the data, initialisation."""

import functools
import itertools

import jax
import latent_kinds as kinds
import numpy as np
import pytest
import scipy.signal
import scipy.special

from vae_jax import errors, networks
from vae_jax.networks import layers

pytestmark = pytest.mark.math

KEY = jax.random.key(1)


def outputs_of(net, *args):
  """Shapes of what each layer of a network leaves, by its name; no arithmetic is done."""
  make = functools.partial(net.init_with_output, capture_intermediates=True)
  _, state = jax.eval_shape(make, jax.random.key(0), *args)
  return {
    name: layer['__call__'][0].shape
    for name, layer in state['intermediates'].items()
    if name != '__call__'
  }


def randomized(net, *args, seed=0):
  """Random parameters of a network."""
  shapes = jax.eval_shape(net.init, jax.random.key(0), *args)
  return kinds.randomized(shapes, seed)


@pytest.mark.parametrize(
  ('shape', 'rows', 'columns'),
  [((50, 60), 3, None), ((50, 60), None, 4), ((50, 60), 30, 7), ((3, 2, 5, 7), None, None)],
)
def test_initial_weights_have_the_variance_of_their_active_fans(shape, rows, columns):
  """A sample variance within 5 standard errors of it; inert weights are 0; all lie within 2.3 s."""
  ends = list(zip((rows, columns), shape[-2:], strict=True))
  masks = [active and kinds.mask_of(active, size) for active, size in ends]

  @jax.jit
  @jax.vmap
  def draw(key):
    return {name: networks.initializer(name, *masks)(key, shape) for name in networks.INITS}

  fan_in, fan_out = (np.prod(shape[:-2]) * (active or size) for active, size in ends)
  variances = dict(lecun=1 / fan_in, he=2 / fan_in, glorot=2 / (fan_in + fan_out))
  for name, kernels in draw(jax.random.split(KEY, 20)).items():
    values, variance = np.ravel(kernels[..., :rows, :columns]), float(variances.pop(name))
    squares = np.square(values)
    error = float(5 * squares.std() / len(squares) ** 0.5)
    assert squares.mean() == pytest.approx(variance, abs=error)
    assert abs(values.mean()) < 5 * values.std() / len(values) ** 0.5
    assert np.abs(values).max() < 2.3 * variance**0.5
    assert not np.any(kernels[..., rows or shape[-2] :, :])
    assert not np.any(kernels[..., columns or shape[-1] :])
    assert len(np.unique(values)) > 0.9 * len(values)
  assert not variances


sigmoid = scipy.special.expit
BY_HAND = {
  'relu': lambda h: np.maximum(h, 0),
  'tanh': np.tanh,
  'gelu': lambda h: h / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3))),
  'elu': lambda h: np.where(h > 0, h, np.expm1(h)),
  'silu': lambda h: h * sigmoid(h),
  'leaky_relu': lambda h: np.where(h > 0, h, 0.01 * h),
  'softplus': lambda h: np.log1p(np.exp(h)),
  'sigmoid': sigmoid,
  'identity': lambda h: h,
  'gated': lambda h: h[: len(h) // 2] * sigmoid(h[len(h) // 2 :]),
}
H = np.linspace(-3, 3, 8, dtype='f')


@functools.cache
def activated():
  """Every activation of H, in one program."""
  functions = {name: layers.ACTIVATIONS[name] for name in networks.ACTIVATIONS}
  return jax.device_get(jax.jit(lambda h: {name: f(h) for name, f in functions.items()})(H))


@pytest.mark.parametrize('activation', networks.ACTIVATIONS)
def test_dense_layers_are_numpys_and_as_wide_as_asked(activation):
  """Behind a gate, too: two halves a sigmoid(b) of twice the width."""
  by_hand = BY_HAND[activation]
  np.testing.assert_allclose(activated()[activation], by_hand(H), rtol=1e-5, atol=1e-7)
  net = kinds.encoder(hidden=(4, 3), activation=activation)
  x = kinds.normal(0, 2, 3)
  params = randomized(net, x)
  h = np.ravel(x)
  for i in (0, 1):
    h = by_hand(kinds.dense(params['params']['mlp'][f'hidden_{i}'], h))
  assert h.shape == (3,)
  np.testing.assert_allclose(kinds.apply(net, params, x), h, rtol=1e-5, atol=1e-6)


def test_decoder_heads_are_numpys_in_their_order():
  net, mask = kinds.decoder((2, 3), num_heads=2, activation='tanh'), kinds.mask_of(2, 3)
  z = kinds.normal(0, 3)
  params = randomized(net, z, mask)
  h = np.tanh(kinds.dense(params['params']['mlp']['hidden_0'], mask * z))
  expected = kinds.dense(params['params']['output'], h).reshape(2, 2, 3)
  np.testing.assert_allclose(kinds.apply(net, params, z, mask), expected, rtol=1e-5, atol=1e-6)


@functools.cache
def features_of(conv, event, activation):
  """The shape of what an encoder leaves, however many heads the decoder has."""
  net = kinds.encoder(conv, activation=activation)
  return jax.eval_shape(net.init_with_output, KEY, np.ones(event, 'f'))[0].shape


@pytest.mark.parametrize('conv', [False, True])
@pytest.mark.parametrize('event', [(8, 8, 1), (7, 5, 3), (28, 20, 1), (1, 1, 1)])
@pytest.mark.parametrize('num_heads', [1, 2])
@pytest.mark.parametrize('activation', ['relu', 'gated'])
def test_shapes_follow_the_data(conv, event, num_heads, activation):
  net, z = kinds.decoder(event, num_heads, conv, activation=activation), np.ones(4, 'f')
  outputs, variables = jax.eval_shape(net.init_with_output, KEY, z, kinds.mask_of(3, 4))
  assert outputs.shape == (num_heads, *event)
  widths = dict(conv_0=4, output=6) if conv else dict(output=8)  # behind the activation
  for name, width in widths.items():
    assert variables['params'][name]['kernel'].shape[-2] == width
  assert features_of(conv, event, activation) == (8,)


def test_layers_of_a_published_size():
  """'valid': 8x8x1 -> 17x17x16 -> 35x35x8 -> 32x32x1, and 32 -> 15 -> 7 on the way in."""
  settings = dict(padding='valid', hidden=(), activation='relu', kernel_init='lecun')
  net = networks.ConvDecoder((32, 32, 1), 1, (1, 16, 8), (3, 3, 4), (2, 2, 1), **settings)
  shapes = outputs_of(net, np.ones(2, 'f'), np.ones(2, 'f'))
  assert shapes.pop('dense') == (1, 8, 8, 1)
  assert shapes == {'conv_0': (17, 17, 16), 'conv_1': (35, 35, 8), 'output': (32, 32, 1)}
  net = networks.ConvEncoder((16, 32), (3, 3), (2, 2), **settings)
  shapes = outputs_of(net, np.ones((32, 32, 1), 'f'))
  assert shapes == {'conv_0': (15, 15, 16), 'conv_1': (7, 7, 32), 'dense': (7 * 7 * 32,)}


@pytest.mark.parametrize(
  ('kernels', 'strides', 'padding', 'least'),
  [
    ((3, 5), (2, 2), 'same', 1),
    ((4, 3), (1, 3), 'same', 1),
    ((3, 4), (2, 1), 'valid', 2),
    ((2, 3), (3, 2), 'valid', 1),
    ((5, 10), (1, 2), 'valid', 5),  # of four pixels the first layer leaves none
  ],
)
def test_the_decoder_starts_from_the_smallest_image_that_reaches_the_event(
  kernels, strides, padding, least
):
  settings = dict(hidden=(), activation='relu', kernel_init='lecun')

  def sizes(size):
    """What the last layer leaves, and what the first one gets, for an event of this size."""
    net = networks.ConvDecoder((size, size, 1), 1, (1, 1), kernels, strides, padding, **settings)
    args = np.ones(2, 'f'), np.ones(2, 'f')
    make = functools.partial(net.init_with_output, capture_intermediates=True)
    _, state = jax.eval_shape(make, KEY, *args)
    small = state['params']['dense']['output']['bias'].shape[0] ** 0.5
    return state['intermediates']['output']['__call__'][0].shape[0], small

  reached = [sizes(size) for size in range(1, 16)]
  assert reached[0][1] == least
  assert all(large >= size for size, (large, _) in enumerate(reached, start=1))
  steps = enumerate(itertools.pairwise(reached), start=2)
  for size, ((large, small), (_, next_small)) in steps:
    # A larger image is taken where, and only where, the one before does not reach any more.
    assert (next_small > small) == (large < size)


def test_a_convolution_is_scipys():
  """Two filters, stride 2, no padding; the features are its pixels in row-major order."""
  x = kinds.normal(0, 7, 5)
  net = networks.ConvEncoder((2,), (3,), (2,), 'valid', (), 'tanh', 'lecun')
  params = randomized(net, x[..., None])
  kernel, bias = (params['params']['conv_0'][key] for key in ('kernel', 'bias'))
  expected = [
    np.tanh(scipy.signal.correlate2d(x, kernel[:, :, 0, c], 'valid')[::2, ::2] + bias[c])
    for c in (0, 1)
  ]
  np.testing.assert_allclose(
    kinds.apply(net, params, x[..., None]),
    np.stack(expected, axis=-1).ravel(),
    rtol=1e-4,
    atol=1e-5,
  )


def test_transposed_convolutions_are_scipys():
  """Pixels two apart, each spread by the kernel; then a convolution of stride 1, summed up."""
  net = networks.ConvDecoder(
    (6, 8, 1),
    1,
    (1, 2),
    (3, 2),
    (2, 1),
    'valid',
    (),
    'tanh',
    'lecun',
  )
  z, mask = kinds.normal(0, 2), kinds.mask_of(2, 2)
  params = randomized(net, z, mask)
  parts = params['params']
  apart = np.zeros((5, 7))
  apart[::2, ::2] = np.tanh(kinds.dense(parts['dense']['output'], z)).reshape(3, 4)
  first, last = parts['conv_0'], parts['output']
  expected = last['bias'][0]
  for c in (0, 1):
    h = scipy.signal.correlate2d(apart, first['kernel'][:, :, 0, c], 'full') + first['bias'][c]
    expected = expected + scipy.signal.correlate2d(np.tanh(h), last['kernel'][:, :, c, 0], 'valid')
  (output,) = kinds.apply(net, params, z, mask)
  np.testing.assert_allclose(output[..., 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('hidden', [(), (5,)])
def test_convolutions_that_leave_nothing_are_refused(hidden):
  net = networks.ConvEncoder((4, 4, 4), (3, 3, 3), (2, 2, 2), 'valid', hidden, 'relu', 'lecun')
  with pytest.raises(errors.InputError, match=r'encoder\.kernels=.* at 2 .* 1x1 pixels'):
    jax.eval_shape(net.init, KEY, np.ones((8, 8, 1), 'f'))


def test_heads_of_a_convolution_are_channels_one_behind_the_other():
  event, z, mask = (4, 3, 3), kinds.normal(0, 2), kinds.mask_of(2, 2)
  params = randomized(kinds.decoder(event, num_heads=2, conv=True), z, mask)
  both = kinds.apply(kinds.decoder(event, num_heads=2, conv=True), params, z, mask)
  for i in (0, 1):
    last = jax.tree.map(lambda leaf, i=i: leaf[..., 3 * i : 3 * i + 3], params['params']['output'])
    alone = {'params': params['params'] | {'output': last}}
    (expected,) = kinds.apply(kinds.decoder(event, conv=True), alone, z, mask)
    np.testing.assert_allclose(both[i], expected, rtol=1e-5, atol=1e-6)


def test_what_is_over_is_cropped_evenly_on_both_sides():
  """8x8 and 7x5 images have the same layers: the smaller output is the middle of the larger."""
  mask, z = kinds.mask_of(2, 2), np.array([0.7, -1.2], 'f')
  large, small = kinds.decoder((8, 8, 1), conv=True), kinds.decoder((7, 5, 1), conv=True)
  params = randomized(large, z, mask)
  whole, middle = (kinds.apply(net, params, z, mask)[0] for net in (large, small))
  np.testing.assert_array_equal(middle, whole[0:7, 1:6])
  assert np.all(whole != 0)


@pytest.mark.parametrize('conv', [False, True])
def test_output_bias_starts_the_first_head_at_the_train_mean(conv):
  event = (4, 4, 1)
  bias = (0.7,) if conv else tuple(np.linspace(-1, 1, 16))
  given = {'channel_bias' if conv else 'pixel_bias': bias}
  net, zero = kinds.decoder(event, num_heads=2, conv=conv, **given), np.zeros(2, 'f')
  mask = kinds.mask_of(2, 2)
  random = randomized(net, zero, mask)

  @jax.jit
  def started():
    biases = kinds.only(net.init(KEY, zero, mask), 'bias')
    return net.apply(kinds.replaced(random, biases), zero, mask)

  outputs = started()
  expected = np.full(event, 0.7) if conv else np.reshape(bias, event)
  np.testing.assert_allclose(outputs[0], expected, rtol=1e-6)  # z = 0 leaves the biases alone
  np.testing.assert_array_equal(outputs[1], np.zeros(event))


def test_a_linear_network_has_no_hidden_layer():
  net, mask = kinds.decoder((5,), hidden=()), kinds.mask_of(2, 2)
  params = randomized(net, mask, mask)
  assert list(params['params']) == ['output']
  z = kinds.normal(0, 2)
  expected = kinds.dense(params['params']['output'], z)
  np.testing.assert_allclose(kinds.apply(net, params, z, mask)[0], expected, rtol=1e-5, atol=1e-6)
