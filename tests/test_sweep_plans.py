"""What is planned: launches out of a config, whole configs, what a directory takes in."""

import inspect
import re
import sys
import types

import optax
import pytest

from configs import digits_launches
from vae_jax import config as settings
from vae_jax import config_files, errors, launches, study, sweeps, validation
from vae_jax.commands import command, plan, sweep
from vae_jax.sweeps import local, on_ray

pytestmark = pytest.mark.run


@pytest.fixture
def whole():
  return settings.complete(digits_launches.get_config())


def test_a_launch_is_the_config_with_its_own_keys(whole):
  found = sweeps.planned(whole, list(digits_launches.launches()))
  assert len(found.launches) == 6
  assert {launch.lanes for launch in found.launches} == {12}
  launch = found.named('encoder.hidden-128x64_decoder.hidden-64x128_num_samples-5')
  assert launch.config['encoder']['hidden'] == (128, 64)
  assert launch.config['decoder']['hidden'] == (64, 128)
  assert launch.config['bound']['num_samples'] == 5
  assert launch.config['wandb']['tags'] == (launch.name,)
  same = [key for key in whole if key not in ('encoder', 'decoder', 'bound', 'wandb')]
  assert all(launch.config[key] == whole[key] for key in same)


def test_a_launch_may_name_itself(whole):
  """The name is none of its settings, and no launch without one takes it."""
  found = sweeps.planned(whole, [{'name': 'small', 'train.steps': 7}, {'train.steps': 8}])
  assert [launch.name for launch in found.launches] == ['small', 'steps-8']
  assert [launch.changes for launch in found.launches] == [{'train.steps': 7}, {'train.steps': 8}]
  assert found.launches[0].config['wandb']['tags'] == ('small',)
  assert found.keys == ['train.steps']


def test_a_part_that_is_switched_brings_its_own_keys(whole):
  """By its name as by a flag, or by a whole section."""
  changes = [
    {'encoder.name': 'resnet', 'encoder.widths': (4, 8)},
    {'encoder': {'name': 'resnet', 'blocks': 2}},
  ]
  one, other = (validation.changed(whole, each)['encoder'] for each in changes)
  assert (one['widths'], one['blocks']) == ((4, 8), 1)
  assert 'hidden' not in one
  assert (other['widths'], other['blocks']) == ((32, 64, 128), 2)
  # What only the page says of Adam goes with it.
  lion = validation.changed(whole, {'optimizer.name': 'optax:lion'})['optimizer']
  assert lion['b2'] == inspect.signature(optax.lion).parameters['b2'].default != 0.999
  assert 'eps' not in lion


def test_operations_of_a_step_have_those_of_what_is_known(config):
  """Ten classes beside x and z: products of 10 with 16, forward, and one or two backward."""
  plain = study.from_config(config).operations_of_step()
  config['data'] |= dict(conditions=('label',))
  more = study.from_config(config).operations_of_step() - plain
  one = 2 * config['train']['batch_size'] * 10 * 16
  assert 4 * one <= more <= 6 * one


@pytest.mark.parametrize(
  ('changes', 'lines'),
  [
    ([{'encoder.hiden': (8,)}], ['launch .*: encoder.hiden: no such key.*encoder.hidden']),
    ([{'bound.num_samples': 0}, {}], ['launch num_samples-0: bound.num_samples=0 is not']),
    ([{'train.steps': 5}, {'train.steps': 5}], ['launches\\(\\) yields .* twice']),
    ([{'lanes.beta': (-1.0,)}], ['launch beta--1.0: lanes.beta']),
    ([{'name': 'flat', 'bound.num_samples': 0}], ['launch flat: bound.num_samples=0 is not']),
    ([{'name': 'a', 'train.steps': 5}, {'name': 'A'}], ['launches\\(\\) yields a twice']),
  ],
)
def test_what_is_wrong_names_the_launch(whole, changes, lines):
  with pytest.raises(errors.InputError) as raised:
    sweeps.planned(whole, changes)
  for line, problem in zip(lines, raised.value.problems, strict=True):
    assert re.match(line, problem), problem


