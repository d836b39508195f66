"""Lanes that stop for want of a better evaluation, and the parameters of the best one."""

import contextlib
import copy
import functools
import itertools
import os
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT
from keeping import Programs, config_of

from vae_jax import (
  lanes,
  laws,
  learner,
  objectives,
  placement,
  programs,
  records,
  study,
  tracking,
  weighting,
)
from vae_jax.runs import checkpoint, outcome, states
from vae_jax.runs.outcome import choice

pytestmark = pytest.mark.run


@pytest.fixture(scope='module')
def compiled(traced_once):
  return Programs(config_of())


@pytest.fixture(scope='module')
def trained(compiled, tmp_path_factory):
  """The study with no patience, with that of one evaluation, and with the best kept beside it."""
  root = tmp_path_factory.mktemp('trained')
  runs = {
    'whole': compiled.train(root / 'whole'),
    'patient': compiled.train(root / 'patient', patience=1),
    'best': compiled.train(root / 'best', patience=1, keep='best'),
    'best whole': compiled.train(root / 'best whole', keep='best'),
  }
  return root, runs


def rows_of(root, name):
  return records.read_metrics(root / name / 'metrics.jsonl')


def params_of_lane(progress, lane):
  return jax.device_get(placement.lane_of(placement.joined(outcome.whole(progress)), lane))


def assert_equal(one, other):
  one, other = (jax.device_get(placement.joined(states)) for states in (one, other))
  jax.tree.map(np.testing.assert_array_equal, one, other)


def stops_by_hand(rows, patience):
  """When each lane stops and what its best is, read off the rows of a run in which none stopped."""
  found = {}
  for lane in sorted({row['lane'] for row in rows}):
    best, best_step, waited, stop = None, None, 0, None
    for row in rows:
      if row['lane'] != lane or 'test/objective' not in row or stop is not None:
        continue
      if best is None or row['test/objective'] > best:
        best, best_step, waited = row['test/objective'], row['step'], 0
      else:
        waited += 1
      if waited == patience and row['step'] < 80:
        stop = row['step']
    found[lane] = (best_step, stop)
  return found


def test_lanes_stop_where_the_rows_of_the_whole_run_say(trained):
  root, runs = trained
  expected = stops_by_hand(rows_of(root, 'whole'), patience=1)
  assert {stop is None for _, stop in expected.values()} == {True, False}  # some do, some do not
  chosen = runs['patient'].choice
  assert list(zip(chosen.best_step, chosen.stopped_at, strict=True)) == list(expected.values())


def test_the_bits_of_a_lane_do_not_depend_on_who_left(trained):
  """To its stop each lane is what it is in the run in which nobody left, rows included."""
  root, runs = trained
  stopped_at = runs['patient'].choice.stopped_at
  for lane, stop in enumerate(stopped_at):
    if stop is None:
      assert_equal(params_of_lane(runs['patient'], lane), params_of_lane(runs['whole'], lane))
  assert len(runs['patient'].lanes) < 5
  kept = [
    row for row in rows_of(root, 'whole')
    if stopped_at[row['lane']] is None or row['step'] <= stopped_at[row['lane']]
  ]  # fmt: skip
  assert rows_of(root, 'patient') == kept


