"""Why a lane diverged: what was not finite first, the inputs of that step, what to try."""

import functools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import data, lanes, placement, programs, study
from vae_jax.runs import evaluating, outcome, states, training
from vae_jax.runs.outcome import divergence

pytestmark = pytest.mark.run


@pytest.fixture(scope='module')
def built():
  from conftest import small_config

  config = small_config()
  config['data'] |= dict(binarize='threshold')
  return study.from_config(config)


@pytest.fixture(scope='module')
def examine(built):
  return programs.make_examine(built.training)


@functools.cache
def over_lanes(init):
  """One program for all tests of a study."""
  return jax.jit(jax.vmap(init))


def lane_of(built, **changes):
  """The parameters of a lane, each named leaf set to a number, and the lane."""
  state = jax.device_get(over_lanes(built.training.learner.init)(built.lanes))
  params, lane = placement.lane_of(state.params, 1), placement.lane_of(built.lanes, 1)

  def changed(path, leaf):
    name = jax.tree_util.keystr(path)
    hits = [value for part, value in changes.items() if all(w in name for w in part.split())]
    return leaf * 0 + hits[0] if hits else leaf

  return jax.tree_util.tree_map_with_path(changed, params), lane


def test_a_sound_step_has_nothing_that_is_not_finite(built, examine):
  params, lane = lane_of(built)
  assert examine(params, lane, built.dataset.train, 3).first() == ''


@pytest.mark.parametrize(
  ('changes', 'first'),
  [
    ({'decoder output bias': np.nan}, 'the parameters'),
    ({'encoder kernel': 1e38}, 'the mean of the posterior'),
    ({'decoder output kernel': 3e38}, 'the log-likelihood'),
    # A mean of 1e25 is a logit of about as much, which a Bernoulli bears, and squares to infinity.
    ({'posterior loc bias': 1e25}, 'the rate'),
    # 32 x (4e18)^2 / 2 = 2.6e38 is finite, and so are its derivatives, but not their squares.
    ({'posterior loc bias': 4e18}, 'the square of the gradient'),
  ],
)  # fmt: skip
def test_what_is_not_finite_first_is_named(built, examine, changes, first):
  params, lane = lane_of(built, **changes)
  assert examine(params, lane, built.dataset.train, 0).first() == first


def test_an_objective_that_beta_makes_infinite_is_named(built, examine):
  params, lane = lane_of(built, **{'posterior loc bias': 1e5})
  found = examine(params, lane._replace(beta=np.float32(1e30)), built.dataset.train, 0)
  assert found.first() == 'the objective'


def test_the_largest_x_is_that_of_the_step(built, examine):
  """One pixel of one image, which the batch of step 5 holds and that of step 6 does not."""
  params, lane = lane_of(built)
  images = np.asarray(built.dataset.train, np.float32)
  seed, size = built.training.schedule.seed, built.training.schedule.batch_size
  batch, after = data.batch_indices(seed, 5, 2, size, len(images))
  (image,) = set(batch[:1]) - set(after)
  images[image, 3, 3, 0] = -777 * built.dataset.scale
  assert examine(params, lane, images, 5).largest_x == 777
  assert examine(params, lane, images, 6).largest_x == 1


def test_it_is_the_step_with_its_own_batch_and_noise(built, examine):
  """Gradients whose squares overflow for most draws: the very steps at which the learner stops."""
  params, lane = lane_of(built, **{'posterior log_scale bias': 30.0, 'decoder mlp kernel': 1e4})
  lane = lane._replace(beta=np.float32(0))  # the rate is 1e26, whatever the noise
  one, schedule, images = built.training.learner, built.training.schedule, built.dataset.train
  state = jax.jit(one.init)(lane)._replace(params=params)

  @jax.jit
  def stops(stored, count):
    batch = data.to_batch(stored, built.training.scale, False, schedule.seed, count)
    noise = one.draw(lane, schedule.batch_size, count)
    return one.step(state, lane, batch, noise, count)[0].diverged_at == count

  indices = data.batch_indices(schedule.seed, 0, 12, schedule.batch_size, len(images))
  expected = [bool(stops(images[rows], count)) for count, rows in enumerate(indices)]
  assert len(set(expected)) == 2
  assert [examine(params, lane, images, count).first() != '' for count in range(12)] == expected


def findings(first='rate', largest_x=1.0):
  sound = programs.Findings(*[True] * 4, {}, *[True] * 3, largest_x)
  return sound._replace(**{first: False})


@pytest.mark.parametrize(
  ('found', 'point', 'step', 'mode', 'reason'),
  [
    (
      findings('log_likelihood'),
      lanes.point(1.0, 2, 0, 1e8),
      3,
      'per_pixel',
      'the log-likelihood was not finite first (largest |x| of its batch 1); lower '
      'lanes.learning_rate=1e+08, or set schedule.warmup_steps',
    ),
    (
      findings('rate', largest_x=4095.0),
      lanes.point(1.0, 2, 0, 1e-3),
      0,
      'per_pixel',
      'the rate was not finite first (largest |x| of its batch 4095); the data are far from unit '
      "scale: data.standardize='per_pixel'",
    ),
    (
      findings('objective'),
      lanes.point(1e30, 2, 0, 1e-3),
      0,
      '',
      'the objective was not finite first (largest |x| of its batch 1); lower lanes.beta=1e+30',
    ),
    (
      findings('log_likelihood', largest_x=255.0),
      lanes.point(1.0, 2, 0, 1e-3),
      0,
      '',
      'the log-likelihood was not finite first (largest |x| of its batch 255); no update was made '
      'yet: it is the start that is not finite, so look at likelihood',
    ),
  ],
)
def test_a_reason_has_the_term_the_largest_x_and_one_hint(found, point, step, mode, reason):
  assert divergence._reason(found, point, step, mode) == reason


