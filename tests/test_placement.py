"""Lanes in turn, over devices, within a budget of memory, fed from the host: always the same."""

import fcntl
import json
import logging
import os
import re
import subprocess
import sys
import types

import chex
import jax
import numpy as np
import pytest
from conftest import ROOT, small_config
from run_files import results_without_times, state_digest

from vae_jax import data, errors, placement, programs, study
from vae_jax.runs import beginning, outcome, training, workdir

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('traced_once', 'no_pictures')]


def five_lanes(width):
  config = small_config()
  config['lanes'] |= dict(beta=(1.0,), latent_size=(3,), seed=(0, 1, 2, 3, 4))
  config['program'] |= dict(width=width)
  return study.from_config(config)


def trained(built):
  """Returns a function that trains some lanes of a study for ten steps, in its own programs."""
  place, learner, feed = built.place, built.training.learner, built.feed()
  chunk = programs.compile_chunk(built.training, built.lanes, feed.shape)
  init = programs.lanewise(learner.init, place, per_lane=1)

  def train(*chosen):
    lanes = built.only(chosen).lanes
    states, _ = programs.take_chunk(built.training, chunk, init(lanes), lanes, feed, 0, 10)
    return jax.device_get(placement.joined(states))

  return train


@pytest.mark.parametrize(
  'compiler', ['', pytest.param('full_compiler', marks=pytest.mark.slow)], ids=['hasty', 'full']
)
def test_bits_depend_on_the_width_alone(request, compiler):
  """Five lanes in programs of two, the last one filled up, and two of them with others beside.

  Five at once differ in the last bits only.
  """
  if compiler:
    request.getfixturevalue(compiler)
  train = trained(five_lanes(2))
  five, few = train(0, 1, 2, 3, 4), train(4, 1)
  jax.tree.map(lambda five, two: np.testing.assert_array_equal(five[[4, 1]], two), five, few)
  assert len(jax.tree.leaves(five)[0]) == 5
  at_once = trained(five_lanes(0))(0, 1, 2, 3, 4)
  jax.tree.map(
    lambda turns, once: np.testing.assert_allclose(turns, once, rtol=2e-4, atol=2e-5),
    five,
    at_once,
  )


@pytest.mark.slow
@pytest.mark.parametrize('num_images', [49, 50, 359])
def test_an_evaluation_does_not_depend_on_the_slot(full_compiler, config, num_images):
  """As a user compiles it, whatever the number of images over which it sums."""
  config['lanes'] |= dict(combine='zip', beta=(0.5, 1.0, 2.0, 4.0), latent_size=(5,), seed=(0,))
  config['program'] |= dict(width=2)
  config['evaluation'] |= dict(test_images=num_images, train_images=num_images)
  built = study.from_config(config)
  states = placement.joined(programs.init(built.training.learner, built.lanes, built.place))
  found = []
  for order in ([0, 1, 2, 3], [1, 2, 3, 0]):
    state, lanes = outcome.picked((states, built.lanes), order)
    evaluations = jax.device_get(outcome.make_evaluate(built)(state, 0, True, lanes))
    found.append(outcome.picked(evaluations, np.argsort(order)))
  jax.tree.map(np.testing.assert_array_equal, *found)


def test_what_lies_on_the_devices_is_not_moved_again():
  """The states of a chunk are those of the next: a copy of each would cost more than its steps."""
  place = placement.of_width(2, 4, jax.devices()[:1])
  tree = {'a': np.arange(2.0), 'b': np.ones((2, 3), np.float32)}
  there = placement.on_devices(place, tree)
  assert all(leaf.sharding == place.over_lanes for leaf in jax.tree.leaves(there))
  jax.tree.map(np.testing.assert_array_equal, there, tree)
  assert jax.tree.map(id, placement.on_devices(place, there)) == jax.tree.map(id, there)
  mixed = placement.on_devices(place, there | {'b': tree['b']})
  assert all(leaf.sharding == place.over_lanes for leaf in jax.tree.leaves(mixed))
  turns = placement.on_devices(place, {'a': np.arange(3.0)})
  assert placement.on_devices(place, turns) is turns
  np.testing.assert_array_equal(placement.joined(turns)['a'], np.arange(3.0))


def test_products_of_many_rows_are_not_left_to_ynnpack():
  """By what the compiler is told; the benchmark reads the compiled programs."""
  place = placement.of_width(1, 32, jax.devices()[:1])
  fusions = 'xla_cpu_experimental_ynn_fusion_type'
  assert place.compiler_options(32 * 16)[fusions] == 'LIBRARY_FUSION_TYPE_REDUCE'
  assert 'INDIVIDUAL_DOT' in place.compiler_options(32 * 4)[fusions]


