"""Lanes in one program: exactness of padding, independence of lanes, one trace."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend import core
from jax.sharding import PartitionSpec

from vae_jax import (
  bounds,
  data,
  densities,
  lanes,
  learner,
  networks,
  objectives,
  optimizers,
  placement,
  programs,
)
from vae_jax.fast import ahead

pytestmark = pytest.mark.run

EVENT = (6, 6, 1)
STEPS = 200
# Three lanes of one width, which most tests train: one program for all of them.
PLAIN = [(1.0, 3, 0, 1e-3), (4.0, 5, 1, 1e-3), (0.1, 2, 2, 3e-3)]


@functools.cache
def make_training(
  rate=bounds.analytic_kl,
  num_samples=2,
  objective=None,
  posterior=None,
  prior=None,
  gradient=bounds.reparameterized,
) -> programs.Training:
  model = networks.make_model(
    encoder=networks.MlpEncoder((16,), 'relu', 'lecun'),
    posterior=posterior or networks.diagonal('lecun'),
    prior=prior or networks.standard_normal(),
    decoder=networks.MlpDecoder(EVENT, 1, (16,), 'relu', 'lecun'),
    likelihood=densities.bernoulli(),
    event=EVENT,
  )
  objective = objective or objectives.beta_elbo()
  estimator = learner.Estimator(model, objective, rate, gradient)
  optimizer = lambda rate: optimizers.adam(lambda count: rate)  # noqa: E731
  one_lane = learner.make_learner(estimator, num_samples, optimizer)
  schedule = data.Schedule(seed=0, batch_size=20, chunk_steps=STEPS)
  return programs.Training(one_lane, schedule, 255.0, True, placement.of_width(1, 20))


@pytest.fixture(scope='module')
def images():
  """Bars on a dark ground: something that a small model can learn."""
  rng = np.random.default_rng(0)
  grey = rng.integers(0, 60, (90, *EVENT))
  for i, image in enumerate(grey):
    image[:, i % 6] += 180
  return jnp.asarray(grey, jnp.uint8)


def stack(points, width):
  return lanes.stack([lanes.point(*point) for point in points], width)


@functools.cache
def compiled(training, num_lanes, width, rows):
  """The initialisation and the chunk of a training: other points go through the same programs."""
  place = placement.of_width(num_lanes, training.schedule.batch_size)
  training = training._replace(placement=place)
  stacked = stack([PLAIN[0]] * num_lanes, width)
  init = programs.lanewise(training.learner.init, place, per_lane=1)
  return training, init, programs.compile_chunk(training, stacked, rows)


def begin(training, points, width, images):
  """The states at step 0, and (states, first, stop) -> states, metrics."""
  stacked = stack(points, width)
  rows = data.Rows(jax.ShapeDtypeStruct(images.shape, images.dtype))
  training, init, chunk = compiled(training, len(points), width, rows)
  feed = data.resident(images, training.schedule, training.placement.everywhere)

  def take(states, first, stop):
    return programs.take_chunk(training, chunk, states, stacked, feed, first, stop)

  return init(stacked), take


def trained(training, points, width, images, steps=STEPS):
  states, take = begin(training, points, width, images)
  return take(states, 0, steps)


def lane_of(states, i):
  return jax.tree.map(lambda leaf: np.asarray(leaf)[i], states)


def assert_bit_equal(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


def bars(images):
  """The first image in black and white, as often as there are images: every batch is the same."""
  return jnp.tile(jnp.uint8(255) * (images[:1] > 120), (len(images), 1, 1, 1))


FLOW = dict(num_layers=3, hidden=(8,))
LOWER = 4
VARIANTS = {
  'analytic': dict(),
  'sampled': dict(rate=bounds.sampled_kl),
  'full covariance': dict(posterior=networks.full_covariance('lecun')),
  'flows': dict(
    rate=bounds.sampled_kl,
    posterior=networks.flow_posterior('lecun', **FLOW),
    prior=networks.flow_prior(**FLOW),
  ),
  'mixture': dict(
    rate=bounds.sampled_kl,
    prior=networks.mixture(5),
    objective=objectives.iwae(),
    gradient=bounds.doubly_reparameterized(bounds.path_weights(1, 0.0)),
  ),
  'vamp': dict(
    rate=bounds.sampled_kl,
    prior=networks.vamp(EVENT, 'unit', 5),
    gradient=bounds.sticking_the_landing,
  ),
  'tcvae': dict(objective=objectives.beta_tcvae(90)),
  'dip': dict(objective=objectives.dip_vae_ii(10.0)),
}
# The others are slow: they differ in one part each, whose mask test_posteriors, test_priors,
# test_models and test_objectives see by itself.
QUICK = ('analytic',)
# Whatever a lane can have: each of them sees the mask in its own way.
WEIGHTED = (0.5, 3, 7, 1e-3, 'linear', 50, 0.1, 3.0, 100, 0.2)


@pytest.mark.parametrize(
  'variant',
  [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS],
)
def test_a_padded_lane_is_the_unpadded_model_after_200_steps(images, variant):
  training = make_training(**VARIANTS[variant])
  unpadded, metrics = trained(training, [WEIGHTED], 3, images)
  padded, padded_metrics = trained(training, [WEIGHTED], 5, images)

  def check(path, one, other):
    active = tuple(slice(0, size) for size in one.shape)
    np.testing.assert_allclose(
      other[active], one, rtol=1e-4, atol=5e-5, err_msg=jax.tree_util.keystr(path)
    )
    rest = np.array(other)
    rest[active] = 0
    assert not np.any(rest), f'inert weights moved at {path}'

  jax.tree_util.tree_map_with_path(check, unpadded.params, padded.params)
  for name, value in metrics.items():
    np.testing.assert_allclose(padded_metrics[name], value, rtol=1e-4, err_msg=name)
  start, _ = begin(training, [WEIGHTED], 3, images)
  both = jax.device_get((start.params, unpadded.params))
  moved = jax.tree.map(lambda a, b: np.abs(a - b).max(), *both)
  assert min(jax.tree.leaves(moved)) > 1e-3  # the comparison above is not of two idle models


def test_a_lane_that_diverges_is_frozen_and_leaves_the_others_bit_equal(images):
  """The same width with and without the bad lane; it holds its last finite parameters."""
  training = make_training()
  good = PLAIN[:2]
  clean, clean_metrics = trained(training, [*good, (1.0, 5, 2, 1e-3)], 5, images)
  dirty, dirty_metrics = trained(training, [*good, (1.0, 5, 2, 1e8)], 5, images)
  for i in range(2):
    assert_bit_equal(lane_of(clean, i), lane_of(dirty, i))
    assert_bit_equal(lane_of(clean_metrics, i), lane_of(dirty_metrics, i))
  np.testing.assert_array_equal(dirty.diverged_at[:2], learner.NOT_DIVERGED)
  step = int(dirty.diverged_at[2])
  assert 0 < step < STEPS
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(lane_of(dirty, 2).params))
  until, _ = trained(training, [*good, (1.0, 5, 2, 1e8)], 5, images, steps=step)
  assert_bit_equal(lane_of(until, 2).params, lane_of(dirty, 2).params)


def test_a_diverged_lane_stays_frozen_when_its_numbers_are_finite_again(images):
  """Another batch may be finite once more: a lane that has diverged does not come back."""
  states, take = begin(make_training(), PLAIN[:1], 3, images)
  start = jax.device_get(states)
  frozen = states._replace(diverged_at=np.full_like(start.diverged_at, 4))
  kept, _ = jax.device_get(take(frozen, 9, 10))
  assert_bit_equal(kept.params, start.params)
  np.testing.assert_array_equal(kept.diverged_at, 4)
  states, take = begin(make_training(), PLAIN[:1], 3, images)
  moved, _ = take(states, 9, 10)
  kernels = [s.params['decoder']['params']['output']['kernel'] for s in (start, moved)]
  assert not np.array_equal(*kernels)


def test_a_lane_does_not_depend_on_its_slot(images):
  training = make_training()
  forward, _ = trained(training, PLAIN, 5, images)
  backward, _ = trained(training, PLAIN[::-1], 5, images)
  for i in range(3):
    assert_bit_equal(lane_of(forward, i), lane_of(backward, 2 - i))


def test_a_lane_alone_is_the_lane_in_the_sweep(images):
  """Same draws whatever the neighbours and the padding: what is left is rounding."""
  training = make_training()
  together, metrics = trained(training, PLAIN, 5, images, steps=20)
  for i, point in enumerate(PLAIN):
    alone, alone_metrics = trained(training, [point], 5, images, steps=20)
    difference = jax.tree.map(
      lambda a, b: np.abs(a - b).max(), lane_of(alone.params, 0), lane_of(together.params, i)
    )
    # A step of Adam is 1e-3, whatever is drawn; how much of it is rounding is up to the processor.
    assert max(jax.tree.leaves(difference)) < 1e-5
    for name in metrics:
      np.testing.assert_allclose(alone_metrics[name][0], metrics[name][i], rtol=1e-5)


def test_seeds_differ_and_the_same_seed_agrees(images):
  training = make_training()
  points = [(1.0, 3, seed, 1e-3) for seed in (0, 1, 0)]
  states, take = begin(training, points, 5, images)
  start = jax.device_get(states)
  states, _ = take(states, 0, 5)
  assert_bit_equal(lane_of(start, 0), lane_of(start, 2))
  assert_bit_equal(lane_of(states, 0), lane_of(states, 2))
  for states_at in (start, states):
    kernel = np.asarray(states_at.params['encoder']['params']['mlp']['hidden_0']['kernel'])
    assert np.abs(kernel[0] - kernel[1]).max() > 0.1


def test_the_noise_of_a_lane_is_its_seeds(images):
  """The same parameters, batch and step with two seeds: not the initialisation alone differs."""
  elbos = []
  for seed in (0, 1):
    states, _ = begin(make_training(), PLAIN[:1], 3, bars(images))
    _, take = begin(make_training(), [(1.0, 3, seed, 1e-3)], 3, bars(images))
    elbos.append(float(take(states, 0, 1)[1]['batch/elbo'][0]))
  assert elbos[0] != elbos[1]


def test_chunks_do_not_change_the_result(images):
  """200 steps at once, or 130 and 70 through the same program; metrics average what was taken."""
  training = make_training()
  whole, metrics = trained(training, PLAIN, 5, images)
  states, take = begin(training, PLAIN, 5, images)
  states, early = take(states, 0, 130)
  states, late = take(states, 130, 200)
  assert_bit_equal(jax.device_get(whole), jax.device_get(states))
  for name, value in metrics.items():
    np.testing.assert_allclose(value, (130 * early[name] + 70 * late[name]) / 200, rtol=1e-5)


@pytest.mark.slow  # of the loop alone in test_fast, of a step by hand in test_first_steps
@pytest.mark.parametrize('steps_ahead', [1, 3])
def test_noise_that_is_drawn_ahead_is_that_of_its_step(
  images, steps_ahead, monkeypatch, emitter_of_users
):
  """Bit for bit, in whatever blocks, whole or not: [20, 2, 5] numbers a step."""
  anew = make_training.__wrapped__  # the other tests' program is of the other emitter
  whole, metrics = trained(anew(), PLAIN[:2], 5, images, steps=20)
  monkeypatch.setattr(ahead, '_BYTES', steps_ahead * 20 * 2 * 5 * 4)
  blocks, metrics_of_blocks = trained(anew(), PLAIN[:2], 5, images, steps=20)
  assert_bit_equal(jax.device_get(whole), jax.device_get(blocks))
  assert_bit_equal(metrics, metrics_of_blocks)


def test_the_noise_is_fresh_at_every_step_and_for_every_example(images):
  """The same state and batch: another step gives other noise, the same step the same."""
  evaluate = make_training().learner.evaluate
  elbos = []
  for count in (0, 1, 2, 0):
    states, take = begin(make_training(), PLAIN[:1], 3, bars(images))
    params = lane_of(states, 0).params
    elbos.append(float(take(states, count, count + 1)[1]['batch/elbo'][0]))
  assert len(set(elbos)) == 3
  assert elbos[0] == elbos[3]
  lane = lane_of(stack(PLAIN[:1], 3), 0)
  batch = np.tile(np.asarray(images)[:1] / np.float32(255), (4, 1, 1, 1))
  one_at_a_time = jax.jit(
    jax.vmap(lambda weights: evaluate(params, lane, batch, 0, weights)[0]['distortion'])
  )(np.eye(4, dtype='f'))
  assert len(set(np.asarray(one_at_a_time).tolist())) == 4


def equations(jaxpr):
  for equation in jaxpr.eqns:
    yield equation
    for inner in core.jaxprs_in_params(equation.params):
      yield from equations(inner)


def test_parameters_and_their_gradients_are_whole_on_each_device_of_a_lane(images):
  """By what the compilers are told, see `placement.whole`; that of a CPU does so by itself."""
  training, lane = make_training(), stack([PLAIN[0]], 5)
  rows = data.Rows(jax.ShapeDtypeStruct(images.shape, images.dtype))
  run = functools.partial(programs.run_chunk, training)
  program = programs.lanewise(run, training.placement)
  shapes = program.shapes(*programs.chunk_shapes(training, lane, rows))
  found = [
    equation.outvars[0].aval.shape
    for equation in equations(jax.make_jaxpr(program.program)(*shapes).jaxpr)
    if equation.primitive.name == 'sharding_constraint'
    and equation.params['sharding'].spec == PartitionSpec()
  ]
  params = programs.state_shapes(training.learner, lane).params
  for leaf in jax.tree.leaves(params):
    assert found.count(leaf.shape[1:]) >= 2
  assert placement.whole(params) is params  # where there are no devices to be told of


def test_a_new_beta_seed_or_latent_size_is_not_retraced(images):
  traces = 0
  plain = objectives.beta_elbo()

  def combine(*args):
    nonlocal traces
    traces += 1
    return plain.combine(*args)

  training = make_training(objective=plain._replace(combine=combine))
  chunk = functools.partial(programs.run_chunk, training)
  program = programs.lanewise(chunk, training.placement).program
  points = [
    (1.0, 3, 0, 1e-3),
    (4.0, 2, 1, 1e-2, 'linear', 3),
    (0.0, 5, 9, 1e-4, 'cyclical', 2, 0.5),
    (2.0, 5, 9, 1e-4, 'constant', 0, 0.0, 5.0, 100),
  ]
  for point in points:
    stacked = stack([point], 5)
    states, _ = begin(make_training(), [point], 5, images)  # which do not depend on the objective
    for first, stop in [(0, 3), (3, 5)]:
      indices = data.batch_indices(0, first, STEPS, 20, len(images))
      rows = data.Rows(images)
      program(states, stacked, rows, indices, np.int32(first), np.int32(stop))
    assert program._cache_size() == 1
    assert traces == 1


def test_beta_weighs_the_rate(images):
  """Along beta the trained rate falls and the distortion rises."""
  training = make_training()
  points = [(beta, 4, 0, 3e-3) for beta in (0.0, 0.5, 4.0)]
  states, take = begin(training, points, 5, images)
  states, _ = take(states, 0, 200)
  metrics = jax.device_get(take(states, 200, 400)[1])
  assert np.all(np.diff(metrics['batch/rate']) < 0)
  assert np.all(np.diff(metrics['batch/distortion']) > 0)
  betas = np.asarray(stack(points, 5).beta)
  objective = -metrics['batch/distortion'] - betas * metrics['batch/rate']
  np.testing.assert_allclose(metrics['batch/objective'], objective, rtol=1e-5)
  np.testing.assert_allclose(
    metrics['batch/elbo'], -metrics['batch/distortion'] - metrics['batch/rate'], rtol=1e-5
  )


def test_a_step_weighs_the_rate_by_its_number(images):
  """A warm-up counts the steps taken, in the objective and so in what is learned."""
  training = make_training()
  points = [(3.0, 3, 0, 1e-3, 'linear', 4), *[(3.0, 3, 0, 1e-3)] * 2]
  states, take = begin(training, points, 5, images)
  for step, beta in enumerate((0.0, 0.75, 1.5, 2.25, 3.0, 3.0)):
    states, metrics = take(states, step, step + 1)
    metrics = jax.device_get(metrics)
    expected = -metrics['batch/distortion'] - np.array([beta, 3.0, 3.0]) * metrics['batch/rate']
    np.testing.assert_allclose(metrics['batch/objective'], expected, rtol=1e-5)
  kernels = states.params['encoder']['params']['mlp']['hidden_0']['kernel']
  assert not np.array_equal(kernels[0], kernels[1])
