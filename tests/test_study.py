"""The config chooses: what `study.from_config` builds is what the library says by hand."""

import itertools

import jax
import jax.numpy as jnp
import latent_kinds as kinds
import numpy as np
import pytest

from vae_jax import bounds, errors, learner, objectives, study
from vae_jax.study import lawful

GRADIENTS = ('reparameterized', 'sticking_the_landing', 'doubly_reparameterized')

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('width_one')]


def first_lane(built):
  """The functions of a lane, the first lane, random parameters of it, and three images."""
  one, lane = built.training.learner, jax.tree.map(lambda leaf: leaf[0], built.lanes)
  shapes = jax.eval_shape(built.model.init, jax.random.key(0), lane.mask)
  return one, lane, kinds.randomized(shapes, 0, size=0.1), np.float32(built.dataset.test[:3])


def mean_at_the_start(built):
  """What the decoder makes of z = 0 at step 0."""
  mask = np.asarray(built.lanes.mask[0])

  @jax.jit
  def mean(key):
    params = built.model.init(key, mask)
    return built.model.decode(params, 0 * mask, mask).mean()

  return mean(jax.random.key(0))


def terms_by_hand(built, params, lane, x, gradient=None, draw=learner.draw_noise):
  """The terms of every example of x, on the very noise of `Learner.evaluate`."""

  def one(x, noise):
    return bounds.elbo_terms(
      built.model.encode(params, x, lane.mask),
      built.model.prior(params, lane.mask),
      lambda z: built.model.decode(params, z, lane.mask),
      x,
      noise,
      gradient,
    )

  key = jax.random.fold_in(learner.lane_keys(lane).evaluation, 0)
  return jax.vmap(one)(x, draw(key, len(x), built.num_samples, lane.mask.size))


def elbo(terms, beta, rate):
  """mean_l log p(x | z_l) - beta R; Higgins et al. 2017, eq. 4."""
  return jnp.mean(terms.log_likelihood) - beta * jnp.sum(rate(terms))


BOUNDS = {
  'elbo, analytic': (
    dict(name='elbo', kl='analytic'),
    lambda t: elbo(t, 3.0, bounds.analytic_kl),
  ),
  'elbo, sampled': (dict(name='elbo', kl='sampled'), lambda t: elbo(t, 3.0, bounds.sampled_kl)),
  'iwae': (dict(name='iwae', kl='sampled'), bounds.iwae_bound),
  'miwae': (dict(name='miwae', kl='sampled', num_groups=3), lambda t: bounds.miwae_bound(t, 3)),
  'ciwae': (
    dict(name='ciwae', kl='sampled', elbo_weight=0.2),
    lambda t: bounds.ciwae_bound(t, 0.2),
  ),
}
# Each bound, and each gradient where it depends on the bound; the other pairs are slow.
QUICK = {
  ('elbo, analytic', 'reparameterized'),
  ('elbo, sampled', 'sticking_the_landing'),
  *((name, 'doubly_reparameterized') for name in ('iwae', 'miwae', 'ciwae')),
}


@pytest.mark.parametrize(
  ('bound', 'gradient'),
  [
    pytest.param(*pair, marks=() if pair in QUICK else pytest.mark.slow)
    for pair in itertools.product(BOUNDS, GRADIENTS)
  ],
)
def test_the_config_chooses_the_bound_and_the_gradient(config, bound, gradient):
  """Objective and encoder gradient of the learner are those of its terms, on the very noise."""
  settings, expected = BOUNDS[bound]
  config['bound'] |= settings | dict(num_samples=6, gradient=gradient)
  config['lanes'] |= dict(beta=(3.0,) if settings['name'] == 'elbo' else (1.0,))
  try:
    built = study.from_config(config)
  except errors.InputError as error:
    assert 'bound.gradient' in str(error)
    return
  one, lane, params, x = first_lane(built)
  weights = bounds.path_weights(settings.get('num_groups', 1), settings.get('elbo_weight', 0.0))
  estimator = {
    'reparameterized': bounds.reparameterized,
    'sticking_the_landing': bounds.sticking_the_landing,
    'doubly_reparameterized': bounds.doubly_reparameterized(weights),
  }[gradient]

  def by_hand(params):
    terms = terms_by_hand(built, params, lane, x, estimator)
    return jnp.mean(jax.vmap(expected)(terms))

  def by_learner(params):
    averages, _ = one.evaluate(params, lane, x, 0, jnp.ones(3))
    return learner.metrics_of(one.estimator, averages, lane, 0)['objective']

  both = jax.jit(lambda params: [jax.value_and_grad(f)(params) for f in (by_learner, by_hand)])
  (found, found_gradient), (value, value_gradient) = both(params)
  assert found == pytest.approx(float(value), rel=1e-5)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5),
    found_gradient,
    value_gradient,
  )