def test_convolutions_are_not_left_to_ynnpack(full_compiler):
  """Read from the compiled program, which has a product by it and a convolution without."""
  place = placement.of_width(1, 32, jax.devices()[:1])

  def both(x, kernel, w):
    y = jax.lax.conv_general_dilated(
      x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )
    return y, w @ w

  shapes = [jax.ShapeDtypeStruct(s, 'f') for s in ((8, 14, 14, 32), (3, 3, 32, 32), (64, 64))]
  compiled = jax.jit(both, compiler_options=place.compiler_options(8)).lower(*shapes).compile()
  text = compiled.as_text()
  bodies = dict(re.findall(r'^(%\S+) \([^\n]* \{\n(.*?)^\}', text, re.DOTALL | re.MULTILINE))
  called = re.findall(r' fusion\(.* calls=(%[\w.]+).*__ynn_fusion', text)
  assert any(' dot(' in bodies[name] for name in called)
  assert not any(' convolution(' in bodies[name] for name in called)
  assert ' convolution(' in text


@pytest.fixture
def in_turns(config):
  """Three lanes, two at a time: the second turn is filled up."""
  config['lanes'] |= dict(combine='zip', beta=(0.5, 4.0, 4.0), latent_size=(2, 2, 5), seed=(0,))
  config['program'] |= dict(width=2)
  config['train'] |= dict(steps=25)
  return config


@pytest.mark.usefixtures('no_estimates')
def test_too_little_memory_halves_the_width(in_turns, tmp_path, caplog):
  """Down to one lane, which is tried in any case; the bits are those of that width."""
  short = in_turns | {'program': in_turns['program'] | dict(memory_gib=1e-6)}
  caplog.set_level(logging.WARNING)
  training.run(short, tmp_path / 'short')
  (said,) = [r.getMessage() for r in caplog.records if 'programs of' in r.getMessage()]
  assert said.startswith('a program of 2 lanes needs 0.')
  assert said.endswith('may have 0.00; from here on programs of 1 lanes')
  assert workdir.recorded_width(tmp_path / 'short') == 1
  asked = in_turns | {'program': in_turns['program'] | dict(width=1)}
  training.run(asked, tmp_path / 'asked')
  assert state_digest(tmp_path / 'short', short) == state_digest(tmp_path / 'asked', asked)
  assert results_without_times(tmp_path / 'short') == results_without_times(tmp_path / 'asked')


def test_what_evaluates_must_fit_too_and_is_compiled_once(config, monkeypatch, tmp_path):
  """Two lanes that train in less than they are evaluated in, of 200 images at a time."""
  config['lanes'] |= dict(beta=(1.0,), latent_size=(2, 5))
  config['evaluation'] |= dict(test_images=359)
  asked, compiled = [], []
  monkeypatch.setattr(placement, 'check_fits', lambda place, needed, *_: asked.append(needed))
  jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **_: compiled.append(event) if 'backend_compile' in event else None
  )
  built = study.from_config(config)
  evaluation = programs.make_evaluate(built.training.learner, 255.0, built.place)
  chunk = beginning._compile(built, built.feed(), evaluation)
  held = chunk.memory_analysis().argument_size_in_bytes
  training, evaluating = asked
  assert training == programs.bytes_of(chunk.memory_analysis())
  assert evaluating > held + 359 * 64 * 4  # the images as numbers, and what becomes of them
  state = programs.init(built.training.learner, built.lanes, built.place)
  batches, before = jax.device_put(built.batches('test')), len(compiled)
  jax.block_until_ready(evaluation(state.params, built.lanes, batches, np.int32(0)))
  assert len(compiled) == before


@pytest.mark.usefixtures('no_estimates')
def test_running_out_of_memory_halves_the_width_and_goes_on(
  in_turns, tmp_path, monkeypatch, caplog
):
  original = programs.take_chunk

  def take_chunk(training, chunk, states, lanes, feed, first, stop):
    if training.placement.width > 1 and first >= 20:
      raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory while trying to ...')
    return original(training, chunk, states, lanes, feed, first, stop)

  monkeypatch.setattr(programs, 'take_chunk', take_chunk)
  result = training.run(in_turns, tmp_path / 'run')
  assert result.exit_code == 0
  assert workdir.recorded_width(tmp_path / 'run') == 1
  assert 'RESOURCE_EXHAUSTED' in caplog.text
  steps = [json.loads(line)['step'] for line in (tmp_path / 'run/metrics.jsonl').open()]
  assert steps == sorted(3 * [10, 20, 25])


