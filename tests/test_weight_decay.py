"""Decay, clipping and the average of the weights, against optax and NumPy, on a small model."""

import functools

import jax
import jax.numpy as jnp
import latent_kinds as kinds
import numpy as np
import optax
import pytest

from vae_jax import bounds, densities, lanes, learner, networks, objectives, optimizers

pytestmark = pytest.mark.math

STEPS, SIZE, EVENT, RATE = 20, 8, (4,), 0.02
SCHEDULE = optax.linear_schedule(1.0, 0.2, STEPS)
X = np.random.default_rng(0).normal(size=(SIZE, *EVENT)).astype(np.float32)


def model():
  return networks.make_model(
    kinds.encoder(hidden=(5,), activation='tanh'),
    kinds.POSTERIORS['diagonal'],
    kinds.PRIORS['standard_normal'],
    kinds.decoder(EVENT, hidden=(6,)),
    densities.gaussian(),
    EVENT,
  )


def adam(rate):
  return optax.adam(lambda count: rate * SCHEDULE(count))


def learner_of(**options):
  objective = objectives.beta_elbo()
  estimator = learner.Estimator(model(), objective, bounds.analytic_kl, bounds.reparameterized)
  return learner.make_learner(estimator, 1, adam, **options)


ALL = dict(decay_schedule=SCHEDULE, has_clipping=True, has_average=True)


def lane_of(width=3, **fields):
  stacked = lanes.stack([lanes.point(1.0, 3, 0, RATE, **fields)], width)
  return jax.tree.map(lambda leaf: leaf[0], stacked)


@functools.partial(jax.jit, static_argnums=0)
def trained_by(options, lane, batches):
  """The states and metrics after each step, [STEPS, ...], and the state at the start."""
  one = learner_of(**dict(options))

  def step(state, given):
    count, x = given
    state, metrics = one.step(state, lane, x, one.draw(lane, SIZE, count), count)
    return state, (state, metrics)

  start = one.init(lane)
  return *jax.lax.scan(step, start, (jnp.arange(STEPS), batches))[1], start


def trained(options=ALL, width=3, batches=(X,) * STEPS, **fields):
  return trained_by(tuple(sorted(options.items())), lane_of(width, **fields), np.stack(batches))


def by_optax(transform, lane):
  """The parameters after each step under a transformation of optax's own."""
  one = learner_of()

  @jax.jit
  def run():
    params = one.init(lane).params

    def step(carry, count):
      params, state = carry
      noise = one.draw(lane, SIZE, count)
      betas = jnp.ones(SIZE)

      def loss(params):
        estimator, weights = one.estimator, jnp.ones(SIZE)
        found, _ = learner.batch_averages(estimator, params, lane, X, noise, weights, betas)
        return found['distortion'] + found['rates'].sum()

      updates, state = transform.update(jax.grad(loss)(params), state, params)
      params = optax.apply_updates(params, updates)
      return (params, state), params

    return jax.lax.scan(step, (params, transform.init(params)), jnp.arange(STEPS))[1]

  return run()


def assert_close(found, expected):
  for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
    np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-6)


def are_kernels(params):
  return jax.tree_util.tree_map_with_path(lambda path, leaf: path[-1].key == 'kernel', params)


def test_decayed_adam_is_adamw():
  states, *_ = trained(weight_decay=0.3)
  rate = lambda count: RATE * SCHEDULE(count)  # noqa: E731
  # The likelihood of this model has no numbers of its own, and its leaves all have names.
  expected = by_optax(optax.adamw(rate, weight_decay=0.3, mask=are_kernels), lane_of())
  assert_close(states.params, expected)


def test_what_is_no_kernel_does_not_decay():
  """Neither biases nor scales, nor numbers that have no name."""
  params = {'dense': {'kernel': 2.0, 'bias': 3.0}, 'norm': {'scale': 4.0}, 'likelihood': (5.0,)}
  updates = jax.tree.map(lambda leaf: 1.0, params)
  found = optimizers.decayed(updates, params, 0.25)
  assert found == updates | {'dense': {'kernel': 1.0 - 0.25 * 2.0, 'bias': 1.0}}


def test_clipping_is_that_of_optax_and_its_steps_are_counted():
  plain, *_ = trained({})
  states, metrics, _ = trained(clip_norm=1.5)
  transform = optax.chain(optax.clip_by_global_norm(1.5), adam(RATE))
  assert_close(states.params, by_optax(transform, lane_of()))
  clipped = np.asarray(metrics['clipped'])
  assert 0 < clipped.sum() < STEPS
  assert not np.allclose(
    *(s.params['decoder']['params']['output']['kernel'][-1] for s in (plain, states)), rtol=1e-3
  )


def test_the_average_is_a_running_one_that_forgets_where_training_began():
  states, _, start = trained(ema_decay=0.7)
  average = jax.device_get(start.params)
  for t in range(STEPS):
    d = min(0.7, (1 + t) / (10 + t))
    now = jax.tree.map(lambda leaf, t=t: np.asarray(leaf[t], np.float64), states.params)
    average = jax.tree.map(lambda a, w, d=d: d * a + (1 - d) * w, average, now)
  assert_close(jax.tree.map(lambda leaf: leaf[-1], states.average), average)
  assert states.evaluated is states.average


def test_a_lane_without_them_is_as_in_a_program_that_has_none():
  plain, metrics, _ = trained({})
  states, others, _ = trained()
  assert plain.average is None
  assert plain.evaluated is plain.params
  assert 'clipped' not in metrics
  assert not others['clipped'].any()
  np.testing.assert_allclose(others['elbo'], metrics['elbo'], rtol=1e-5)
  assert_close(states.params, plain.params)
  for one, other in zip(*map(jax.tree.leaves, (states.average, states.params)), strict=True):
    np.testing.assert_array_equal(one, other)


def test_inert_weights_stay_0_and_a_padded_lane_is_the_unpadded_one():
  fields = dict(weight_decay=0.3, clip_norm=1.5, ema_decay=0.7)
  narrow, *_ = trained(**fields)
  wide, *_ = trained(width=5, **fields)

  def active(path, leaf):
    names = [key.key for key in path]
    if 'posterior' in names:
      return leaf[..., :3]
    is_first = 'hidden_0' in names and 'decoder' in names and names[-1] == 'kernel'
    return leaf[:, :3] if is_first else leaf

  for tree in ('params', 'average'):
    of_wide = getattr(wide, tree)
    assert_close(jax.tree_util.tree_map_with_path(active, of_wide), getattr(narrow, tree))
    first = of_wide['decoder']['params']['mlp']['hidden_0']['kernel']
    assert not np.any(first[:, 3:])
    assert not np.any(of_wide['posterior']['params']['loc']['kernel'][..., 3:])


def test_a_lane_that_diverges_keeps_its_average():
  bad = np.full_like(X, np.nan)
  batches = [X, bad] * (STEPS // 2)
  states, *_ = trained(batches=batches, ema_decay=0.5, weight_decay=0.1, clip_norm=1.0)
  first_of_them = 1
  assert states.diverged_at.tolist() == [learner.NOT_DIVERGED] + (STEPS - 1) * [first_of_them]
  for leaf in jax.tree.leaves((states.params, states.average)):
    assert np.isfinite(leaf).all()
    np.testing.assert_array_equal(leaf, np.broadcast_to(leaf[0], leaf.shape))