@pytest.mark.parametrize(
  ('name', 'objective'),
  [
    ('beta_tcvae', objectives.beta_tcvae(1438)),
    ('dip_vae_i', objectives.dip_vae_i(7.0)),
    ('dip_vae_ii', objectives.dip_vae_ii(7.0)),
  ],
)
def test_the_config_chooses_the_objective(config, name, objective):
  """With the size of the training set and the lane's weights, on the very terms."""
  config['bound'] |= dict(name=name, diagonal_ratio=7.0)
  weight = 0.0 if name == 'beta_tcvae' else 0.5
  config['lanes'] |= dict(beta=(3.0,), warmup=('linear',), warmup_steps=(10,))
  config['lanes'] |= dict(covariance_weight=(weight,))
  built = study.from_config(config)
  one, lane, params, x = first_lane(built)

  @jax.jit
  def by_learner_and_by_hand(params, x):
    averages, _ = one.evaluate(params, lane, x, 0, jnp.ones(3))
    found = learner.metrics_of(one.estimator, averages, lane, 5)
    terms = terms_by_hand(built, params, lane, x)
    posteriors = jax.vmap(lambda x: built.model.encode(params, x, lane.mask))(x)
    named = objective.terms(terms, posteriors, jnp.ones(3), lane.mask)
    means = {
      'distortion': jax.vmap(bounds.distortion)(terms).mean(),
      'rates': jax.vmap(bounds.analytic_kl)(terms).mean(0),
      **named,
    }
    return found, named, objective.combine(means, lane, 5)

  found, named, expected = by_learner_and_by_hand(params, x)
  for term, value in named.items():
    assert found[term] == pytest.approx(float(value), rel=1e-4, abs=1e-5)
  assert found['objective'] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
  'noise', [pytest.param('independent', marks=pytest.mark.slow), 'antithetic']
)
def test_the_config_chooses_the_noise(config, noise):
  config['bound'] |= dict(noise=noise, num_samples=2)
  built = study.from_config(config)
  one, lane, params, x = first_lane(built)
  draw = {'independent': learner.draw_noise, 'antithetic': learner.draw_antithetic}[noise]

  @jax.jit
  def by_learner_and_by_hand(params, x):
    averages, _ = one.evaluate(params, lane, x, 0, jnp.ones(3))
    terms = terms_by_hand(built, params, lane, x, draw=draw)
    return averages['distortion'], jax.vmap(bounds.distortion)(terms).mean()

  found, expected = by_learner_and_by_hand(params, x)
  assert found == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.slow  # the objective above has both forms of the rate in it
@pytest.mark.parametrize('kl', ['analytic', 'sampled'])
def test_the_config_chooses_the_form_of_the_rate(config, kl):
  config['bound'] |= dict(kl=kl, num_samples=6)
  built = study.from_config(config)
  one, lane, params, x = first_lane(built)
  rate = {'analytic': bounds.analytic_kl, 'sampled': bounds.sampled_kl}[kl]

  @jax.jit
  def by_learner_and_by_hand(params, x):
    averages, _ = one.evaluate(params, lane, x, 0, jnp.ones(3))
    return averages['rates'], jax.vmap(rate)(terms_by_hand(built, params, lane, x)).mean(0)

  found, expected = by_learner_and_by_hand(params, x)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
  ('binarize', 'conv'),
  [
    ('threshold', False),
    pytest.param('dynamic', False, marks=pytest.mark.slow),
    ('none', False),
    ('dynamic', True),
  ],
)
def test_the_decoder_starts_at_the_train_mean_in_the_units_that_the_model_sees(
  config, tmp_path, binarize, conv
):
  """Bytes of 0 to 255 have a mean of 0 to 1, by pixel or by channel: the biases alone, z = 0."""
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (60, 4, 4, 2)) // np.array([1, 3])  # channels that differ
  images[:, 0] = 255 * (np.arange(60) % 5 == 0)[:, None, None]
  np.savez(tmp_path / 'bytes.npz', train=images.astype(np.uint8), test=images[:40].astype(np.uint8))
  config['data'] |= dict(name='npz', path=str(tmp_path / 'bytes.npz'), train_split='train')
  config['data'] |= dict(test_split='test', binarize=binarize, scale_to_unit=True)
  config['likelihood'] |= dict(name='cross_entropy' if binarize == 'none' else 'bernoulli')
  config['decoder'] |= dict(output_bias='train_mean', hidden=())
  if conv:
    config['decoder'] |= dict(name='conv', channels=(3,), kernels=(3,), strides=(2,), hidden=())
  built = study.from_config(config)
  seen = images / 255 if binarize != 'threshold' else images > 127
  mean = seen.mean(axis=(0, 1, 2)) if conv else seen.mean(axis=0)
  found = mean_at_the_start(built)
  expected = np.broadcast_to(np.clip(mean, 1e-3, 1 - 1e-3), (4, 4, 2))
  np.testing.assert_allclose(found, expected, rtol=2e-4)