@pytest.mark.usefixtures('no_estimates')
def test_one_lane_that_does_not_fit_is_one_line_with_sizes(in_turns, tmp_path, monkeypatch):
  def take_chunk(*arguments):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes.\n at')

  monkeypatch.setattr(programs, 'take_chunk', take_chunk)
  line = r'allocating 99 bytes\.\); \d+\.\d\d GiB may be had: train.batch_size=32, evaluation.b'
  with pytest.raises(errors.InputError, match=line) as raised:
    training.run(in_turns, tmp_path / 'run')
  assert len(raised.value.problems) == 1


@pytest.mark.usefixtures('no_estimates')
def test_another_error_of_the_runtime_is_not_taken_for_it(in_turns, tmp_path, monkeypatch):
  def take_chunk(*arguments):
    raise jax.errors.JaxRuntimeError('INTERNAL: something else')

  monkeypatch.setattr(programs, 'take_chunk', take_chunk)
  with pytest.raises(jax.errors.JaxRuntimeError, match='something else'):
    training.run(in_turns, tmp_path / 'run')
  assert workdir.recorded_width(tmp_path / 'run') == 2  # no narrower program was tried


@pytest.mark.usefixtures('no_estimates')
def test_a_streamed_data_set_gives_the_same_bits(in_turns, tmp_path):
  training.run(in_turns, tmp_path / 'resident')
  streamed = in_turns | {'program': in_turns['program'] | dict(resident_gib=0.0)}
  assert study.from_config(streamed).feed().shape.images.shape == (10 * 32, 8, 8, 1)
  training.run(streamed, tmp_path / 'streamed')
  resident, streamed = tmp_path / 'resident', tmp_path / 'streamed'
  assert state_digest(resident, in_turns) == state_digest(streamed, in_turns)
  assert results_without_times(resident) == results_without_times(streamed)
  journals = [path / 'metrics.jsonl' for path in (resident, streamed)]
  assert journals[0].read_bytes() == journals[1].read_bytes()


@pytest.mark.parametrize('first', [0, 7])
def test_feeds_agree_whatever_the_chunks(first):
  images = np.random.default_rng(0).integers(0, 256, (50, 2, 2, 1), np.uint8)
  beside = data.Beside(condition=np.eye(50, 3, dtype=np.float32), size=np.arange(50.0))
  schedule = data.Schedule(seed=3, batch_size=12, chunk_steps=5)
  sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  feeds = [make(images, schedule, sharding, beside) for make in (data.resident, data.streamed)]
  for stop in (first + 5, first + 7, first + 12):
    pairs = [feed.read(first, stop) for feed in feeds]
    taken = [
      (rows.images[at[: stop - first]], rows.beside.take(at[: stop - first])) for rows, at in pairs
    ]
    chex.assert_trees_all_equal(*taken)
    first = stop


@pytest.fixture
def on_eight(suite_directory):
  """(lanes, or lanes:width, …) -> what so many are on eight devices; the first, the most, on one.

  Whichever worker of the suite asks first starts the process, for which the others wait.
  """

  def read(*lanes):
    path = suite_directory / f'on-eight-{"-".join(lanes).replace(":", "x")}.json'
    with open(path, 'a+') as file:
      fcntl.flock(file, fcntl.LOCK_EX)
      if not path.stat().st_size:
        file.write(_on_eight(*lanes))
        file.flush()
    return json.loads(path.read_text())

  return read


def _on_eight(*lanes):
  """Returns what `eight_devices.py` prints."""
  paths = {'PYTHONPATH': f'{ROOT}{os.pathsep}{ROOT / "tests"}', 'JAX_PLATFORMS': 'cpu'}
  paths['JAX_COMPILATION_CACHE_DIR'] = jax.config.jax_compilation_cache_dir
  process = subprocess.run(
    [sys.executable, str(ROOT / 'tests' / 'eight_devices.py'), *lanes],
    env=os.environ | paths,
    capture_output=True,
    text=True,
    timeout=600,
  )
  assert process.returncode == 0, process.stderr
  return process.stdout


QUICK = ('11', '2')  # each device takes two lanes, or four share a batch


