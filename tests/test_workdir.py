"""The directory of a run: what it may go on under, what it says of it, and what it refuses."""

import copy
import functools
import itertools
import json
import logging
import os
import pathlib

import jax
import pytest

from vae_jax import config as settings
from vae_jax import errors, identity, validation
from vae_jax.records import manifest
from vae_jax.runs import workdir
from vae_jax.runs.workdir import world

pytestmark = pytest.mark.run


@functools.cache
def this_world():
  """Asks git once."""
  return workdir.provenance('digits', '1', 'ab' * 32, [8, 8, 1], 4)


def provenance(**other):
  return copy.deepcopy(this_world()) | other


def begin(directory, config, **other):
  with workdir.claim(directory, settings.complete(config), provenance(**other)):
    pass


def with_value(config, key, value):
  """Returns a copy of a config with another value of one key."""
  config = copy.deepcopy(config)
  section, _, name = key.partition('.')
  if name:
    config[section][name] = value
  else:
    config[section] = value
  return config


# Another valid value of every key that is no identity.
OTHERWISE = {
  'study': 'another', 'data.name': 'shapes', 'data.path': 'moved.npz',
  'data.labels': 'x=y', 'data.masks': 'x=y', 'data.size': (8, 8), 'data.fit': 'resize',
  'data.channels': 'grey', 'data.skip': True, 'data.columns': ('a',), 'data.without': ('a',),
  'data.categories': ('a',), 'data.delimiter': ';', 'data.decimal': ',',
  'wandb.mode': 'offline',
  'wandb.entity': 'me', 'wandb.project': 'other', 'wandb.tags': ('new',), 'train.steps': 100,
  'wandb.images_every': 2, 'wandb.lanes': 'best', 'wandb.most_lanes': 9,
  'train.log_every': 20, 'train.log_powers_of_two': True, 'train.evaluate_every': 60,
  'train.checkpoint_every': 40, 'program.width': 2, 'program.memory_gib': 3.0, 'train.patience': 5,
  'program.resident_gib': 0.0, 'resources.cpus': 2, 'resources.gpus': 1,
  'resources.memory_gib': 4.0, 'resources.minutes': 60, 'resources.options': ('--partition=gpu',),
}  # fmt: skip


KEYS = validation.keys.every()


def test_every_key_is_identity_but_those_of_the_table():
  """The table names no key that there is not, and what it leaves is refused."""
  for key in identity.TABLE:
    assert any(name == key or name.startswith(f'{key}.') for name in KEYS), key
  free = {key for key in KEYS if identity.Change(key, 0, 1).kind != identity.IDENTITY}
  assert free == OTHERWISE.keys() | {k for k in KEYS if k.startswith('evaluation.')}


@pytest.mark.parametrize('key', sorted(OTHERWISE))
def test_another_place_or_manner_goes_on_and_is_said_and_kept(config, tmp_path, caplog, key):
  caplog.set_level(logging.INFO)
  if key in ('data.path', 'data.labels', 'data.masks'):
    config['data']['name'] = 'npz'
  if key.partition('.')[2] in ('columns', 'without', 'categories', 'delimiter', 'decimal'):
    config['data']['name'] = 'table'
  if key in ('data.size', 'data.fit', 'data.channels', 'data.skip'):
    config['data']['name'] = 'folder'
  begin(tmp_path, config)
  old, new = settings.complete(config), with_value(settings.complete(config), key, OTHERWISE[key])
  begin(tmp_path, new)
  assert f'the same run, carried out otherwise: {key} is ' in caplog.text
  assert workdir.read_config(tmp_path) == workdir.plain(new)
  (change,) = workdir.read_provenance(tmp_path)['changes']
  section, _, name = key.partition('.')
  was, is_ = ((c[section][name] if name else c[section]) for c in (old, new))
  assert change == workdir.plain({'from_step': 0, 'key': key, 'was': was, 'is': is_})