@pytest.mark.slow
def test_the_same_on_eight_simulated_devices(tmp_path):
  """Four lanes at a time, each on a device of its own."""
  devices = {'XLA_FLAGS': '--xla_force_host_platform_device_count=8', 'KEEPING_WIDTH': '4'}
  chosen = 'rows_of_the_whole or bits_of_a_lane or best_parameters'
  cache = f'cache_dir={tmp_path}'
  process = subprocess.run(
    [sys.executable, '-m', 'pytest', '-q', '-n0', '-o', cache, __file__, '-k', chosen],
    env=os.environ | devices,
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert process.returncode == 0, process.stdout


def test_a_lane_that_stopped_has_the_parameters_of_its_stop(compiled, trained, tmp_path):
  _, runs = trained
  stopped_at = runs['patient'].choice.stopped_at
  lane = next(i for i, step in enumerate(stopped_at) if step is not None)
  short = compiled.train(tmp_path / 'short', steps=stopped_at[lane])
  assert_equal(params_of_lane(runs['patient'], lane), params_of_lane(short, lane))


def test_the_best_parameters_are_those_of_the_best_step_and_evaluate_to_its_figures(
  compiled, trained
):
  root, runs = trained
  for name in ('best', 'best whole'):
    progress = runs[name]
    found = outcome.host(
      outcome.metrics_of(compiled.evaluate(outcome.that_counts(progress), progress.step))
    )
    for lane, step in enumerate(progress.choice.best_step):
      rows = [row for row in rows_of(root, name) if (row['lane'], row['step']) == (lane, step)]
      for metric in ('test/objective', 'train/distortion'):
        assert found[metric][lane] == pytest.approx(rows[0][metric], abs=0)
        assert progress.evaluated[metric][lane] == rows[0][metric]
  assert any(step < 80 for step in runs['best whole'].choice.best_step)
  assert rows_of(root, 'best whole') == rows_of(root, 'whole')
  assert_equal(outcome.whole(runs['best whole']), outcome.whole(runs['whole']))


def test_all_lanes_stop_and_the_run_ends(compiled, tmp_path):
  """And stays ended: called again with more steps, it takes none."""
  fast, slow = copy.copy(compiled), compiled.study.lanes
  high = np.maximum(slow.learning_rate, np.float32(1e-1))  # at which all stop soon
  fast.study = compiled.study._replace(lanes=slow._replace(learning_rate=high))
  progress = fast.train(tmp_path / 'run', patience=1, steps=1000, checkpoint_every=200)
  assert progress.step < 1000
  assert progress.choice.training == []
  assert max(progress.choice.stopped_at) == progress.step
  again = fast.train(tmp_path / 'run', patience=1, steps=2000, checkpoint_every=200)
  assert again.step == progress.step
  assert_equal(outcome.whole(again), outcome.whole(progress))


def test_what_a_checkpoint_holds_comes_back(compiled, trained):
  """Without the best it holds what it always did."""
  root, runs = trained
  for name in ('whole', 'patient', 'best'):
    keep = 'best' if name == 'best' else 'last'
    built = compiled.settings(patience=1, keep=keep)
    with states_of(root / name) as manager:
      found = states.restored(built, manager)
    assert found.choice == runs[name].choice
    assert found.evaluated == runs[name].evaluated
    assert_equal(outcome.that_counts(found), outcome.that_counts(runs[name]))
    assert_equal(outcome.whole(found), outcome.whole(runs[name]))


def states_of(directory):
  return contextlib.closing(checkpoint.open_manager(directory / 'checkpoints'))


class Killed(BaseException):
  """Stands for kill -9 where it strikes: nothing after it is done."""


@pytest.mark.parametrize(
  ('patience', 'keep', 'name'),
  [pytest.param(1, 'last', 'patient', marks=pytest.mark.slow), (1, 'best', 'best')],
)
def test_a_chain_of_kills_ends_with_the_same_bits(
  compiled, trained, tmp_path, monkeypatch, patience, keep, name
):
  """Before and after each write of the journal and of a checkpoint, one kill an attempt."""
  root, runs = trained
  calls, strike = itertools.count(), [0]

  def struck(function):
    def call(*arguments, **keywords):
      if next(calls) == strike[0]:
        raise Killed
      result = function(*arguments, **keywords)
      if next(calls) == strike[0]:
        raise Killed
      return result

    return call

  monkeypatch.setattr(tracking.Tracker, 'write', struck(tracking.Tracker.write))
  monkeypatch.setattr(states.checkpoint, 'save', struck(states.checkpoint.save))
  for kill in range(40):
    calls, strike[0] = itertools.count(), kill % 7 + 1
    try:
      progress = compiled.train(tmp_path / 'run', patience=1, keep=keep)
      break
    except Killed:
      continue
  assert 5 < kill < 39
  assert progress.choice == runs[name].choice
  assert progress.evaluated == runs[name].evaluated
  assert_equal(outcome.whole(progress), outcome.whole(runs[name]))
  assert_equal(outcome.that_counts(progress), outcome.that_counts(runs[name]))
  journals = [path / 'metrics.jsonl' for path in (root / name, tmp_path / 'run')]
  assert journals[0].read_bytes() == journals[1].read_bytes()


def test_lanes_keep_the_slot_that_they_have_among_all():
  assert placement.in_own_slots([0, 1, 2, 3, 4], 2) == ([0, 1, 2, 3, 4, 0], [0, 1, 2, 3, 4])
  assert placement.in_own_slots([1, 3, 4], 2) == ([4, 1, 1, 3], [1, 3, 0])
  for kept in itertools.combinations(range(9), 4):
    slots, places = placement.in_own_slots(kept, 4)
    assert [slots[place] for place in places] == list(kept)
    assert [place % 4 for place in places] == [i % 4 for i in kept]
    assert len(slots) <= 12


def chosen(values, patience, **point):
  """What is chosen of one lane that is evaluated at 10, 20, ... to these values."""
  built = types.SimpleNamespace(
    points=[lanes.point(**point)],
    train=types.SimpleNamespace(evaluate_every=10, patience=patience),
    is_settled=weighting.is_settled,
  )
  found = choice.nothing_chosen(1)
  for step, value in zip(range(10, 999, 10), values, strict=False):
    found, _ = choice.after_evaluation(built, found, step, [value])
    found = found.stopping(patience, step)
    if not found.training:
      break
  return found.best[0], found.best_step[0], found.stopped_at[0]


@pytest.mark.parametrize(
  ('values', 'patience', 'found'),
  [
    ([-3.0, -2.0, -1.0, -4.0], 1, (-1.0, 30, 40)),
    ([-3.0, -2.0, -2.0], 1, (-2.0, 20, 30)),  # as good is no better
    ([-3.0, -4.0, -2.0, -5.0, -6.0, -1.0], 2, (-2.0, 30, 50)),
    ([-3.0, -4.0, -5.0, -6.0], 0, (-3.0, 10, None)),
    ([None, None, -1.0], 2, (None, 20, 20)),  # of a lane that diverged
    ([None, -2.0, None, None], 2, (-2.0, 20, 40)),
  ],
)
def test_patience_is_counted_in_evaluations_that_are_no_better(values, patience, found):
  assert chosen(values, patience) == found


def test_an_evaluation_in_a_warm_up_is_no_best():
  """Of 25 steps: the values at 10 and 20 are of a lower weight of the rate, and so higher."""
  values = [-1.0, -2.0, -9.0, -8.0, -8.5]
  assert chosen(values, 1, warmup='linear', warmup_steps=25) == (-8.0, 40, 50)
  assert chosen(values, 1, capacity=3.0, capacity_steps=30) == (-8.0, 40, 50)
  assert chosen(values, 1, target_rate=3.0) == (None, 50, None)
  assert chosen(values[:2], 1, warmup='cosine', warmup_steps=25) == (None, 20, None)


@jax.jit
@functools.partial(jax.vmap, in_axes=(None, 0), out_axes=1)
def weights_at(lane, step):
  """Beta and the capacity at each step, [2, steps]."""
  return jnp.stack([weighting.beta_at(lane, step), weighting.capacity_at(lane, step)])


@pytest.mark.parametrize('warmup', ['constant', 'cosine', 'cyclical'])
def test_the_weights_are_settled_where_they_are_those_of_the_end(warmup):
  """Against the weights that the objective itself computes, step by step."""
  steps = 0 if warmup == 'constant' else 7
  point = lanes.point(
    beta=3.0, warmup=warmup, warmup_steps=steps, capacity=2.0, capacity_steps=5
  )  # fmt: skip
  lane = jax.tree.map(lambda leaf: leaf[0], lanes.stack([point], 10))
  count = np.arange(60, dtype=np.int32)
  full = (weights_at(lane, count) == np.float32([[3.0], [2.0]])).all(0)
  found = [weighting.is_settled(point, int(step)) for step in count]
  np.testing.assert_array_equal(full[5:], found[5:])
  assert not any(found[:5])


def ramped(steps):
  """-D - min(step / steps, 1) R: a weight that grows as no lane field says."""

  def combine(means, lane, step):
    weight = jnp.minimum(step / steps, 1.0) if steps else 1.0
    return -means['distortion'] - weight * weighting.beta_at(lane, step) * means['rates'].sum()

  fields = ('beta', 'warmup', 'warmup_steps')
  return objectives.Objective(objectives.no_terms, combine, lane_fields=fields)


@pytest.mark.parametrize('steps', [0, 1, 30])
def test_an_own_objective_is_settled_where_it_weighs_as_ever_after(steps):
  """Its ramp is its own; a warm-up of the lane, though it never ends, is said by its fields."""
  is_settled = laws.settling(ramped(steps))
  for warmup, warmup_steps in (('constant', 0), ('linear', 20), ('cyclical', 7)):
    point = lanes.point(beta=2.0, warmup=warmup, warmup_steps=warmup_steps, latent_size=40)
    found = [is_settled(point, step) for step in range(0, 80, 5)]
    assert found == [step >= steps for step in range(0, 80, 5)]


def test_what_comes_before_an_own_objective_is_settled_does_not_count(monkeypatch, tmp_path):
  """Its first evaluations look better, as the rate weighs less: none of them is the best."""
  module = types.ModuleType('own_ramp')
  module.ramp = lambda: ramped(45)
  monkeypatch.setitem(sys.modules, 'own_ramp', module)
  config = config_of()
  for name, warmup_steps, counted in (
    ('own_ramp:ramp', 0, [50, 60, 70]),
    ('own_ramp:ramp', 56, [60, 70]),
    ('elbo', 0, list(range(10, 80, 10))),
  ):
    config['bound'] = dict(name=name, num_samples=1, kl='analytic')
    config['train'] |= dict(evaluate_every=10)
    config['lanes'] |= dict(
      warmup=('linear' if warmup_steps else 'constant',), warmup_steps=(warmup_steps,)
    )
    built = study.from_config(config)
    assert [step for step in range(10, 80, 10) if choice.counts(built, 0, step)] == counted


@pytest.mark.parametrize(
  ('diverged_at', 'stopped_at', 'final', 'standing'),
  [
    (learner.NOT_DIVERGED, None, False, ('running', 60)),
    (learner.NOT_DIVERGED, None, True, ('done', 60)),
    (learner.NOT_DIVERGED, 40, True, ('stopped', 40)),
    (33, 40, True, ('diverged', 33)),
  ],
)
def test_the_status_of_a_lane(diverged_at, stopped_at, final, standing):
  found = choice.nothing_chosen(1)._replace(stopped_at=[stopped_at])
  assert found.standing(0, diverged_at, 60, final) == standing


def test_lanes_are_regrouped_in_as_few_turns_as_there_can_be(compiled, monkeypatch, tmp_path):
  turns = []
  take_chunk = programs.take_chunk

  def counted(training, chunk, state, *rest):
    turns.append(-(-placement.num_lanes(state) // training.placement.width))
    return take_chunk(training, chunk, state, *rest)

  monkeypatch.setattr(programs, 'take_chunk', counted)
  progress = compiled.train(tmp_path / 'run', patience=1)
  trains = lambda step: sum(s is None or s > step for s in progress.choice.stopped_at)  # noqa: E731
  assert turns == [-(-trains(step) // 2) for step in range(0, progress.step, 10)]
  assert turns[0] == 3 and turns[-1] < 3
