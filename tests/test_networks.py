"""Networks: layers against NumPy, shapes from the data, masks, initialisation, the whole model."""

import functools
import itertools

import jax
import jax.numpy as jnp
import latent_kinds as kinds
import numpy as np
import pytest
import scipy.signal
import scipy.special

from vae_jax import densities, errors, networks
from vae_jax.networks import layers

CONV = dict(channels=(4, 6), kernels=(3, 5), strides=(2, 2), padding='same')
DENSE = dict(hidden=(8,), activation='relu', kernel_init='lecun')
KEY = jax.random.key(1)
# A posterior and a prior that go together; every kind is in one of the pairs.
PAIRS = {
  'diagonal': 'vamp',
  'full_covariance': 'mixture',
  'flow': 'flow',
  'two_layer': 'two_layer',
  'two_layer_linear': 'two_layer_linear',
}


def decoder(event, num_heads=1, conv=False, output_bias=(), **settings):
  settings = DENSE | settings
  extra = dict(event=event, num_heads=num_heads, output_bias=output_bias)
  if conv:
    return networks.ConvDecoder(**CONV | settings, **extra)
  return networks.MlpDecoder(**settings, **extra)


def encoder(conv=False, **settings):
  settings = DENSE | settings
  return networks.ConvEncoder(**CONV | settings) if conv else networks.MlpEncoder(**settings)


def pair(name, event=kinds.EVENT, conv=False):
  """A model with this posterior, and the number of latents below the mask's end."""
  lower = kinds.LOWER if name.startswith('two_layer') else 0
  prior = networks.vamp(3, event, True) if name == 'diagonal' else kinds.PRIORS[PAIRS[name]]
  model = networks.make_model(
    encoder(conv, hidden=(3,), activation='tanh'),
    kinds.POSTERIORS[name],
    prior,
    decoder(event, conv=conv),
    densities.bernoulli(),
    event,
    lower_size=lower,
  )
  return model, lower


def outputs_of(net, *args):
  """Shapes of what each layer of a network leaves, by its name; no arithmetic is done."""
  make = functools.partial(net.init_with_output, capture_intermediates=True)
  _, state = jax.eval_shape(make, jax.random.key(0), *args)
  return {
    name: layer['__call__'][0].shape
    for name, layer in state['intermediates'].items()
    if name != '__call__' and not isinstance(layer['__call__'][0], tuple)
  }


def randomized(net, *args, seed=0):
  """Random parameters of a network."""
  shapes = jax.eval_shape(net.init, jax.random.key(0), *args)
  return kinds.randomized(shapes, seed)


def dense(params, h):
  return h @ params['kernel'] + params['bias']


@pytest.mark.parametrize(
  ('shape', 'rows', 'columns'),
  [((50, 60), 3, None), ((50, 60), None, 4), ((50, 60), 30, 7), ((3, 2, 5, 7), None, None)],
)
def test_initial_weights_have_the_variance_of_their_active_fans(shape, rows, columns):
  """A sample variance within 5 standard errors of it; inert weights are 0; all lie within 2.3 s."""
  ends = list(zip((rows, columns), shape[-2:], strict=True))
  masks = [active and kinds.mask_of(active, size) for active, size in ends]

  @kinds.jit
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


H = np.linspace(-3, 3, 8, dtype='f')
SIGMOID = scipy.special.expit(H)
BY_HAND = {
  'relu': np.maximum(H, 0),
  'tanh': np.tanh(H),
  'gelu': H / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (H + 0.044715 * H**3))),
  'elu': np.where(H > 0, H, np.expm1(H)),
  'silu': H * SIGMOID,
  'leaky_relu': np.where(H > 0, H, 0.01 * H),
  'softplus': np.log1p(np.exp(H)),
  'sigmoid': SIGMOID,
  'gated': H[:4] * SIGMOID[4:],
}