@pytest.mark.parametrize(
  ('key', 'value'),
  [
    ('lanes.beta', (1.0,)),
    ('data.seed', 3),
    ('train.batch_size', 8),
    ('bound.noise', 'antithetic'),
  ],
)
def test_another_identity_is_refused_in_one_line_and_nothing_is_written(
  config, tmp_path, key, value
):
  begin(tmp_path, config)
  before = {path: path.read_bytes() for path in tmp_path.iterdir()}
  section, name = key.split('.')
  old = config[section][name]
  with pytest.raises(errors.InputError) as refused:
    begin(tmp_path, with_value(config, key, value))
  shown = (workdir.plain(v) for v in (old, value))
  assert '{} is {!r} there, {!r} here; name another directory'.format(key, *shown) in str(
    refused.value
  )
  assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_other_data_are_refused_by_their_sha256_and_the_same_elsewhere_are_not(config, tmp_path):
  begin(tmp_path, config)
  moved = with_value(config, 'data', config['data'] | {'name': 'npz', 'path': 'elsewhere.npz'})
  with pytest.raises(errors.InputError, match=r"cdcd.*elsewhere\.npz'\); give the same data"):
    begin(tmp_path, moved, data_sha256='cd' * 32)
  assert workdir.read_config(tmp_path)['data']['name'] == 'digits'
  begin(tmp_path, moved)


def test_fewer_steps_than_done_are_refused_with_the_nearest(config, tmp_path):
  begin(tmp_path, config)
  for name in ('0', '40', '60.orbax-checkpoint-tmp-1'):
    (tmp_path / 'checkpoints' / name).mkdir(parents=True)
  with pytest.raises(errors.InputError, match=r'train\.steps=30 .* 40 steps .* value is 40$'):
    begin(tmp_path, with_value(config, 'train.steps', 30))
  begin(tmp_path, with_value(config, 'train.steps', 40))
  (change,) = workdir.read_provenance(tmp_path)['changes']
  assert change == {'from_step': 40, 'key': 'train.steps', 'was': 65, 'is': 40}


def test_a_finished_run_that_is_to_go_on_is_finished_no_more(config, tmp_path):
  begin(tmp_path, config)
  (tmp_path / 'results.csv').write_text('lane\n')
  workdir.mark_finished(tmp_path, step=65)
  assert workdir.is_finished(tmp_path)
  begin(tmp_path, with_value(config, 'wandb.project', 'other'))
  assert workdir.is_finished(tmp_path)
  begin(tmp_path, with_value(config, 'train.steps', 70))
  assert not workdir.is_finished(tmp_path)


def test_the_width_that_is_asked_for_is_recorded(config, tmp_path):
  begin(tmp_path, config)
  begin(tmp_path, config, width=8)
  assert workdir.recorded_width(tmp_path) == 4
  begin(tmp_path, with_value(config, 'program.width', 2), width=2)
  assert workdir.recorded_width(tmp_path) == 2
  workdir.record_width(tmp_path, 1)
  changes = workdir.read_provenance(tmp_path)['changes']
  assert changes[-1] == {'from_step': 0, 'key': 'width', 'was': 2, 'is': 1}


@pytest.mark.parametrize(
  ('path', 'value', 'words'),
  [
    (('versions', 'jaxlib'), '0.0', 'the last bits may differ: versions.jaxlib is '),
    (('python',), '2.7', 'the last bits may differ: python is '),
    (('platform',), 'Plan 9', 'the last bits may differ: platform is '),
    (('device', 'kind'), 'abacus', 'the last bits may differ: device.kind is '),
    (('git',), {'commit': '0' * 40, 'dirty': False}, 'the code is another: what it computes may'),
    (('settings', 'jax_threefry_partitionable'), 'no', 'the noise of every lane is another from'),
    (('settings', 'jax_disable_most_optimizations'), 'no', 'the last bits will differ, or more'),
    (('settings', 'jax_default_matmul_precision'), 'bfloat16', 'products of matrices are rounded'),
    (('settings', 'flags'), ['--xla_cpu_enable_fast_math=true'], 'the last bits will differ, or m'),
  ],
)  # fmt: skip
def test_another_world_is_a_warning_and_both_are_kept(config, tmp_path, caplog, path, value, words):
  begin(tmp_path, config)
  now = provenance()
  part = now
  for name in path[:-1]:
    part = part[name]
  was, part[path[-1]] = part[path[-1]], value
  begin(tmp_path, config, **now)
  assert words in caplog.text
  stored = workdir.read_provenance(tmp_path)
  assert all(stored[key] == workdir.plain(now[key]) for key in world.KEYS if key in now)
  known = {(c['key'], json.dumps(c['was'])) for c in stored['changes']}
  if not isinstance(value, dict):
    assert known == {('.'.join(path), json.dumps(was))}
  caplog.clear()
  begin(tmp_path, config, **now)
  assert not caplog.records