def test_a_flag_does_not_set_what_a_launch_sets(whole):
  changes = [{'encoder': {'name': 'mlp', 'hidden': (8,)}}, {'train.steps': 3}]
  with pytest.raises(errors.InputError) as raised:
    sweeps.planned(whole, changes, typed={'encoder.hidden', 'train.steps', 'data.seed'})
  assert [problem.split()[0] for problem in raised.value.problems] == [
    '--config.encoder', '--config.train.steps',
  ]  # fmt: skip


@pytest.mark.parametrize(
  ('text', 'line'),
  [
    ('', None),
    ('def launches():\n  return []', 'yields no launch'),
    ("def launches():\n  return {'train.steps': 1}", 'yields a dict for each launch'),
    ('def launches():\n  yield 3', 'yields a dict for each launch'),
    ('def launches():\n  yield {}[1]', 'KeyError: 1'),
  ],
)
def test_launches_of_a_file(tmp_path, text, line):
  path = tmp_path / 'mine.py'
  path.write_text(f'def get_config():\n  return {{}}\n{text}')
  if line is None:
    assert config_files.launches(path, '--config') == [{}]
    return
  with pytest.raises(errors.InputError, match=line):
    config_files.launches(path, '--config')


def test_a_directory_takes_in_launches_and_keeps_their_numbers(whole, tmp_path):
  changes = [{'bound.num_samples': n} for n in (1, 2)]
  directory = tmp_path / 'study'
  first = sweeps.planned(whole, changes)
  with (
    sweeps.held(directory, first),
    pytest.raises(errors.InUseError),
    sweeps.held(directory, first),
  ):
    pass
  more = sweeps.planned(whole, [{'bound.num_samples': 3}, *changes[::-1]])
  with sweeps.held(directory, more) as (_, held):
    pass
  assert [launch.name for launch in held.launches] == [f'num_samples-{n}' for n in (1, 2, 3)]
  assert held.study_id == first.study_id != more.study_id
  assert launches.read(directory) == held
  assert launches.read(directory) == held


def test_a_directory_keeps_to_its_launches(whole, tmp_path):
  """What is left out, or another one now, is refused: a line for all, with the first of them."""
  changes = [{'bound.num_samples': n} for n in (1, 2, 3)]
  directory = tmp_path / 'study'
  with sweeps.held(directory, sweeps.planned(whole, changes)) as (_, held):
    pass
  reseeded = {**whole, 'data': {**whole['data'], 'seed': 1}}
  left_out = '2 launches that the config does not yield: num_samples-2, num_samples-3; yield all'
  for config, given, lines in (
    (whole, changes[:1], [left_out]),
    (whole, changes[1:], ['1 launch that the config does not yield: num_samples-1;']),
    (
      reseeded,
      changes[:1],
      [left_out, '1 launch of another config, the first num_samples-1: data.seed is 0 there, 1'],
    ),
    (reseeded, changes, ['3 launches of another config, the first num_samples-1: data.seed is 0']),
  ):
    with (
      pytest.raises(errors.InputError) as raised,
      sweeps.held(directory, sweeps.planned(config, given)),
    ):
      pass
    for line, problem in zip(lines, raised.value.problems, strict=True):
      assert problem.startswith(f'--workdir={directory} has {line}')
    assert launches.read(directory) == held


def test_a_directory_of_something_else_is_refused(whole, tmp_path):
  (tmp_path / 'notes.txt').write_text('mine')
  with (
    pytest.raises(errors.InputError, match=r'holds notes.txt, and no sweep; name a new directory'),
    sweeps.held(tmp_path, sweeps.planned(whole, [{}])),
  ):
    pass
  assert [path.name for path in tmp_path.iterdir()] == ['notes.txt']


