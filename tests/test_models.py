"""The latent side of the networks against NumPy, and the model of all the parts."""

import jax
import jax.numpy as jnp
import latent_kinds as kinds
import numpy as np
import pytest
import scipy.special

from vae_jax import densities, networks

pytestmark = pytest.mark.math

KEY = jax.random.key(1)
# A posterior and a prior that go together; every kind is in one of the pairs.
PAIRS = {
  'diagonal': 'vamp',
  'full_covariance': 'mixture',
  'flow': 'flow',
  'two_layer': 'two_layer',
  'two_layer_linear': 'two_layer_linear',
}


def pair(name, event=kinds.EVENT, conv=False, hidden=(8,)):
  """A model with this posterior, and the number of latents below the mask's end."""
  lower = kinds.LOWER if name.startswith('two_layer') else 0
  prior = networks.vamp(event, 'unit', 3) if name == 'diagonal' else kinds.PRIORS[PAIRS[name]]
  model = networks.make_model(
    kinds.encoder(conv, hidden=(3,), activation='tanh'),
    kinds.POSTERIORS[name],
    prior,
    kinds.decoder(event, conv=conv, hidden=hidden),
    densities.bernoulli(),
    event,
    lower_size=lower,
  )
  return model, lower


def test_a_diagonal_posterior_is_two_dense_layers():
  network, mask = kinds.POSTERIORS['diagonal'], kinds.mask_of(2, 3)
  params = kinds.posterior_params(network, mask)
  loc, log_scale = (
    kinds.dense(params['params'][key], kinds.FEATURES) for key in ('loc', 'log_scale')
  )
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
  start = jax.jit(lambda: network.init(KEY, kinds.FEATURES, mask)['below'])()
  assert not np.any(start)


