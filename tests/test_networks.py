"""Networks: shapes inferred from the data, masks, and initialisation by the active fan-in."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import densities, networks

CONV = dict(channels=(4, 6), kernels=(3, 5), strides=(2, 2), hidden=(8,), activation='relu')


def mask_of(active, width):
  return (jnp.arange(width) < active).astype(jnp.float32)


def decoder(event, num_heads=1, conv=False, hidden=(12,), output_bias=()):
  extra = dict(event=event, num_heads=num_heads, output_bias=output_bias)
  if conv:
    return networks.ConvDecoder(**CONV, **extra)
  return networks.MlpDecoder(hidden=hidden, activation='tanh', **extra)


def test_first_decoder_kernel_has_the_variance_of_its_active_fan_in():
  """Var = 1 / sum(mask), not 1 / Z: a sample variance within 5 standard errors of it."""
  for active in (1, 3, 50):
    mask = mask_of(active, 50)
    keys = jax.random.split(jax.random.key(active), 40)
    kernels = jax.vmap(lambda key, m=mask: networks.active_lecun_normal(m)(key, (50, 64)))(keys)
    values = np.asarray(kernels[:, :active]).ravel()
    squares = np.square(values)
    assert squares.mean() == pytest.approx(
      1 / active, abs=float(5 * squares.std() / len(squares) ** 0.5)
    )
    assert not np.any(kernels[:, active:])


@pytest.mark.parametrize('conv', [False, True])
@pytest.mark.parametrize('event', [(8, 8, 1), (7, 5, 3), (28, 20, 1), (1, 1, 1)])
@pytest.mark.parametrize('num_heads', [1, 2])
def test_shapes_follow_the_data(conv, event, num_heads):
  mask = mask_of(3, 4)
  encoder = (
    networks.ConvEncoder(**CONV) if conv else networks.MlpEncoder(hidden=(9,), activation='relu')
  )
  x = jnp.ones(event)
  params = encoder.init(jax.random.key(0), x, mask)
  loc, log_scale = encoder.apply(params, x, mask)
  assert loc.shape == log_scale.shape == (4,)
  net = decoder(event, num_heads, conv)
  outputs = net.apply(net.init(jax.random.key(1), loc, mask), loc, mask)
  assert [output.shape for output in outputs] == [event] * num_heads


def test_inert_latents_have_the_posterior_of_the_prior_and_no_effect():
  mask = mask_of(2, 6)
  model = networks.make_model(
    networks.MlpEncoder((9,), 'relu'), decoder((5,)), densities.bernoulli(), (5,)
  )
  # The inert weights start at 0: others in their place show that the mask itself holds.
  params = jax.tree.map(lambda leaf: leaf + 0.1, model.init(jax.random.key(0), mask))
  posterior = model.encode(params, jnp.ones(5), mask)
  np.testing.assert_array_equal(posterior.loc[2:], 0)
  np.testing.assert_array_equal(posterior.scale[2:], 1)
  z = jnp.arange(6.0)
  changed = z.at[3].add(100.0)
  np.testing.assert_array_equal(
    model.decode(params, z, mask).mean(), model.decode(params, changed, mask).mean()
  )


def test_what_is_over_is_cropped_evenly_on_both_sides():
  """8x8 and 7x5 images have the same layers: the smaller output is the middle of the larger."""
  mask, z = mask_of(2, 2), jnp.array([0.7, -1.2])
  large, small = decoder((8, 8, 1), conv=True), decoder((7, 5, 1), conv=True)
  params = large.init(jax.random.key(0), z, mask)
  whole, middle = (net.apply(params, z, mask)[0] for net in (large, small))
  np.testing.assert_array_equal(middle, whole[0:7, 1:6])


@pytest.mark.parametrize('conv', [False, True])
def test_a_padded_model_starts_with_the_very_weights_of_the_unpadded_one(conv):
  event = (8, 8, 1)
  encoder = networks.ConvEncoder(**CONV) if conv else networks.MlpEncoder((9,), 'relu')
  model = networks.make_model(encoder, decoder(event, conv=conv), densities.bernoulli(), event)
  small = model.init(jax.random.key(3), mask_of(2, 2))
  padded = model.init(jax.random.key(3), mask_of(2, 7))

  def check(path, one, other):
    active = tuple(slice(0, size) for size in one.shape)
    np.testing.assert_allclose(other[active], one, rtol=1e-6, err_msg=jax.tree_util.keystr(path))
    rest = np.array(other)
    rest[active] = 0
    assert not np.any(rest), path

  jax.tree_util.tree_map_with_path(check, small, padded)


@pytest.mark.parametrize('conv', [False, True])
def test_output_bias_starts_the_decoder_at_the_train_mean(conv):
  event = (4, 4, 1)
  bias = (0.7,) if conv else tuple(np.linspace(-1, 1, 16))
  net = decoder(event, conv=conv, output_bias=bias)
  mask = mask_of(2, 2)
  zero = jnp.zeros(2)
  (output,) = net.apply(net.init(jax.random.key(0), zero, mask), zero, mask)
  expected = np.full(event, 0.7) if conv else np.reshape(bias, event)
  np.testing.assert_allclose(output, expected, rtol=1e-6)  # z = 0 leaves the biases alone


def test_a_linear_network_has_no_hidden_layer():
  net = decoder((5,), hidden=())
  mask = mask_of(2, 2)
  params = net.init(jax.random.key(0), jnp.zeros(2), mask)
  assert list(params['params']) == ['output']
  one, two = (net.apply(params, z, mask)[0] for z in (jnp.ones(2), 2 * jnp.ones(2)))
  np.testing.assert_allclose(two, 2 * one, rtol=1e-6)


def test_shared_scale_is_one_learned_number():
  likelihood = densities.gaussian('shared', 1.0, 0.01, 'identity')
  model = networks.make_model(networks.MlpEncoder((9,), 'relu'), decoder((5,)), likelihood, (5,))
  params = model.init(jax.random.key(0), mask_of(2, 2))
  assert [leaf.shape for leaf in params['likelihood']] == [()]
  gradient = jax.grad(lambda p: model.decode(p, jnp.ones(2), mask_of(2, 2)).log_prob(jnp.ones(5)))(
    params
  )
  assert gradient['likelihood'][0] != 0