@pytest.mark.parametrize(
  ('asked', 'lanes', 'here', 'slots'),
  [
    (0, (12, 12), ('gpu', 8), 1),  # a lane for each device: all devices for each
    (0, (2, 2, 2, 2, 2), ('gpu', 8), 4),
    (0, (2,), ('gpu', 8), 1),  # one launch has no use for more
    (0, (3, 1), ('gpu', 8), 2),
    (0, (1, 1), ('tpu', 4), 1),  # its devices serve one process
    (0, (1, 1, 1), ('cpu', 2), 2),
    (3, (12,), ('gpu', 8), 3),
  ],
)
def test_slots_are_what_the_devices_give(asked, lanes, here, slots):
  assert sweeps.slots(asked, lanes, sweeps.Devices(*here)) == slots


def test_a_slot_has_a_device():
  with pytest.raises(errors.InputError, match='the nearest valid value is 2'):
    sweeps.slots(3, (1,), sweeps.Devices('gpu', 2))


def test_slots_have_all_devices_between_them(tmp_path, monkeypatch):
  monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '7,5,3,1')
  engine = local.Local(tmp_path, 3, sweeps.Devices('gpu', 4))
  visible = [engine._environment(slot)['CUDA_VISIBLE_DEVICES'] for slot in range(3)]
  assert ','.join(visible) == '7,5,3,1'
  assert all(visible)
  assert local.Local(tmp_path, 1, sweeps.Devices('gpu', 4))._environment(0) == {}


def test_a_plan_counts_what_a_sweep_will_have(tmp_path, capsys):
  """Lanes, steps and operations of each launch; the sum is that of all."""
  flags = ['--config=digits_launches', '--config.train.steps=10', '--config.train.log_every=10']
  flags += ['--config.train.evaluate_every=10', '--config.train.checkpoint_every=10']
  mine = tmp_path / 'mine.py'
  mine.write_text('from configs.digits_launches import get_config\n')
  flags[0] = f'--config={mine}'
  flags += ['--config.encoder.hidden=(128,)', '--config.decoder.hidden=(128,)']
  assert command.exit_code_of(plan.make(), flags) == 0
  out = capsys.readouterr().out.splitlines()
  assert out[1].split()[:2] == ['study', '12']
  # Forward 2 N (64 128 + 128 16 | 8 128 + 128 64) operations of a batch of 128, and twice back
  # but for the gradient of what enters the first layer.
  mflop = float(out[1].split()[5])
  layers = 3 * (64 * 128 + 128 * 16 + 8 * 128 + 128 * 64)
  assert mflop == pytest.approx(2 * 128 * layers / 1e6, rel=0.15)
  assert '1 launch, 12 lanes' in out[-1]


def test_a_wandb_sweep_needs_a_place_and_its_figures(capsys):
  for flags, line in (
    (['--wandb_sweep=a.yaml'], '--workdir is missing'),
    (['--wandb_sweep=a.yaml', '--workdir=runs/a'], "wandb.mode='disabled'"),
    (['--workdir=runs/a'], '--workdir is for --wandb_sweep'),
  ):
    assert command.exit_code_of(plan.make(), ['--config=digits_launches', *flags]) == 2
    assert line in capsys.readouterr().err


@pytest.mark.parametrize('found', [None, types.ModuleType('ray')])
def test_ray_that_is_not_installed_is_said(whole, tmp_path, monkeypatch, found):
  """Also where a directory of that name passes for it."""
  monkeypatch.setitem(sys.modules, 'ray', found)
  with (
    pytest.raises(errors.InputError, match=r"pip install 'vae_jax\[ray\]'"),
    on_ray.cluster(tmp_path, sweeps.planned(whole, [{}]), 0),
  ):
    pass


def test_print_says_a_command_for_each_launch(tmp_path, capsys):
  mine = tmp_path / 'mine.py'
  mine.write_text(
    'from configs.digits import get_config\n'
    'def launches():\n'
    "  yield {'bound.num_samples': 1}\n"
    "  yield {'bound.num_samples': 2}\n"
  )
  line = [f'--config={mine}', f'--workdir={tmp_path}/study', '--executor=print']
  assert command.exit_code_of(sweep.make(), line) == 0
  printed = capsys.readouterr().out.splitlines()
  ends = [f'-m vae_jax.commands run --study={tmp_path}/study --index={i}' for i in (0, 1)]
  assert [text.split(' ', 1)[1] for text in printed] == ends