@pytest.mark.parametrize(
  ('support', 'settings', 'scale'),
  [
    ('bytes', dict(name='discretized_logistic', initial_scale=0.1), 1),
    ('unit', dict(name='gaussian', mean='sigmoid'), 255),
    ('unit', dict(name='gaussian', mean='identity'), 255),
    ('unit', dict(name='continuous_bernoulli'), 255),
  ],
  ids=['bytes', 'sigmoid', 'identity', 'continuous'],
)
def test_every_likelihood_starts_at_the_train_mean(config, tmp_path, support, settings, scale):
  images = np.random.default_rng(1).integers(20, 200, (60, 6)).astype(np.uint8)
  images[:, 0] //= 4
  np.savez(tmp_path / 'bytes.npz', train=images, test=images[::-1])
  config['data'] |= dict(name='npz', path=str(tmp_path / 'bytes.npz'), train_split='train')
  config['data'] |= dict(test_split='test', binarize='none', scale_to_unit=support == 'unit')
  config['likelihood'] |= settings
  config['decoder'] |= dict(output_bias='train_mean', hidden=())
  built = study.from_config(config)
  found = mean_at_the_start(built)
  np.testing.assert_allclose(found, images.mean(axis=0) / scale, rtol=1e-4)


@pytest.mark.parametrize('scale', [1, 255])
def test_an_encoder_sees_bytes_from_0_to_1_whatever_the_likelihood_is_over(config, tmp_path, scale):
  images = np.random.default_rng(1).integers(0, 256, (60, 6)).astype(np.uint8)
  np.savez(tmp_path / 'bytes.npz', train=images, test=images[::-1])
  config['data'] |= dict(name='npz', path=str(tmp_path / 'bytes.npz'), train_split='train')
  config['data'] |= dict(test_split='test', binarize='none', scale_to_unit=scale == 255)
  config['likelihood'] |= dict(name='discretized_logistic' if scale == 1 else 'gaussian')
  config['encoder'] |= dict(hidden=())
  built = study.from_config(config)
  mask = np.asarray(built.lanes.mask[-1])

  @jax.jit
  def encoded(key, x):
    params = built.model.init(key, mask)
    return params['posterior']['params']['loc'], built.model.encode(params, x, mask).loc

  layer, loc = encoded(jax.random.key(0), np.float32(images[0]) / scale)
  expected = mask * (images[0] / 255 @ layer['kernel'] + layer['bias'])
  np.testing.assert_allclose(loc, expected, rtol=1e-5, atol=1e-6)


def with_array(config, path, x, **settings):
  depth = np.ones(len(x), np.float32)
  np.savez(path, train=x, test=x[::-1], train_depth=depth, test_depth=depth)
  config['data'] |= dict(name='npz', path=str(path), train_split='train', test_split='test')
  config['data'] |= dict(binarize='none', scale_to_unit=False) | settings
  return config