@pytest.mark.parametrize(
  ('lanes', 'mesh', 'width'),
  [
    ('11', (8, 1), 16),
    ('2', (2, 4), 2),
    pytest.param('6:3', (4, 2), 4, marks=pytest.mark.slow),  # both, in two turns
  ],
)
def test_eight_devices_give_the_numbers_of_one(on_eight, lanes, mesh, width):
  found = on_eight(*QUICK) if lanes in QUICK else on_eight(lanes)
  eight, one = found[lanes], found['one']
  assert (eight['mesh']['lane'], eight['mesh']['data'], eight['width']) == (*mesh, width)
  assert (one['mesh']['lane'], one['mesh']['data']) == (1, 1)
  count = len(eight['elbo'])
  np.testing.assert_allclose(eight['elbo'], one['elbo'][:count], rtol=1e-5)
  for of_eight, of_one in zip(eight['params'], one['params'], strict=True):
    np.testing.assert_allclose(of_eight, of_one[:count], rtol=1e-3, atol=1e-5)


def test_a_batch_is_evaluated_by_all_devices_that_share_a_lane(on_eight):
  """Two lanes on eight devices: the numbers are those of one, and each device has its examples."""
  one, shared = (on_eight(*QUICK)[name] for name in ('one', '2'))
  for figure, of_two in shared['worth'].items():
    np.testing.assert_allclose(of_two, one['worth'][figure][:2], rtol=1e-3, atol=1e-5)
  assert shared['rows'] == [8 // 4, 8 * 8 // 4]  # encoded, and decoded


def test_the_training_program_lowers_for_accelerators_that_are_not_here(on_eight):
  """Of eleven lanes, of which eight devices have two each, one of them the filling."""
  found = on_eight(*QUICK)['exported']
  assert (found['devices'], found['platforms']) == (8, ['tpu', 'cuda', 'cpu'])
  assert found['outputs'] == [16]
  assert found['rows']  # shapes that are known before anything is placed


def test_of_the_cores_of_a_cpu_as_many_are_used_as_have_equal_shares(on_eight):
  shapes = on_eight(*QUICK)['shapes']
  lanes = {width: shape['lane'] for width, shape in shapes.items()}
  assert lanes == {'1': 1, '6': 6, '12': 6, '14': 7}
  assert {shape['data'] for shape in shapes.values()} == {1}


def test_lanes_over_devices_need_nothing_of_each_other(on_eight):
  found = on_eight(*QUICK)
  assert found['11']['collectives'] == 0
  assert found['11']['devices'] == 8
  # The batch is summed over: the check above would see it.
  assert found['2']['collectives'] > 0


def has_devices(monkeypatch, count, platform='cpu'):
  devices = [types.SimpleNamespace(platform=platform, id=i) for i in range(count)]
  monkeypatch.setattr(jax, 'local_devices', lambda: devices)
  monkeypatch.setattr(jax, 'local_device_count', lambda: count)


@pytest.mark.parametrize(
  ('num_lanes', 'cores', 'operations', 'width'),
  [
    (8, 2, 15e6, 8),  # small networks: all at once
    (40, 2, 15e6, 8),  # five turns
    (16, 2, 600e6, 2),  # large ones: one on each core
    (3, 2, 600e6, 2),
    (1, 2, 600e6, 1),
    (3, 64, 600e6, 3),
    (40, 16, 600e6, 14),  # three turns of 14, not two of 16 and one of 8
    (100, 4, 10e6, 20),
    (7, 3, 0, 9),
  ],
)
def test_a_cpu_takes_as_many_lanes_as_keep_its_cores_busy(
  monkeypatch, num_lanes, cores, operations, width
):
  has_devices(monkeypatch, cores)
  assert placement.lanes_at_once(num_lanes, operations) == width


@pytest.mark.parametrize('cores', [1, 2, 6])
def test_no_other_width_of_as_many_lanes_a_core_needs_fewer_turns(monkeypatch, cores):
  """One lane a core: as many turns as lanes fill the cores, with fewer idle slots than turns."""
  has_devices(monkeypatch, cores)
  for num_lanes in range(1, 50):
    width = placement.lanes_at_once(num_lanes, 1e12)
    turns = -(-num_lanes // width)
    assert width <= cores
    assert turns == -(-num_lanes // cores)
    assert turns * width - num_lanes < turns


def test_an_accelerator_takes_all_lanes(monkeypatch):
  has_devices(monkeypatch, 8, 'gpu')
  assert placement.lanes_at_once(1000, 1e12) == 1000


def test_devices_that_cannot_be_used_are_left_out():
  devices = [jax.devices()[0]]
  assert placement.of_width(5, 32, devices).width == 5
  assert dict(placement.of_width(5, 32, devices).mesh.shape) == {'lane': 1, 'data': 1}