@pytest.mark.parametrize('name', ['two_layer', 'two_layer_linear'])
def test_two_layers_are_dense_layers_and_heads(name):
  """q(z_1 | x) and q(z_2 | z_1) of the posterior, p(z_1 | z_2) of the prior, by NumPy."""
  mask = kinds.mask_of(kinds.LOWER + 2, kinds.LOWER + 3)
  upper_mask = mask[kinds.LOWER :]

  def by_hand(params, given):
    h = given
    for layer in params['mlp'].get('params', {}).values():
      h = np.tanh(kinds.dense(layer, h))
    return [kinds.dense(params['head']['params'][key], h) for key in ('loc', 'log_scale')]

  network = kinds.POSTERIORS[name]
  params = kinds.posterior_params(network, mask)
  q = kinds.posterior(network, params, mask)
  np.testing.assert_allclose(
    q.lower.loc, kinds.dense(params['lower']['params']['loc'], kinds.FEATURES), rtol=1e-5
  )
  z_1, z_2 = kinds.normal(1, kinds.LOWER), kinds.normal(2, 3)
  loc, log_scale = by_hand(params['upper'], z_1)
  upper = jax.jit(lambda q, z: q.upper(z))(q, z_1)
  np.testing.assert_allclose(upper.loc, upper_mask * loc, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(upper.scale, np.exp(upper_mask * log_scale), rtol=1e-4)
  network = kinds.PRIORS[name]
  params = kinds.prior_params(network, mask)
  p = kinds.prior(network, params, mask)
  loc, log_scale = by_hand(params, upper_mask * z_2)
  lower = jax.jit(p.make)(p.params, z_2, upper_mask)
  np.testing.assert_allclose(lower.loc, loc, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(lower.scale, np.exp(log_scale), rtol=1e-4)


@pytest.mark.parametrize('name', ['two_layer', 'two_layer_linear'])
def test_what_lies_behind_a_layer_of_latents_starts_at_scale_1(name):
  """Both ways, whatever the layer draws; the locations are not 0 all the while."""
  mask = kinds.mask_of(kinds.LOWER + 3, kinds.LOWER + 3)
  posterior, prior = kinds.POSTERIORS[name], kinds.PRIORS[name]

  @jax.jit
  def started(z_1, z_2):
    q = posterior.make(posterior.init(KEY, kinds.FEATURES, mask), kinds.FEATURES, mask)
    p = prior.make(prior.init(KEY, mask), mask, None)
    return q.upper(z_1), p.make(p.params, z_2, mask[kinds.LOWER :])

  for found in started(10 * kinds.normal(1, kinds.LOWER), 10 * kinds.normal(2, 3)):
    np.testing.assert_array_equal(found.scale, 1)
    assert np.all(found.loc != 0)


@pytest.mark.parametrize(
  ('name', 'event', 'conv', 'parts'),
  [
    # Two linear layers are those of `two_layer` without what is between them.
    *((name, kinds.EVENT, False, ('posterior', 'prior')) for name in list(PAIRS)[1:4]),
    ('diagonal', kinds.EVENT, False, ('posterior', 'prior', 'decoder')),
    ('diagonal', (8, 8, 1), True, ('decoder',)),
  ],
  ids=[*list(PAIRS)[1:4], 'diagonal and decoder', 'convolutional decoder'],
)
def test_a_padded_model_starts_with_the_very_weights_of_the_unpadded_one(name, event, conv, parts):
  """And every seed has weights of its own."""
  model, lower = pair(name, event, conv, hidden=() if conv else (8,))

  @jax.jit
  def starts(keys, narrow, wide):
    def init(key, mask):
      params = model.init(key, mask)
      return {part: params[part] for part in parts}

    return jax.vmap(init, (0, None))(keys, narrow), init(keys[0], wide)

  masks = (kinds.mask_of(lower + 2, lower + size) for size in (2, 5))
  of_both, padded = jax.device_get(starts(jax.random.split(KEY), *masks))
  small, other = (jax.tree.map(lambda leaf, i=i: leaf[i], of_both) for i in (0, 1))
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


def test_every_part_of_a_model_starts_from_draws_of_its_own():
  """The first layers of encoder and decoder have one name: with one key they would be one draw."""
  model, _ = pair('diagonal')

  @jax.jit
  def kernels():
    params = model.init(KEY, kinds.mask_of(2, 2))
    return [params[part]['params']['mlp']['hidden_0']['kernel'] for part in ('encoder', 'decoder')]

  encoder, decoder = (np.sign(kernel).ravel()[:15] for kernel in kernels())
  assert np.any(encoder != decoder)


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

  @jax.jit
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
  posterior = jax.jit(model.encode)(params, np.ones(5, 'f'), mask)
  np.testing.assert_array_equal(posterior.loc[2:], 0)
  np.testing.assert_array_equal(posterior.scale[2:], 1)
  z = np.arange(6.0, dtype='f')
  decode = jax.jit(lambda z: model.decode(params, z, mask).mean())
  np.testing.assert_array_equal(decode(z), decode(z + 100 * (1 - mask)))
  assert np.any(decode(z) != decode(z + mask))


def test_with_two_layers_the_decoder_sees_the_lower_one_only():
  model, lower = pair('two_layer')
  mask = kinds.mask_of(lower + 2, lower + 2)
  params = kinds.randomized(jax.eval_shape(model.init, KEY, mask), 0)
  kernel = params['decoder']['params']['mlp']['hidden_0']['kernel']
  assert kernel.shape == (lower, 8)
  z = kinds.normal(0, lower + 2)
  decoder = kinds.decoder(kinds.EVENT)
  expected = kinds.apply(decoder, params['decoder'], z[:lower], np.ones(lower, 'f'))
  mean = jax.jit(lambda params, z: model.decode(params, z, mask).mean())(params, z)
  np.testing.assert_allclose(mean, scipy.special.expit(expected[0]), rtol=1e-6)


def simple_model(likelihood, posterior='diagonal', input_scale=1.0, event=kinds.EVENT):
  """With a VampPrior."""
  return networks.make_model(
    kinds.encoder(activation='tanh'),
    kinds.POSTERIORS[posterior],
    networks.vamp(event, 'unit', 3),
    kinds.decoder(event),
    likelihood,
    event,
    input_scale,
  )


def test_the_encoder_sees_x_over_the_input_scale():
  mask, x = kinds.mask_of(2, 2), kinds.normal(0, *kinds.EVENT)
  model = simple_model(densities.bernoulli(), input_scale=255.0)
  params = kinds.randomized(jax.eval_shape(model.init, KEY, mask), 0)

  @jax.jit
  def expected_of(params, x):
    features = kinds.encoder(activation='tanh').apply(params['encoder'], x)
    return kinds.POSTERIORS['diagonal'].make(params['posterior'], features, mask)

  expected = expected_of(params, x)
  posterior = jax.jit(model.encode)(params, 255 * x, mask)
  np.testing.assert_allclose(posterior.loc, expected.loc, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(posterior.scale, expected.scale, rtol=1e-4)


@pytest.mark.parametrize('name', ['diagonal', 'full_covariance', 'flow'])
def test_the_vamp_prior_mixes_the_models_own_posteriors(name):
  """Of pseudo-inputs in (0, 1) times the input scale, whatever the kind of posterior."""
  mask, z = kinds.mask_of(2, 3), kinds.normal(0, 10, 3)
  model = simple_model(densities.bernoulli(), name, input_scale=255.0)
  params = kinds.randomized(jax.eval_shape(model.init, KEY, mask), 0)
  inputs = 255 * scipy.special.expit(params['prior'])

  @jax.jit
  def computed(params, inputs, z):
    def of_input(u):
      q = model.encode(params, u, mask)
      return kinds.log_prob_all(q, z).sum(1), kinds.sample_all(q, z)[0]

    prior = model.prior(params, mask)
    drawn = kinds.draw_all(prior, z, np.full(10, 0.5, 'f'))  # from the second of three
    return jax.vmap(of_input)(inputs), kinds.log_prob_all(prior, z)[:, 0], drawn

  (parts, samples), log_p, drawn = computed(params, inputs, z)
  expected = scipy.special.logsumexp(parts, axis=0) - np.log(3)
  np.testing.assert_allclose(log_p, expected, rtol=1e-4)
  np.testing.assert_allclose(drawn, samples[1], rtol=1e-4, atol=1e-6)


def test_shared_scale_is_one_learned_number():
  model = simple_model(densities.gaussian('shared', 1.0, 0.01, 'identity'))
  mask = kinds.mask_of(2, 2)
  (start,) = jax.jit(lambda: model.init(KEY, mask)['likelihood'])()
  assert start.shape == () and start == 0
  params = kinds.randomized(jax.eval_shape(model.init, KEY, mask), 0)
  gradient = jax.jit(jax.grad(lambda p: model.decode(p, jnp.ones(2), mask).log_prob(jnp.ones(5))))(
    params
  )
  assert gradient['likelihood'][0] != 0


def test_shared_numbers_stand_behind_the_heads_and_are_refitted_with_the_size_of_the_event():
  mask, event = kinds.mask_of(2, 2), (2, 3)
  shared = (np.float32(7), np.float32(8))
  fake = densities.bernoulli()._replace(
    num_shared=2, make=lambda outputs: outputs, refit=lambda *args: args
  )
  model = simple_model(fake, event=event)
  params = kinds.randomized(jax.eval_shape(model.init, KEY, mask), 0) | {'likelihood': shared}

  def decoded(model, params):
    return jax.device_get(jax.jit(lambda p: model.decode(p, np.ones(2, 'f'), mask).flat)(params))

  outputs = decoded(model, params)
  assert outputs[0].shape == (6,)
  assert outputs[1:] == shared
  assert model.refit(params, -3.5) == (-3.5, 6, shared)
  # With none of these the heads stay one array.
  model = simple_model(fake._replace(num_shared=0, refit=None), event=event)
  alone = decoded(model, params | {'likelihood': ()})
  assert alone.shape == (1, 6)
  np.testing.assert_array_equal(alone[0], outputs[0])
  assert model.refit is None


@pytest.mark.parametrize('conv', [False, True])
def test_bfloat16_is_of_the_networks_alone(conv):
  """What they leave is within the 8 bits of a bfloat16, and float32; so are the parameters."""
  event = (6, 6, 1) if conv else kinds.EVENT

  def model(dtype):
    return networks.make_model(
      kinds.encoder(conv),
      kinds.POSTERIORS['diagonal'],
      kinds.PRIORS['standard_normal'],
      kinds.decoder(event, conv=conv),
      densities.bernoulli(),
      event,
      compute_dtype=dtype,
    )

  mask, x, z = kinds.mask_of(2, 3), np.abs(kinds.normal(0, *event)), kinds.normal(1, 3)
  exact, rough = model(jnp.float32), model(jnp.bfloat16)
  params = kinds.randomized(jax.eval_shape(exact.init, KEY, mask), 0)
  started = jax.eval_shape(rough.init, KEY, mask)
  assert {leaf.dtype for leaf in jax.tree.leaves(started)} == {np.dtype('f')}

  @jax.jit
  def left(params, x, z):
    return [
      (model.encode(params, x, mask).loc, model.decode(params, z, mask).mean())
      for model in (exact, rough)
    ]

  pairs = left(params, x, z)
  for one, other in zip(*pairs, strict=True):
    assert one.dtype == other.dtype == np.dtype('f')
    difference = np.abs(one - other).max() / np.abs(one).max()
    assert 1e-6 < difference < 0.05
  encoded = str(jax.make_jaxpr(lambda x: rough.encode(params, x, mask).loc)(x))
  assert 'bf16' in encoded
