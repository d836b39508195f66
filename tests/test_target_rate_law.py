"""A lane with a target rate is trained: where its multiplier comes to rest."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments import closed_form
from vae_jax import (
  bounds,
  densities,
  lanes,
  learner,
  networks,
  objectives,
  optimizers,
)

pytestmark = pytest.mark.run

SIZE, LATENTS, IMAGES = 6, 4, 64
EIGENVALUES = np.array([4.0, 2.0, 1.0, 0.5, 0.25, 0.25])
VARIANCE = 0.25
STEPS, FIRST = 2000, 200
TARGETS = (0.5, 1.0, 2.5, 5.0)
PLAIN = lanes.point(1.0, LATENTS, 0, 2e-2)
# So many steps are sooner done where LLVM optimises; beyond level 1 that costs more than it saves.
COMPILER = {'xla_backend_optimization_level': 1, 'xla_llvm_disable_expensive_passes': False}
EXACT = functools.partial(closed_form.optimum, EIGENVALUES, EIGENVALUES, LATENTS, VARIANCE)


def data_with_these_eigenvalues():
  """Images [n, D] whose covariance has exactly EIGENVALUES, about the mean 0."""
  rng = np.random.default_rng(0)
  axes, _ = np.linalg.qr(rng.normal(size=(SIZE, SIZE)))
  x = rng.normal(size=(IMAGES, SIZE))
  white, _, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
  return (white * np.sqrt(IMAGES * EIGENVALUES) @ axes.T).astype(np.float32)


@functools.cache
def linear_learner(has_targets=True):
  """The linear VAE of `closed_form.optimum`; its learning rate falls to 0 at the end."""
  likelihood = densities.gaussian('fixed', VARIANCE**0.5, 1e-3, 'identity')
  model = networks.make_model(
    encoder=networks.MlpEncoder((), 'relu', 'lecun'),
    posterior=networks.diagonal('lecun'),
    prior=networks.standard_normal(),
    decoder=networks.MlpDecoder((SIZE,), 1, (), 'relu', 'lecun'),
    likelihood=likelihood,
    event=(SIZE,),
  )
  estimator = learner.Estimator(
    model, objectives.beta_elbo(), bounds.analytic_kl, bounds.reparameterized
  )
  schedule = optax.cosine_decay_schedule(1.0, STEPS)
  optimizer = lambda rate: optimizers.adam(lambda count: rate * schedule(count), b2=0.99)  # noqa: E731
  return learner.make_learner(
    estimator, 2, optimizer, learner.draw_antithetic, has_targets=has_targets
  )


def trained(points, steps, **settings):
  """The states [.., G] after each FIRST of so many steps on all images, the rates [steps, G]."""
  one = linear_learner(**settings)
  stacked = lanes.stack(points, LATENTS)
  x = jnp.asarray(data_with_these_eigenvalues())

  def step(states, count):
    def of_lane(state, lane):
      return one.step(state, lane, x, one.draw(lane, IMAGES, count), count)

    states, metrics = jax.vmap(of_lane)(states, stacked)
    return states, metrics['rate']

  def steps_of(states, counts):
    states, rates = jax.lax.scan(step, states, counts)
    return states, (states, rates)

  @functools.partial(jax.jit, compiler_options=COMPILER)
  def run():
    counts = jnp.arange(steps).reshape(-1, FIRST)
    _, (states, rates) = jax.lax.scan(steps_of, jax.vmap(one.init)(stacked), counts)
    return states, rates.reshape(steps, -1)

  return jax.device_get(run())


def slope_at(rate):
  """-dD/dR of the closed form where R is `rate`: finite differences along beta."""
  low, high = 1e-3, EIGENVALUES[0] / VARIANCE
  for _ in range(60):  # R falls with beta
    middle = np.sqrt(low * high)
    low, high = (middle, high) if EXACT(middle).rate > rate else (low, middle)
  less, more = EXACT(low * 0.999), EXACT(low * 1.001)
  return (more.distortion - less.distortion) / (less.rate - more.rate), EXACT(low)


@pytest.fixture(scope='module')
def linear():
  """Lanes at TARGETS that begin at beta 1, and one of beta 1 without a target."""
  points = [lanes.point(1.0, LATENTS, 0, 2e-2, target_rate=rate) for rate in TARGETS]
  return trained([*points, PLAIN], STEPS)


@pytest.mark.parametrize('index', range(len(TARGETS)))
def test_the_multiplier_comes_to_what_a_nat_of_rate_is_worth(linear, index):
  """-dD/dR of probabilistic PCA at that rate: 0.46 to 6.9, from 1 at the start."""
  states, rates = linear
  slope, exact = slope_at(TARGETS[index])
  assert states.multiplier[-1, index] == pytest.approx(slope, rel=0.02)
  assert rates[-1, index] == pytest.approx(TARGETS[index], rel=0.01)
  assert exact.rate == pytest.approx(TARGETS[index], rel=1e-6)


@pytest.mark.parametrize('index', range(len(TARGETS)))
def test_the_rate_settles_without_swinging_about_its_target(linear, index):
  """It comes from above or from below, and from step 700 on is never far on the other side."""
  _, rates = linear
  error = rates[700:, index] / TARGETS[index] - 1
  side = np.sign(error[:100].mean())
  assert np.all(-side * error < 0.03)
  assert np.all(np.abs(error[800:]) < 0.06)


def test_a_lane_without_a_target_keeps_its_beta(linear):
  states, rates = linear
  assert np.all(states.multiplier[:, -1] == 1)
  assert rates[-1, -1] == pytest.approx(EXACT(1.0).rate, rel=0.01)


def test_a_lane_without_a_target_is_the_same_to_the_bit_in_a_study_without_any(linear):
  """States differ by the multiplier alone; of one width, whatever is beside it."""
  mixed, rates = linear
  without, alone = trained([PLAIN] * (len(TARGETS) + 1), FIRST, has_targets=False)
  assert without.multiplier is None
  of_lane = lambda tree: jax.tree.map(lambda leaf: leaf[0, -1], tree)  # noqa: E731
  jax.tree.map(
    np.testing.assert_array_equal, of_lane(mixed._replace(multiplier=None)), of_lane(without)
  )
  np.testing.assert_array_equal(rates[:FIRST, -1], alone[:, -1])