def test_a_model_of_data_with_missing_values_reads_them(config, tmp_path):
  x = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
  x[::3, 2] = np.nan
  config['likelihood'] |= dict(name='gaussian')
  built = study.from_config(
    with_array(config, tmp_path / 'x.npz', x, kind='real', missing='left_out')
  )
  mask = np.asarray(built.lanes.mask[-1])

  @jax.jit
  def computed(key, x):
    params = built.model.init(key, mask)
    loc = built.model.encode(params, x, mask).loc
    return loc, built.model.decode(params, loc, mask).log_prob(x)

  assert all(np.isfinite(found).all() for found in computed(jax.random.key(0), x[0]))


@pytest.mark.parametrize(
  ('likelihood', 'settings', 'line'),
  [
    (
      dict(name='gaussian', scale='optimal'),
      dict(kind='real', missing='left_out'),
      "data.missing='left_out': likelihood.name='gaussian' has no part for single values",
    ),
    (
      dict(name='gaussian'),
      dict(kind='real', missing='left_out', size_factor='depth'),
      "data.size_factor='depth': likelihood.name='gaussian' has no rate that a size multiplies",
    ),
    (
      dict(name='discretized_logistic'),
      {},
      "is no density on the unit values of data.name='npz'; set data.binarize='dynamic'",
    ),
  ],
  ids=['missing', 'size', 'support'],
)
def test_a_likelihood_that_does_not_go_with_the_data_is_refused(
  config, tmp_path, likelihood, settings, line
):
  x = np.random.default_rng(0).random(size=(60, 6)).astype(np.float32)
  if 'missing' in settings:
    x[::3, 2] = np.nan
  config = with_array(config, tmp_path / 'x.npz', x, **settings)
  config['likelihood'] |= likelihood
  with pytest.raises(errors.InputError) as caught:
    study.from_config(config)
  assert line in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.parametrize(
  ('per', 'posterior', 'floors'),
  [
    ('latent', 'diagonal', [[0], [1], [2], [3], [4]]),
    ('layer', 'diagonal', [[0, 1, 2, 3, 4]]),
    ('layer', 'two_layer', [[0, 1, 2], [3, 4, 5, 6, 7]]),
    ('latent', 'two_layer', [[i] for i in range(8)]),
  ],
)
def test_the_config_chooses_whose_bits_are_free(config, per, posterior, floors):
  """Each latent, or each layer: the floor of a group is once that of the lane."""
  config['bound'] |= dict(free_bits_per=per)
  if posterior == 'two_layer':
    config['bound'] |= dict(kl='sampled')
    config['posterior'] |= dict(name='two_layer', lower_size=3)
    config['prior'] |= dict(name='two_layer')
  config['lanes'] |= dict(beta=(2.0,), latent_size=(5,), free_bits=(0.5,))
  built = study.from_config(config)
  one, lane = built.training.learner, jax.tree.map(lambda leaf: leaf[0], built.lanes)
  rates = np.linspace(0.01, 0.6, lane.mask.size, dtype='f')
  combine = jax.jit(one.estimator.objective.combine)
  found = combine({'distortion': np.float32(7), 'rates': rates}, lane, 0)
  rate = sum(max(0.5, sum(float(rates[i]) for i in group)) for group in floors)
  assert found == pytest.approx(-7 - 2 * rate, rel=1e-5)


def test_only_the_optimal_scale_is_refitted(config):
  config['data'] |= dict(binarize='none')
  for scale in ('fixed', 'shared', 'optimal', 'per_pixel'):
    config['likelihood'] |= dict(name='gaussian', scale=scale)
    assert (study.from_config(config).model.refit is not None) == (scale == 'optimal')


def test_what_the_page_leaves_to_a_part_of_ones_own_is_said(config, caplog, monkeypatch):
  monkeypatch.setattr(lawful, 'check_part', lambda *arguments: None)  # of lion: `test_laws`
  monkeypatch.setattr(lawful, 'check_whole', lambda *arguments: None)
  # As `config.optimizer.update(name='optax:lion')` makes it: b1 and b2 are those of Adam.
  config['optimizer'] |= {'name': 'optax:lion'}
  study.from_config(config)
  said = [line for line in caplog.messages if 'optimizer' in line]
  assert said == [
    "optimizer.b2=0.999 is the value of optimizer.name='adam'; it is taken for 'optax:lion', whose "
    'own is 0.99'
  ]
  caplog.clear()
  config['optimizer'] = {'name': 'optax:lion'}
  study.from_config(config)
  assert not [line for line in caplog.messages if 'optimizer' in line]
