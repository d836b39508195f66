"""The config chooses: what `study.from_config` builds is what the library says by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import bounds, errors, learner, objectives, study, validation


def first_lane(built):
  """The functions of a lane, the first lane, its parameters at step 0, and three images."""
  one, lane = built.training.learner, jax.tree.map(lambda leaf: leaf[0], built.lanes)
  return one, lane, one.init(lane).params, jnp.asarray(built.dataset.test[:3], jnp.float32)


def terms_by_hand(built, params, lane, x, gradient=None, draw=learner.draw_noise):
  """The terms of every example of x, on the very noise of `Learner.evaluate`."""
  key = jax.random.fold_in(learner.lane_keys(lane).evaluation, 0)
  noise = draw(key, len(x), built.num_samples, lane.mask.size)

  def one(x, noise):
    return bounds.elbo_terms(
      built.model.encode(params, x, lane.mask),
      built.model.prior(params, lane.mask),
      lambda z: built.model.decode(params, z, lane.mask),
      x,
      noise,
      gradient,
    )

  return jax.vmap(one)(x, noise)


@pytest.mark.parametrize(
  ('settings', 'expected'),
  [
    (dict(name='elbo', kl='analytic'), lambda t: bounds.beta_elbo(t, 3.0, bounds.analytic_kl)),
    (dict(name='elbo', kl='sampled'), lambda t: bounds.beta_elbo(t, 3.0, bounds.sampled_kl)),
    (dict(name='iwae', kl='sampled'), bounds.iwae_bound),
    (dict(name='miwae', kl='sampled', num_groups=3), lambda t: bounds.miwae_bound(t, 3)),
    (dict(name='ciwae', kl='sampled', elbo_weight=0.2), lambda t: bounds.ciwae_bound(t, 0.2)),
  ],
  ids=['elbo, analytic', 'elbo, sampled', 'iwae', 'miwae', 'ciwae'],
)
@pytest.mark.parametrize('gradient', validation.keys.GRADIENTS)
def test_the_config_chooses_the_bound_and_the_gradient(config, settings, expected, gradient):
  """Objective and encoder gradient of the learner are those of its terms, on the very noise."""
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

  found, found_gradient = jax.value_and_grad(by_learner)(params)
  value, value_gradient = jax.value_and_grad(by_hand)(params)
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
    ('dip_vae_i', objectives.dip_vae('I', 7.0)),
    ('dip_vae_ii', objectives.dip_vae('II', 7.0)),
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
  for term, value in named.items():
    assert found[term] == pytest.approx(float(value), rel=1e-4, abs=1e-5)
  expected = objective.combine(means, lane, 5)
  assert found['objective'] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize('noise', ['independent', 'antithetic'])
def test_the_config_chooses_the_noise(config, noise):
  config['bound'] |= dict(noise=noise, num_samples=2)
  built = study.from_config(config)
  one, lane, params, x = first_lane(built)
  averages, _ = one.evaluate(params, lane, x, 0, jnp.ones(3))
  draw = {'independent': learner.draw_noise, 'antithetic': learner.draw_antithetic}[noise]
  terms = terms_by_hand(built, params, lane, x, draw=draw)
  expected = jax.vmap(bounds.distortion)(terms).mean()
  assert averages['distortion'] == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize('kl', ['analytic', 'sampled'])
def test_the_config_chooses_the_form_of_the_rate(config, kl):
  config['bound'] |= dict(kl=kl, num_samples=6)
  built = study.from_config(config)
  one, lane, params, x = first_lane(built)
  averages, _ = one.evaluate(params, lane, x, 0, jnp.ones(3))
  rate = {'analytic': bounds.analytic_kl, 'sampled': bounds.sampled_kl}[kl]
  expected = jax.vmap(rate)(terms_by_hand(built, params, lane, x)).mean(0)
  np.testing.assert_allclose(averages['rates'], expected, rtol=1e-4, atol=1e-6)
