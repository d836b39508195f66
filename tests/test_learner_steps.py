"""One step of one lane on a toy model: what freezes it, and what is fitted rather than trained."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats

from vae_jax import bounds, densities, lanes, learner, networks, objectives

pytestmark = pytest.mark.math

LARGEST = np.sqrt(np.float64(np.finfo(np.float32).max))  # 1.8447e19: its square is the largest


@pytest.fixture
def lane():
  stacked = lanes.stack([lanes.point(1.0, 1, 0, 0.5)], 1)
  return jax.tree.map(lambda leaf: leaf[0], stacked)


def model_of(log_prob, params, **parts):
  """One parameter `w`, and a likelihood of it alone; q(z | x) = p(z) = N(0, 1)."""
  return networks.Model(
    **dict.fromkeys(networks.Model._fields)
    | dict(
      init=lambda key, mask: params,
      encode=lambda params, x, mask: densities.DiagonalGaussian(0 * mask, jnp.ones(1), mask),
      prior=lambda params, mask: densities.StandardNormal(mask),
      outputs=lambda params, z, mask: z,
      likelihood=lambda params, z: types.SimpleNamespace(log_prob=lambda x: log_prob(params, x)),
    )
    | parts
  )


def step_of(model, lane, params, objective=None, count=3, **options):
  objective = objective or objectives.beta_elbo()
  estimator = learner.Estimator(model, objective, bounds.analytic_kl, bounds.reparameterized)
  one = learner.make_learner(estimator, 1, lambda rate: optax.sgd(1.0), **options)

  @jax.jit
  def take(lane, params, x, count):
    state = one.init(lane)._replace(params=params)
    return one.step(state, lane, x, one.draw(lane, 2, count), count)

  return take(lane, params, np.ones((2, 1), np.float32), np.int32(count))


@jax.custom_jvp
def with_slope(w, slope):
  """0, with this derivative by w."""
  return 0 * w


@with_slope.defjvp
def _(primals, tangents):
  return 0 * primals[0], primals[1] * tangents[0]


@pytest.mark.parametrize(
  ('slope', 'fine'),
  [
    (1.0, True),
    (-0.999 * LARGEST, True),
    (1.001 * LARGEST, False),
    (np.inf, False),
    (np.nan, False),
  ],
)
def test_a_lane_diverges_where_the_square_of_a_gradient_overflows(lane, slope, fine):
  """Its objective is 0 all the while."""
  params = {'w': jnp.float32(0), 'v': jnp.zeros((2, 3))}
  model = model_of(lambda params, x: with_slope(params['w'], slope) + params['v'][0, 1], params)
  state, metrics = step_of(model, lane, params)
  assert metrics['objective'] == 0
  assert state.diverged_at == (learner.NOT_DIVERGED if fine else 3)
  assert state.params['w'] == (pytest.approx(slope, rel=1e-6) if fine else 0)
  assert state.params['v'][0, 1] == (1 if fine else 0)


@pytest.mark.parametrize(
  ('slope', 'fine'), [(1e3, True), (1.001 * LARGEST, False), (np.inf, False)]
)
def test_clipping_hides_no_divergence(lane, slope, fine):
  """A gradient whose square overflows is seen before it is made short."""
  params = {'w': jnp.float32(0)}
  # By x, or the compiler would know the slope and multiply in another order.
  model = model_of(lambda params, x: with_slope(params['w'], slope * x[0]), params)
  state, _ = step_of(model, lane._replace(clip_norm=2.0), params, has_clipping=True)
  assert state.diverged_at == (learner.NOT_DIVERGED if fine else 3)
  assert state.params['w'] == (pytest.approx(2) if fine else 0)


@pytest.mark.parametrize('value', [np.inf, -np.inf, np.nan])
def test_a_lane_diverges_where_its_objective_is_not_finite(lane, value):
  """Though all gradients are."""
  params = {'w': jnp.float32(0)}
  model = model_of(lambda params, x: params['w'] + jnp.float32(value), params)
  state, metrics = step_of(model, lane, params)
  assert not np.isfinite(metrics['objective'])
  assert state.diverged_at == 3
  assert state.params['w'] == 0


def test_a_bound_that_is_not_finite_does_not_freeze_what_trains_on_something_else(lane):
  """The objective decides: a rate that nothing weighs may be infinite."""
  plain = objectives.beta_elbo()
  objective = plain._replace(combine=lambda means, lane, step: -means['distortion'])
  params = {'w': jnp.float32(0)}

  def encode(params, x, mask):
    return densities.DiagonalGaussian(jnp.array([jnp.inf]), jnp.ones(1), mask)

  model = model_of(lambda params, x: params['w'], params, encode=encode)
  state, metrics = step_of(model, lane, params, objective)
  assert not np.isfinite(metrics['rate'])
  assert state.diverged_at == learner.NOT_DIVERGED
  assert state.params['w'] == 1


def test_a_step_refits_the_optimal_scale_to_its_batch(lane):
  """To the mean square error of the parameters that saw the batch, not of those after the step."""
  gaussian = densities.gaussian('optimal', 0.7, 1e-3, 'identity')
  params = {'w': jnp.float32(0.25), 'likelihood': (jnp.zeros(()),)}

  def likelihood(params, z):
    loc = jnp.broadcast_to(params['w'], (1,))
    return gaussian.make((loc, *params['likelihood']))

  model = model_of(
    None,
    params,
    likelihood=likelihood,
    refit=lambda params, mean: gaussian.refit(mean, 1, params['likelihood']),
  )
  state, _ = step_of(model, lane, params)
  assert state.params['w'] == pytest.approx(0.25 + 0.75 / 0.7**2, rel=1e-5)  # sgd of rate 1
  at_mode = jax.jit(lambda params: likelihood(params, None).log_prob(params['w'][None]))
  scale = float(np.exp(scipy.stats.norm.logpdf(0) - at_mode(state.params)))
  assert scale == pytest.approx(0.75, rel=1e-4)  # x = 1 in both images


def test_a_diverged_lane_keeps_its_scale_as_well(lane):
  params = {'w': jnp.float32(0), 'likelihood': (jnp.float32(0.5),)}
  model = model_of(
    lambda params, x: params['w'] * jnp.float32(1.1 * LARGEST),
    params,
    refit=lambda params, mean: (jnp.float32(9.0),),
  )
  state, _ = step_of(model, lane, params)
  assert state.diverged_at == 3
  assert state.params['likelihood'][0] == 0.5


def test_what_fills_a_batch_up_has_no_part_in_any_average():
  """The rates by latent, the distortion and the objective's own terms are those of the others."""
  points = [lanes.point(1.0, 2, 0, 0.5, covariance_weight=1.0)]
  lane = jax.tree.map(lambda leaf: leaf[0], lanes.stack(points, 2))
  model = model_of(
    lambda params, x: jnp.sum(x),
    {},
    encode=lambda params, x, mask: densities.DiagonalGaussian(x, jnp.ones(2), mask),
  )
  objective = objectives.dip_vae_i(10.0)
  estimator = learner.Estimator(model, objective, bounds.analytic_kl, bounds.reparameterized)
  one = learner.make_learner(estimator, 1, None)
  x = np.array([[1.0, 2.0], [3.0, -1.0], [0.5, 0.0], [50.0, 70.0], [50.0, -20.0]], np.float32)
  weights = jnp.array([1.0, 1.0, 1.0, 0.0, 0.0])
  averages, centres = jax.jit(one.evaluate)({}, lane, x, 0, weights)
  covariance = np.cov(x[:3].T, bias=True)
  expected = {
    'rates': np.square(x[:3]).mean(axis=0) / 2,
    'distortion': -x[:3].sum(axis=1).mean(),
    'covariance_off_diagonal': 2 * covariance[0, 1] ** 2,
    'covariance_diagonal': np.sum((np.diag(covariance) - 1) ** 2),
  }
  assert averages.keys() == expected.keys()
  for name, value in expected.items():
    np.testing.assert_allclose(averages[name], value, rtol=1e-5, err_msg=name)
  np.testing.assert_array_equal(centres, x)


def test_what_is_refitted_is_fitted_under_the_parameters_that_saw_the_batch(lane):
  """Not under those of after the step, whose likelihood nobody has computed yet."""
  params = {'w': jnp.float32(0.25), 'likelihood': (jnp.float32(0),)}
  model = model_of(
    lambda params, x: params['w'], params, refit=lambda params, mean: (params['w'] + 10 * mean,)
  )
  state, _ = step_of(model, lane, params)
  assert state.params['w'] == 1.25
  assert state.params['likelihood'][0] == pytest.approx(0.25 + 2.5)