@pytest.mark.parametrize(
  ('changes', 'mode'),
  [
    (dict(support='real'), 'all'),
    (dict(support='uint8'), ''),
    (dict(support='real', standard=data.Standard(np.zeros(1), np.ones(1))), ''),
    (dict(support='real', train=np.zeros((9, 3), np.float32)), 'per_pixel'),
  ],
)
def test_only_real_values_that_are_not_standardised_are_told_to_be(built, changes, mode):
  dataset = built.dataset._replace(**changes)
  assert divergence._standardize(built._replace(dataset=dataset)) == mode


def test_a_lane_of_turns_is_that_lane(built):
  tree = {'a': np.arange(8).reshape(4, 2)}
  turns = placement.on_devices(built.at_width(3).place, tree)
  for i in range(4):
    np.testing.assert_array_equal(placement.lane_of(turns, i)['a'], tree['a'][i])
    np.testing.assert_array_equal(placement.lane_of(tree, i)['a'], tree['a'][i])


@pytest.mark.usefixtures('traced_once', 'no_estimates')
def test_the_reason_is_said_once_and_an_older_checkpoint_gets_it_at_the_end(
  config, tmp_path, monkeypatch, caplog
):
  """Lane 1 of two in turn diverges; the checkpoints before have no reasons in their record."""
  caplog.set_level(logging.WARNING)
  config['lanes'] |= dict(learning_rate=(1e-3, 1e8), beta=(1.0,), latent_size=(5,))
  config['train'] |= dict(steps=20, checkpoint_every=10)
  config['program'] |= dict(width=1)
  result = training.run(config, tmp_path / 'run')
  good, bad = result.rows
  assert good['reason'] is None
  said = [r.getMessage() for r in caplog.records if 'diverged at' in r.getMessage()]
  assert said == [f'{bad["name"]}: diverged at step {bad["step"]}: {bad["reason"]}']
  assert (
    'was not finite first (largest |x| of its batch 1); lower lanes.learning_rate=1e+08'
    in (bad['reason'])
  )
  original = states.checkpoint.restore_newest

  def older(*arguments):
    found = original(*arguments)
    del found.record['reasons']
    return found

  monkeypatch.setattr(states.checkpoint, 'restore_newest', older)
  again = evaluating.evaluate(tmp_path / 'run', None, None)
  assert [row['reason'] for row in again.rows] == [None, bad['reason']]
  assert again.exit_code == 3


def examined(built, images):
  """The findings of steps 7 and 8 of the first lane, which are finite at step 7 alone."""
  one = built.training.learner
  at = lambda value, step: jnp.where(step == 7, value, jnp.nan)  # noqa: E731
  combine = lambda means, lane, step: at(one.estimator.objective.combine(means, lane, 0), step)  # noqa: E731
  estimator = one.estimator._replace(objective=one.estimator.objective._replace(combine=combine))
  learner_of_seven = one._replace(
    estimator=estimator, draw=lambda lane, size, step: at(one.draw(lane, size, step), step)
  )
  examine = programs.make_examine(built.training._replace(learner=learner_of_seven))
  params, lane = lane_of(built)
  return [examine(params, lane, images, step) for step in (7, 8)]


@pytest.mark.parametrize(
  ('binarize', 'largest_x'),
  [pytest.param('none', 200 / 250, marks=pytest.mark.slow), ('dynamic', 1.0)],
)
def test_what_is_examined_is_the_step_itself(config, binarize, largest_x):
  """Its images in the units of training, drawn anew where they are; its noise and its weights."""
  config['data'] |= dict(binarize=binarize)
  config['likelihood'] |= dict(name='bernoulli' if binarize == 'dynamic' else 'cross_entropy')
  built = study.from_config(config)
  built = built._replace(training=built.training._replace(scale=250.0))
  found, after = examined(built, np.full((90, 8, 8, 1), 200, np.uint8))
  assert found.first() == ''
  assert found.largest_x == pytest.approx(largest_x)
  assert after.first() == 'the log-likelihood'


def test_the_lane_that_diverged_is_examined_on_the_training_images(built):
  """Of four lanes the last, with its own parameters, at its own step; those known stay."""
  asked = []

  def examine(params, lane, images, step, beside):
    assert beside == data.NOTHING
    asked.append((params, lane, images, step))
    return findings('rate', largest_x=float(step))

  dataset = built.dataset._replace(train_fixed=built.dataset.train.copy())
  built = built._replace(dataset=dataset)  # what is fixed is another array
  state = over_lanes(built.training.learner.init)(built.lanes)
  state = state._replace(diverged_at=np.array([-1, 5, -1, 9], np.int32))
  progress = outcome.begun(state, 4)._replace(reasons=[None, 'known', None, None])
  found = outcome.explained(built, examine, progress).reasons
  ((params, lane, images, step),) = asked
  assert step == 9
  assert images is built.dataset.train
  jax.tree.map(np.testing.assert_array_equal, params, placement.lane_of(state.params, 3))
  jax.tree.map(np.testing.assert_array_equal, lane, placement.lane_of(built.lanes, 3))
  assert found[:3] == [None, 'known', None]
  assert found[3].startswith('the rate was not finite first (largest |x| of its batch 9)')