@pytest.mark.parametrize('activation', networks.ACTIVATIONS)
def test_dense_layers_are_numpys_and_as_wide_as_asked(activation):
  """Behind a gate, too: two halves a sigmoid(b) of twice the width."""
  np.testing.assert_allclose(
    layers.ACTIVATIONS[activation](H), BY_HAND[activation], rtol=1e-5, atol=1e-7
  )
  net = encoder(hidden=(4, 3), activation=activation)
  x = kinds.normal(0, 2, 3)
  params = randomized(net, x)
  h = np.ravel(x)
  for i in (0, 1):
    h = dense(params['params']['mlp'][f'hidden_{i}'], h)
    if activation == 'gated':
      h = np.prod([h[: len(h) // 2], scipy.special.expit(h[len(h) // 2 :])], axis=0)
    else:
      h = np.asarray(layers.ACTIVATIONS[activation](h))
  assert h.shape == (3,)
  np.testing.assert_allclose(net.apply(params, x), h, rtol=1e-5, atol=1e-6)


def test_decoder_heads_are_numpys_in_their_order():
  net, mask = decoder((2, 3), num_heads=2, activation='tanh'), kinds.mask_of(2, 3)
  z = kinds.normal(0, 3)
  params = randomized(net, z, mask)
  h = np.tanh(dense(params['params']['mlp']['hidden_0'], mask * z))
  expected = dense(params['params']['output'], h).reshape(2, 2, 3)
  np.testing.assert_allclose(net.apply(params, z, mask), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('conv', [False, True])
@pytest.mark.parametrize('event', [(8, 8, 1), (7, 5, 3), (28, 20, 1), (1, 1, 1)])
@pytest.mark.parametrize('num_heads', [1, 2])
@pytest.mark.parametrize('activation', ['relu', 'gated'])
def test_shapes_follow_the_data(conv, event, num_heads, activation):
  net, z = decoder(event, num_heads, conv, activation=activation), np.ones(4, 'f')
  outputs, _ = jax.eval_shape(net.init_with_output, KEY, z, kinds.mask_of(3, 4))
  assert [output.shape for output in outputs] == [event] * num_heads
  net = encoder(conv, activation=activation)
  features, _ = jax.eval_shape(net.init_with_output, KEY, np.ones(event, 'f'))
  assert features.shape == (8,)


def test_layers_of_a_published_size():
  """'valid': 8x8x1 -> 17x17x16 -> 35x35x8 -> 32x32x1, and 32 -> 15 -> 7 on the way in."""
  settings = dict(padding='valid', hidden=(), activation='relu', kernel_init='lecun')
  net = networks.ConvDecoder(
    (1, 16, 8), (3, 3, 4), (2, 2, 1), event=(32, 32, 1), num_heads=1, output_bias=(), **settings
  )
  shapes = outputs_of(net, np.ones(2, 'f'), np.ones(2, 'f'))
  assert shapes == {'conv_0': (17, 17, 16), 'conv_1': (35, 35, 8), 'output': (32, 32, 1)}
  params = jax.eval_shape(net.init, KEY, np.ones(2, 'f'), np.ones(2, 'f'))['params']
  assert params['dense']['output']['kernel'].shape == (2, 8 * 8 * 1)
  net = networks.ConvEncoder((16, 32), (3, 3), (2, 2), **settings)
  shapes = outputs_of(net, np.ones((32, 32, 1), 'f'))
  assert shapes == {'conv_0': (15, 15, 16), 'conv_1': (7, 7, 32), 'dense': (7 * 7 * 32,)}


@pytest.mark.parametrize(
  ('kernels', 'strides', 'padding'),
  [
    ((3, 5), (2, 2), 'same'),
    ((4, 3), (1, 3), 'same'),
    ((3, 4), (2, 1), 'valid'),
    ((2, 3), (3, 2), 'valid'),
    ((5, 10), (1, 2), 'valid'),
  ],
)
def test_the_decoder_starts_from_the_smallest_image_that_reaches_the_event(
  kernels, strides, padding
):
  settings = dict(hidden=(), activation='relu', kernel_init='lecun', num_heads=1, output_bias=())

  def sizes(size):
    """What the last layer leaves, and what the first one gets, for an event of this size."""
    net = networks.ConvDecoder((1, 1), kernels, strides, padding, event=(size, size, 1), **settings)
    args = np.ones(2, 'f'), np.ones(2, 'f')
    params = jax.eval_shape(net.init, KEY, *args)['params']
    small = params['dense']['output']['bias'].shape[0] ** 0.5
    return outputs_of(net, *args)['output'][0], small

  reached = [sizes(size) for size in range(1, 25)]
  assert all(large >= size for size, (large, _) in enumerate(reached, start=1))
  steps = enumerate(itertools.pairwise(reached), start=2)
  for size, ((large, small), (_, next_small)) in steps:
    # A larger image is taken where, and only where, the one before does not reach any more.
    assert (next_small > small) == (large < size)


def test_a_convolution_is_scipys():
  """One filter, stride 2, no padding; then both channels of the last layer in row-major order."""
  x = kinds.normal(0, 7, 5)
  net = networks.ConvEncoder((2,), (3,), (2,), 'valid', (), 'tanh', 'lecun')
  params = randomized(net, x[..., None])
  kernel, bias = (params['params']['conv_0'][key] for key in ('kernel', 'bias'))
  expected = [
    np.tanh(scipy.signal.correlate2d(x, kernel[:, :, 0, c], 'valid')[::2, ::2] + bias[c])
    for c in (0, 1)
  ]
  np.testing.assert_allclose(
    net.apply(params, x[..., None]), np.stack(expected, axis=-1).ravel(), rtol=1e-4, atol=1e-5
  )


@pytest.mark.parametrize('hidden', [(), (5,)])
def test_convolutions_that_leave_nothing_are_refused(hidden):
  net = networks.ConvEncoder((4, 4, 4), (3, 3, 3), (2, 2, 2), 'valid', hidden, 'relu', 'lecun')
  with pytest.raises(errors.InputError, match=r'encoder\.kernels=.* at 2 .* 1x1 pixels'):
    jax.eval_shape(net.init, KEY, np.ones((8, 8, 1), 'f'))


def test_what_is_over_is_cropped_evenly_on_both_sides():
  """8x8 and 7x5 images have the same layers: the smaller output is the middle of the larger."""
  mask, z = kinds.mask_of(2, 2), np.array([0.7, -1.2], 'f')
  large, small = decoder((8, 8, 1), conv=True), decoder((7, 5, 1), conv=True)
  params = randomized(large, z, mask)
  whole, middle = (net.apply(params, z, mask)[0] for net in (large, small))
  np.testing.assert_array_equal(middle, whole[0:7, 1:6])
  assert np.all(whole != 0)


@pytest.mark.parametrize('conv', [False, True])
def test_output_bias_starts_the_first_head_at_the_train_mean(conv):
  event = (4, 4, 1)
  bias = (0.7,) if conv else tuple(np.linspace(-1, 1, 16))
  net, zero = decoder(event, num_heads=2, conv=conv, output_bias=bias), np.zeros(2, 'f')
  mask = kinds.mask_of(2, 2)
  biases = kinds.jit(lambda: kinds.only(net.init(KEY, zero, mask), 'bias'))()
  outputs = net.apply(kinds.replaced(randomized(net, zero, mask), biases), zero, mask)
  expected = np.full(event, 0.7) if conv else np.reshape(bias, event)
  np.testing.assert_allclose(outputs[0], expected, rtol=1e-6)  # z = 0 leaves the biases alone
  np.testing.assert_array_equal(outputs[1], np.zeros(event))


def test_a_linear_network_has_no_hidden_layer():
  net, mask = decoder((5,), hidden=()), kinds.mask_of(2, 2)
  params = randomized(net, mask, mask)
  assert list(params['params']) == ['output']
  z = kinds.normal(0, 2)
  expected = dense(params['params']['output'], z)
  np.testing.assert_allclose(net.apply(params, z, mask)[0], expected, rtol=1e-5, atol=1e-6)


def test_a_diagonal_posterior_is_two_dense_layers():
  network, mask = kinds.POSTERIORS['diagonal'], kinds.mask_of(2, 3)
  params = kinds.posterior_params(network, mask)
  loc, log_scale = (dense(params['params'][key], kinds.FEATURES) for key in ('loc', 'log_scale'))
  q = kinds.posterior(network, params, mask)
  np.testing.assert_allclose(q.loc, mask * loc, rtol=1e-5)
  np.testing.assert_allclose(q.scale, np.exp(mask * log_scale), rtol=1e-5)


def test_a_full_posterior_adds_a_lower_triangle_and_starts_diagonal():
  network, mask = kinds.POSTERIORS['full_covariance'], kinds.mask_of(3, 4)
  params = kinds.posterior_params(network, mask)
  q = kinds.posterior(network, params, mask)
  base = kinds.posterior(kinds.POSTERIORS['diagonal'], params['diagonal'], mask)
  below = np.tril(np.einsum('h,hij->ij', kinds.FEATURES, params['below']), -1)
  below *= np.outer(mask, mask)
  np.testing.assert_allclose(q.triangle, np.diag(base.scale) + below, rtol=1e-5, atol=1e-7)
  np.testing.assert_array_equal(q.loc, base.loc)
  assert np.sum(q.triangle != 0) == 4 + 3
  start = kinds.jit(lambda: network.init(KEY, kinds.FEATURES, mask)['below'])()
  assert not np.any(start)


@pytest.mark.parametrize('name', ['two_layer', 'two_layer_linear'])
def test_two_layers_are_dense_layers_and_heads(name):
  """q(z_1 | x) and q(z_2 | z_1) of the posterior, p(z_1 | z_2) of the prior, by NumPy."""
  mask = kinds.mask_of(kinds.LOWER + 2, kinds.LOWER + 3)
  upper_mask = mask[kinds.LOWER :]

  def by_hand(params, given):
    h = given
    for layer in params['mlp'].get('params', {}).values():
      h = np.tanh(dense(layer, h))
    return [dense(params['head']['params'][key], h) for key in ('loc', 'log_scale')]

  network = kinds.POSTERIORS[name]
  params = kinds.posterior_params(network, mask)
  q = kinds.posterior(network, params, mask)
  np.testing.assert_allclose(
    q.lower.loc, dense(params['lower']['params']['loc'], kinds.FEATURES), rtol=1e-5
  )
  z_1, z_2 = kinds.normal(1, kinds.LOWER), kinds.normal(2, 3)
  loc, log_scale = by_hand(params['upper'], z_1)
  upper = q.upper(z_1)
  np.testing.assert_allclose(upper.loc, upper_mask * loc, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(upper.scale, np.exp(upper_mask * log_scale), rtol=1e-4)
  network = kinds.PRIORS[name]
  params = kinds.prior_params(network, mask)
  p = kinds.prior(network, params, mask)
  loc, log_scale = by_hand(params, upper_mask * z_2)
  lower = p.make(p.params, z_2, upper_mask)
  np.testing.assert_allclose(lower.loc, loc, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(lower.scale, np.exp(log_scale), rtol=1e-4)


@pytest.mark.parametrize(
  ('name', 'event', 'conv', 'parts'),
  [
    *((name, kinds.EVENT, False, ('posterior', 'prior')) for name in PAIRS),
    ('diagonal', kinds.EVENT, False, ('decoder',)),
    ('diagonal', (8, 8, 1), True, ('decoder',)),
  ],
  ids=[*PAIRS, 'decoder', 'convolutional decoder'],
)
def test_a_padded_model_starts_with_the_very_weights_of_the_unpadded_one(name, event, conv, parts):
  """And every seed has weights of its own."""
  model, lower = pair(name, event, conv)
  init = kinds.jit(lambda *args: {part: model.init(*args)[part] for part in parts})
  small, padded, other = (
    init(jax.random.key(seed), kinds.mask_of(lower + 2, lower + size))
    for seed, size in ((1, 2), (1, 5), (2, 2))
  )
  assert jax.tree.structure(small) == jax.tree.structure(padded)

  def check(path, one, two):
    active = tuple(slice(0, size) for size in one.shape)
    np.testing.assert_allclose(two[active], one, rtol=1e-6, err_msg=jax.tree_util.keystr(path))
    rest = np.array(two)
    rest[active] = 0
    assert not np.any(rest), path

  jax.tree_util.tree_map_with_path(check, small, padded)
  for one, two in zip(*map(jax.tree.leaves, (small, other)), strict=True):
    assert np.any(one != two) == np.any(one)


@pytest.mark.parametrize('name', PAIRS)
def test_inert_weights_get_no_gradient_and_active_ones_do(name):
  """Of every term of the bound, at weights that are not 0."""
  model, lower = pair(name)
  mask = kinds.mask_of(lower + 2, lower + 4)
  shapes, active = (
    jax.eval_shape(model.init, KEY, kinds.mask_of(lower + 2, lower + size)) for size in (4, 2)
  )
  params = kinds.randomized(shapes, 0)
  x, noise = np.float32([1, 0, 1, 1, 0]), kinds.normal(0, mask.size)

  @kinds.jit
  @jax.grad
  def gradient(params):
    z, log_q = model.encode(params, x, mask).sample(noise)
    log_p = model.prior(params, mask).log_prob(z)
    return model.decode(params, z, mask).log_prob(x) + 2 * jnp.sum(log_p) - 3 * jnp.sum(log_q)

  def check(path, leaf, few):
    rest, front = np.array(leaf), tuple(slice(0, size) for size in few.shape)
    assert np.any(rest[front]), path
    rest[front] = 0
    assert not np.any(rest), path

  jax.tree_util.tree_map_with_path(check, gradient(params), active)


def test_inert_latents_have_the_posterior_of_the_prior_and_no_effect():
  mask = kinds.mask_of(2, 6)
  model, _ = pair('diagonal')
  params = kinds.randomized(jax.eval_shape(model.init, KEY, mask), 0)
  posterior = model.encode(params, np.ones(5, 'f'), mask)
  np.testing.assert_array_equal(posterior.loc[2:], 0)
  np.testing.assert_array_equal(posterior.scale[2:], 1)
  z = np.arange(6.0, dtype='f')
  decode = kinds.jit(lambda z: model.decode(params, z, mask).mean())
  np.testing.assert_array_equal(decode(z), decode(z + 100 * (1 - mask)))
  assert np.any(decode(z) != decode(z + mask))


def test_with_two_layers_the_decoder_sees_the_lower_one_only():
  model, lower = pair('two_layer')
  mask = kinds.mask_of(lower + 2, lower + 2)
  params = kinds.randomized(jax.eval_shape(model.init, KEY, mask), 0)
  kernel = params['decoder']['params']['mlp']['hidden_0']['kernel']
  assert kernel.shape == (lower, 8)
  z = kinds.normal(0, lower + 2)
  expected = decoder(kinds.EVENT).apply(params['decoder'], z[:lower], np.ones(lower, 'f'))
  logits = model.decode(params, z, mask).distribution.logits
  np.testing.assert_allclose(logits, expected[0], rtol=1e-6)


def simple_model(likelihood, input_scale=1.0, event=(5,)):
  prior = networks.vamp(3, event, unit=True)
  return networks.make_model(
    encoder(), networks.diagonal('lecun'), prior, decoder(event), likelihood, event, input_scale
  )


def test_the_encoder_sees_x_over_the_input_scale():
  """So do the pseudo-inputs of the VampPrior, which lie in (0, 1) of that scale."""
  mask, x = kinds.mask_of(2, 2), kinds.normal(0, 5)
  models = [simple_model(densities.bernoulli(), scale) for scale in (1.0, 255.0)]
  params = kinds.randomized(jax.eval_shape(models[0].init, KEY, mask), 0)
  one, other = (
    model.encode(params, scale * x, mask) for model, scale in zip(models, (1.0, 255.0), strict=True)
  )
  features = encoder().apply(params['encoder'], x)
  expected = networks.diagonal('lecun').make(params['posterior'], features, mask)
  for posterior in (one, other):
    np.testing.assert_allclose(posterior.loc, expected.loc, rtol=1e-4, atol=1e-6)
  u = [
    model.encode(params, scipy.special.expit(params['prior'][0]) * scale, mask).loc
    for model, scale in zip(models, (1.0, 255.0), strict=True)
  ]
  for model, loc in zip(models, u, strict=True):
    np.testing.assert_allclose(model.prior(params, mask).components.loc[0], loc, rtol=1e-4)
  np.testing.assert_allclose(*u, rtol=1e-4)


def test_shared_scale_is_one_learned_number():
  model = simple_model(densities.gaussian('shared', 1.0, 0.01, 'identity'))
  mask = kinds.mask_of(2, 2)
  (start,) = kinds.jit(lambda: model.init(KEY, mask)['likelihood'])()
  assert start.shape == () and start == 0
  params = kinds.randomized(jax.eval_shape(model.init, KEY, mask), 0)
  gradient = kinds.jit(
    jax.grad(lambda p: model.decode(p, jnp.ones(2), mask).log_prob(jnp.ones(5)))
  )(params)
  assert gradient['likelihood'][0] != 0


def test_shared_numbers_stand_behind_the_heads_and_are_refitted_with_the_size_of_the_event():
  mask, event = kinds.mask_of(2, 2), (2, 3)
  shared = (np.float32(7), np.float32(8))
  fake = densities.bernoulli()._replace(
    num_shared=2, make=lambda outputs: outputs, refit=lambda *args: args
  )
  model = simple_model(fake, event=event)
  params = kinds.randomized(jax.eval_shape(model.init, KEY, mask), 0) | {'likelihood': shared}
  outputs = model.decode(params, np.ones(2, 'f'), mask)
  assert outputs[0].shape == event
  assert outputs[1:] == shared
  assert model.refit(params, -3.5) == (-3.5, 6, shared)
  assert simple_model(densities.bernoulli()).refit is None