def test_what_an_earlier_version_did_not_record_is_no_difference(config, tmp_path, caplog):
  begin(tmp_path, config)
  stored = workdir.read_provenance(tmp_path)
  del stored['settings']
  workdir.write_provenance(tmp_path, stored)
  begin(tmp_path, config)
  assert not caplog.records
  assert 'settings' in workdir.read_provenance(tmp_path)


def test_64_bits_are_refused_where_the_run_has_32(config, tmp_path):
  begin(tmp_path, config)
  try:
    jax.config.update('jax_enable_x64', True)
    wide = workdir.provenance('digits', '1', 'ab' * 32, [8, 8, 1], 4)
  finally:
    jax.config.update('jax_enable_x64', False)
  with pytest.raises(errors.InputError, match=r'set JAX_ENABLE_X64=0$'):
    begin(tmp_path, config, **wide)


def test_flags_that_move_no_bit_are_not_recorded(monkeypatch):
  flags = ('--xla_cpu_enable_fast_math=true', '--xla_dump_to=/tmp/x')
  monkeypatch.setenv('XLA_FLAGS', ' '.join((*flags, '--xla_force_host_platform_device_count=2')))
  this_world.cache_clear()
  now = provenance()
  this_world.cache_clear()
  assert now['settings']['flags'] == ['--xla_cpu_enable_fast_math=true']


@pytest.mark.parametrize('name', ['config.json', 'provenance.json'])
@pytest.mark.parametrize('change', ['edit', 'garbage', 'remove'])
def test_what_says_what_the_run_is_cannot_be_made_again(config, tmp_path, name, change):
  begin(tmp_path, config)
  path = tmp_path / name
  if change == 'edit':  # still JSON, and of another run
    old = {'config.json': '"seed": 0', 'provenance.json': '"width": 4'}[name]
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, old[:-1] + '2'))
  elif change == 'garbage':
    path.write_bytes(b'\xff{')
  else:
    path.unlink()
  with pytest.raises(errors.DamagedError, match=f'{name} .*cannot be made again') as damaged:
    begin(tmp_path, config)
  assert '\n' not in str(damaged.value)


def test_a_table_that_is_damaged_while_a_run_goes_on_is_named(config, tmp_path, caplog):
  begin(tmp_path, config)
  manifest.write_text(tmp_path / 'latents.csv', 'lane\n')
  (tmp_path / 'latents.csv').write_text('lame\n')
  begin(tmp_path, config)
  assert 'latents.csv fails its sha256; it is made again at the end' in caplog.text


def test_a_run_without_a_manifest_gets_one(config, tmp_path, caplog):
  caplog.set_level(logging.INFO)
  begin(tmp_path, config)
  (tmp_path / manifest.NAME).unlink()
  begin(tmp_path, config)
  assert 'it is made of the files as they are' in caplog.text
  assert manifest.read(tmp_path).keys() == {'config.json', 'provenance.json'}


class KilledError(BaseException):
  """Stands for a kill: nothing catches it."""


def begin_killed_after(count, directory, config):
  """Begins and is killed at the rename or fsync after so many of them; returns whether it was."""
  left = count

  def then(act):
    def counted(*arguments):
      nonlocal left
      if not left:
        raise KilledError
      left -= 1
      return act(*arguments)

    return counted

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(pathlib.Path, 'replace', then(pathlib.Path.replace))
    patch.setattr(os, 'fsync', then(os.fsync))
    try:
      begin(directory, config)
    except KilledError:
      return True
  return False


@pytest.mark.parametrize('is_new', [True, False])
def test_a_kill_at_any_operation_of_the_disk_leaves_what_goes_on(config, tmp_path, is_new):
  """Of a new run, and of one that is carried out otherwise: no fault, every change stands once."""
  after = with_value(with_value(config, 'train.log_every', 20), 'train.steps', 100)
  keys = [] if is_new else ['train.log_every', 'train.steps']
  for count in itertools.count():
    directory = tmp_path / str(count)
    if not is_new:
      begin(directory, config)
    was_killed = begin_killed_after(count, directory, after)
    assert manifest.faults(directory) == {}
    begin(directory, after)
    assert manifest.faults(directory) == {}
    changes = workdir.read_provenance(directory).get('changes', [])
    assert [change['key'] for change in changes] == keys
    assert workdir.read_config(directory) == workdir.plain(settings.complete(after))
    if not was_killed:
      break
  assert count > 10
