"""Checkpoints come back bit for bit, or not at all."""

import contextlib
import errno
import itertools
import logging
import math
import os
import pathlib
import resource
import stat
import tarfile
import threading
import tracemalloc
import types
from concurrent import futures

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import ROOT

from vae_jax import errors
from vae_jax.runs import checkpoint
from vae_jax.runs.checkpoint import manager as orbax_manager
from vae_jax.runs.checkpoint import saving

pytestmark = pytest.mark.run

RECORD = {'seconds': 1.5, 'evaluated': {'test/elbo': [-1.25, None]}}


def state_of(step):
  return {
    'kernel': jnp.arange(12, dtype=jnp.float32).reshape(3, 4) / 7 + step,
    'more': (jnp.asarray([step, -1], jnp.int32), ()),
  }


@pytest.fixture
def manager(tmp_path):
  with contextlib.closing(checkpoint.open_manager(tmp_path / 'checkpoints')) as manager:
    yield manager


def flip_a_bit(directory: pathlib.Path):
  """Flips one bit of the kernel of a step."""
  path = directory / 'leaves.npz'
  content = bytearray(path.read_bytes())
  (step,) = (step for step in (10, 20) if np.asarray(state_of(step)['kernel']).tobytes() in content)
  content[content.index(np.asarray(state_of(step)['kernel']).tobytes()) + 20] ^= 1
  path.write_bytes(content)


def test_round_trip_is_bit_equal(manager):
  checkpoint.save(manager, 20, state_of(20), RECORD)
  restored = checkpoint.restore_newest(manager, state_of(0))
  assert restored.step == 20
  assert restored.record == RECORD
  np.testing.assert_array_equal(restored.state['kernel'], state_of(20)['kernel'])
  np.testing.assert_array_equal(restored.state['more'][0], [20, -1])
  assert restored.state['more'][1] == ()


def test_nothing_to_restore_is_none(manager):
  assert checkpoint.restore_newest(manager, state_of(0)) is None


def test_the_newest_two_are_kept(manager):
  for step in (0, 10, 20):
    checkpoint.save(manager, step, state_of(step), RECORD)
  assert sorted(manager.all_steps()) == [10, 20]


@pytest.mark.parametrize('value', [jnp.float32(0.1), jnp.int32(3)])
def test_a_changed_leaf_is_found_by_its_digest(manager, monkeypatch, value):
  """The stored digest is of other bytes: what a flipped bit that still decodes looks like."""
  true_digest = checkpoint.digests.digest
  monkeypatch.setattr(checkpoint.digests, 'digest', lambda leaf: true_digest(leaf + 1))
  checkpoint.save(manager, 10, {'leaf': value}, RECORD)
  monkeypatch.undo()
  with pytest.raises(errors.DamagedError, match='none of the steps'):
    checkpoint.restore_newest(manager, {'leaf': value})


def test_a_damaged_step_falls_back_to_the_good_one(manager, caplog):
  for step in (10, 20):
    checkpoint.save(manager, step, state_of(step), RECORD)
  flip_a_bit(pathlib.Path(manager.directory) / '20' / 'leaves')
  restored = checkpoint.restore_newest(manager, state_of(0))
  assert restored.step == 10
  np.testing.assert_array_equal(restored.state['kernel'], state_of(10)['kernel'])
  assert 'checkpoint 20' in caplog.text
  checkpoint.forget_after(manager, 10)
  checkpoint.save(manager, 20, state_of(20), RECORD)
  assert checkpoint.restore_newest(manager, state_of(0)).step == 20


def test_all_damaged_is_an_error(manager):
  for step in (10, 20):
    checkpoint.save(manager, step, state_of(step), RECORD)
    flip_a_bit(pathlib.Path(manager.directory) / str(step) / 'leaves')
  with pytest.raises(errors.DamagedError):
    checkpoint.restore_newest(manager, state_of(0))


@pytest.mark.parametrize(
  ('like', 'reason'),
  [
    ({'kernel': jnp.zeros((4, 3))}, r"\['kernel'\] is \[3, 4\] there and \[4, 3\] here"),
    ({'kernel': jnp.zeros((3, 4), jnp.int32)}, 'is float32 there and int32 here$'),
    ({'more': (jnp.zeros(2, jnp.int32), jnp.zeros(1))}, r"\['more'\]\[1\] is not there"),
    ({'more': ((), ())}, r"\['more'\]\[0\] is not part of the model here"),
  ],
  ids=['shape', 'dtype', 'one leaf more', 'one leaf less'],
)
def test_whole_bytes_of_another_model_are_refused_as_that(manager, caplog, like, reason):
  """They are no damage: no older step is taken for them, and what differs is said."""
  for step in (10, 20):
    checkpoint.save(manager, step, state_of(step), RECORD)
  with pytest.raises(errors.InputError, match=rf'20 is whole, but .*{reason}'):
    checkpoint.restore_newest(manager, state_of(0) | like)
  assert not caplog.records
  assert sorted(manager.all_steps()) == [10, 20]


def test_a_switch_of_the_number_type_is_named(manager):
  """The process wants float64 as JAX_ENABLE_X64 is set, and the stored bytes are right."""
  checkpoint.save(manager, 10, {'x': np.float32([1, 2])}, RECORD)
  with pytest.raises(errors.InputError, match='float32 there and float64 here, as JAX_ENABLE_X64'):
    checkpoint.restore_newest(manager, {'x': np.zeros(2, np.float64)})
  checkpoint.save(manager, 20, {'x': np.float64([1, 2])}, RECORD)
  with pytest.raises(errors.InputError, match='JAX_ENABLE_X64 was set then and is not now; set it'):
    checkpoint.restore_newest(manager, {'x': np.zeros(2, np.float32)})
  restored = checkpoint.restore_newest(manager, {'x': np.zeros(2, np.float64)})
  assert restored.state['x'].dtype == np.float64


@pytest.mark.parametrize(
  ('value', 'sha256'),
  [
    (
      np.arange(6, dtype=np.float32).reshape(2, 3),
      'b438c5d786e1b613aa64ec714cb7157d230f98c8d68854da82b4f471d73c9acf',
    ),
    (
      np.arange(6, dtype=np.float32).reshape(3, 2).T,
      'c901f4c4f27f725841eae7aa4a19b2e168231dbfafb2a0de4cb7292f6fdc2079',
    ),
    (
      np.asarray([1.5, -2], jnp.bfloat16),
      'c7baa959d18843d461d917272f49053688b0c4932420c04cce5b29b48f290ad6',
    ),
    (np.int32(7), 'bb4123d415744711909aef5e90285894f191fa25f4e6f814e91a920b14771325'),
    (np.asarray([True, False]), '2bc7c059a6a64c6ecc2880a5276bd042146a26fcb32c015f06b5a9a2b74098a5'),
    (
      np.zeros((0, 3), np.float32),
      '24711c218fa8af86c06a20f43edd23452dd723dcad783598bba0b5960fa98d02',
    ),
  ],
)
def test_digests_are_those_that_lie_in_stored_checkpoints(value, sha256):
  assert checkpoint.digests.digest(value) == sha256


def test_a_digest_copies_nothing():
  value = np.ones(1 << 22, np.float32)  # 16 MiB
  tracemalloc.start()
  try:
    checkpoint.digests.digest(value)
    assert tracemalloc.get_traced_memory()[1] < 1 << 16
  finally:
    tracemalloc.stop()


@pytest.fixture
def older(tmp_path):
  """The checkpoints of version 0.1.0, whose arrays orbax itself wrote."""
  with tarfile.open(ROOT / 'tests' / 'fixtures' / 'checkpoint-0.1.0.tar.xz') as archive:
    archive.extractall(tmp_path, filter='data')
  with contextlib.closing(checkpoint.open_manager(tmp_path / 'checkpoints')) as manager:
    yield manager


def test_a_checkpoint_of_version_0_1_0_is_restored(older):
  restored = checkpoint.restore_newest(older, state_of(0))
  assert (restored.step, restored.record) == (20, RECORD)
  np.testing.assert_array_equal(restored.state['kernel'], state_of(20)['kernel'])
  found = checkpoint.read_newest(older.directory, ("['kernel']",))
  np.testing.assert_array_equal(found.leaves["['kernel']"], state_of(20)['kernel'])
  checkpoint.save(older, 30, state_of(30), RECORD)
  assert checkpoint.restore_newest(older, state_of(0)).step == 30
  assert checkpoint.restore_newest(older, state_of(0), most=20).step == 20


def test_types_that_numpy_has_no_name_for_come_back(manager):
  state = {'a|b': jnp.arange(6, dtype=jnp.bfloat16) / 7, 'one': jnp.bfloat16(1.5), 'b': jnp.ones(2)}
  checkpoint.save(manager, 10, state, RECORD)
  restored = checkpoint.restore_newest(manager, state).state
  found = checkpoint.read_newest(manager.directory, ('[',)).leaves
  for name, value in state.items():
    for leaf in (restored[name], found[f"['{name}']"]):
      assert leaf.dtype == value.dtype
      np.testing.assert_array_equal(leaf, value)


def test_a_leaf_that_is_missing_is_damage(manager, monkeypatch):
  checkpoint.save(manager, 10, state_of(10), RECORD)
  write = checkpoint.leaves.write
  monkeypatch.setattr(
    checkpoint.leaves,
    'write',
    lambda directory, leaves: write(directory, dict([*leaves.items()][1:])),
  )
  checkpoint.save(manager, 20, state_of(20), RECORD)
  assert checkpoint.restore_newest(manager, state_of(0)).step == 10
  assert checkpoint.read_newest(manager.directory, ('[',)).step == 10


def test_a_save_holds_no_copy_of_the_state(manager):
  state = {name: np.ones(1 << 22, np.float32) for name in 'abcde'}  # 80 MiB
  checkpoint.save(manager, 10, state_of(10), RECORD)
  tracemalloc.start()
  try:
    checkpoint.save(manager, 20, state, RECORD)
    assert tracemalloc.get_traced_memory()[1] < 24 << 20
  finally:
    tracemalloc.stop()


class Disk:
  """Records what is synced, renamed and removed below a directory, in this order."""

  def __init__(self, monkeypatch, root: pathlib.Path):
    self.events = []
    for name, position in (('fsync', 0), ('rename', 1), ('unlink', 0)):
      self._record(monkeypatch, root, name, position)

  def _record(self, monkeypatch, root, name, position):
    act = getattr(os, name)

    def recorded(*arguments, dir_fd=None, **keywords):
      path = arguments[position]
      path = os.readlink(f'/proc/self/fd/{path}') if name == 'fsync' else os.fspath(path)
      if dir_fd is not None:
        path = os.path.join(os.readlink(f'/proc/self/fd/{dir_fd}'), path)
        keywords['dir_fd'] = dir_fd
      if path.startswith(str(root)):
        self.events.append((name, str(pathlib.Path(path).relative_to(root))))
      return act(*arguments, **keywords)

    monkeypatch.setattr(os, name, recorded)

  def index(self, name: str, path: str) -> int:
    assert (name, path) in self.events, f'no {name} of {path}'
    return self.events.index((name, path))


def test_a_step_is_on_the_disk_before_an_older_one_goes(manager, monkeypatch):
  """Every file before its name, every name before the removal of another step."""
  for step in (0, 10):
    checkpoint.save(manager, step, state_of(step), RECORD)
  root = pathlib.Path(manager.directory)
  disk = Disk(monkeypatch, root)
  checkpoint.save(manager, 20, state_of(20), RECORD)
  named = disk.index('rename', '20')
  removed = min(i for i, (_, path) in enumerate(disk.events) if path.startswith('0/'))
  paths = [path.relative_to(root) for path in (root / '20').rglob('*')]
  assert len(paths) > 5
  for path in paths:
    assert disk.index('fsync', str(path)) < removed
    # Orbax writes its own notes last; a step is read without them.
    if path.name not in ('_CHECKPOINT_METADATA', 'commit_success.txt') or len(path.parts) > 2:
      before = str(path).replace('20', '20.orbax-checkpoint-tmp', 1)
      assert disk.index('fsync', before) < named
  assert named < disk.index('fsync', '.') < removed


def test_what_orbax_writes_last_a_step_is_read_without(manager):
  checkpoint.save(manager, 10, state_of(10), RECORD)
  for name in ('_CHECKPOINT_METADATA', 'commit_success.txt'):
    (pathlib.Path(manager.directory) / '10' / name).write_bytes(b'')
  with contextlib.closing(checkpoint.open_manager(manager.directory)) as again:
    assert checkpoint.restore_newest(again, state_of(0)).step == 10


def test_a_step_is_its_owners_alone(manager):
  checkpoint.save(manager, 10, state_of(10), RECORD)
  root = pathlib.Path(manager.directory)
  for path in (root, *root.rglob('*')):
    assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_what_a_killed_save_left_goes(manager):
  checkpoint.save(manager, 10, state_of(10), RECORD)
  left = pathlib.Path(manager.directory) / '17.orbax-checkpoint-tmp'
  (left / 'state').mkdir(parents=True)
  with contextlib.closing(checkpoint.open_manager(manager.directory)) as again:
    checkpoint.save(again, 20, state_of(20), RECORD)
    assert not left.exists()
    assert sorted(again.all_steps()) == [10, 20]


# As tensorstore hands it on.
IN_WORDS = (
  'UNKNOWN: Error opening "zarr" driver: Error reading local file "/runs/20/state/d/ab": '
  "Failed to open: \"/runs/20/state/d/ab\": {} [os_error_code='{}'] [tensorstore_spec='{{}}']"
)


def fault(code: int, in_words: bool) -> Exception:
  words = os.strerror(code)
  return ValueError(IN_WORDS.format(words, code)) if in_words else OSError(code, words)


def failing(monkeypatch, manager, name: str, error: Exception, times: float):
  """Makes a method of the manager fail so many times, of the newest step."""
  act = getattr(manager, name)
  calls = []

  def act_or_fail(step, **keywords):
    calls.append(step)
    if step == 20 and calls.count(step) <= times:
      raise error
    return act(step, **keywords)

  monkeypatch.setattr(manager, name, act_or_fail)
  monkeypatch.setattr(checkpoint.time, 'sleep', lambda _: None)


@pytest.mark.parametrize(('code', 'in_words'), [(errno.EIO, False), (errno.ESTALE, True)])
def test_a_step_that_was_not_read_is_not_damaged(manager, monkeypatch, caplog, code, in_words):
  """A passing fault is waited for; one that stays ends the run, and every step is still there."""
  for step in (10, 20):
    checkpoint.save(manager, step, state_of(step), RECORD)
  failing(monkeypatch, manager, 'restore', fault(code, in_words), times=2)
  assert checkpoint.restore_newest(manager, state_of(0)).step == 20
  assert caplog.text.count('trying again') == 2
  monkeypatch.undo()
  failing(monkeypatch, manager, 'restore', fault(code, in_words), times=math.inf)
  reason = rf'cannot read .*/20: {os.strerror(code)}; nothing was removed'
  with pytest.raises(errors.StorageError, match=reason):
    checkpoint.restore_newest(manager, state_of(0))
  assert sorted(manager.all_steps()) == [10, 20]


def test_what_orbax_cannot_look_at_is_not_taken_for_absent(manager, monkeypatch):
  """It says that the step has no arrays; the files tell that the disk fails."""
  for step in (10, 20):
    checkpoint.save(manager, step, state_of(step), RECORD)
  error = KeyError('Item "leaves" was not found in the checkpoint.')
  failing(monkeypatch, manager, 'restore', error, times=math.inf)
  broken = pathlib.Path(manager.directory) / '20' / 'leaves' / 'leaves.npz'
  open_ = open

  def refuse(path, *arguments, **keywords):
    if os.fspath(path) == str(broken):
      raise OSError(errno.EIO, os.strerror(errno.EIO))
    return open_(path, *arguments, **keywords)

  monkeypatch.setattr('builtins.open', refuse)
  with pytest.raises(errors.StorageError, match=r'/20: Input/output error; nothing was removed'):
    checkpoint.restore_newest(manager, state_of(0))


def test_a_step_is_given_up_after_it_was_wrong_twice(manager, monkeypatch, caplog):
  for step in (10, 20):
    checkpoint.save(manager, step, state_of(step), RECORD)
  failing(monkeypatch, manager, 'restore', ValueError('DATA_LOSS: Error decoding'), times=1)
  assert checkpoint.restore_newest(manager, state_of(0)).step == 20
  assert not caplog.records
  monkeypatch.undo()
  failing(monkeypatch, manager, 'restore', ValueError('DATA_LOSS: Error decoding'), times=2)
  assert checkpoint.restore_newest(manager, state_of(0)).step == 10


@pytest.mark.parametrize(('code', 'in_words'), [(errno.ENOENT, False), (errno.EISDIR, True)])
def test_a_file_that_is_gone_or_none_is_damage(manager, monkeypatch, code, in_words):
  for step in (10, 20):
    checkpoint.save(manager, step, state_of(step), RECORD)
  failing(monkeypatch, manager, 'restore', fault(code, in_words), times=math.inf)
  assert checkpoint.restore_newest(manager, state_of(0)).step == 10


@pytest.mark.parametrize('in_words', [False, True])
@pytest.mark.parametrize('code', [errno.EIO, errno.EROFS, errno.EDQUOT, errno.EMFILE])
def test_a_step_that_cannot_be_written_is_a_storage_error(manager, monkeypatch, code, in_words):
  failing(monkeypatch, manager, 'save', fault(code, in_words), times=math.inf)
  reason = rf'^cannot write .*checkpoints: {os.strerror(code)}$'
  with pytest.raises(errors.StorageError, match=reason):
    checkpoint.save(manager, 20, state_of(20), RECORD)


def limit_with_free(count: int) -> int:
  """Returns the limit below which so many descriptors are free, whatever gaps there are."""
  used = {int(name) for name in os.listdir('/proc/self/fd')}
  free = (number for number in itertools.count() if number not in used)
  return next(itertools.islice(free, count, None))


@pytest.mark.filterwarnings('ignore:coroutine .* was never awaited')
def test_too_many_open_files_end_a_read_in_words_of_tensorstore(older, monkeypatch, capfd):
  """The system's own limit, and nothing on stderr of the reads that were under way."""
  monkeypatch.setattr(checkpoint.time, 'sleep', lambda _: None)
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  capfd.readouterr()
  seen = set()
  for more in range(8):
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit_with_free(more), hard))
    try:
      seen.add(checkpoint.restore_newest(older, state_of(0)).step)
    except errors.StorageError as error:
      seen.add(str(error).partition(': ')[2])
    finally:
      resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
  assert seen == {20, f'{os.strerror(errno.EMFILE)}; nothing was removed'}
  stderr = capfd.readouterr().err
  assert 'Event loop is closed' not in stderr
  assert 'never retrieved' not in stderr


def test_what_orbax_says_after_an_error_is_not_said_and_all_else_is(manager, caplog):
  logger, told = logging.getLogger('asyncio'), []
  logger.error('Future exception was never retrieved\nfuture: <Future finished>')
  logger.error('Executing took 3 seconds')
  assert caplog.messages == ['Executing took 3 seconds']
  for error in (RuntimeError('Event loop is closed'), RuntimeError('Event loop is on fire')):
    echo = types.SimpleNamespace(exc_value=error)
    orbax_manager._tell_unless_echo(lambda unraisable: told.append(unraisable.exc_value), echo)
  assert told == [error]


def test_a_step_that_cannot_be_looked_at_is_not_taken_for_none(manager, monkeypatch):
  checkpoint.save(manager, 10, state_of(10), RECORD)
  isdir = os.path.isdir
  monkeypatch.setattr(os.path, 'isdir', lambda path: not str(path).endswith('10') and isdir(path))
  with pytest.raises(errors.StorageError, match=r'cannot read .*/10'):
    checkpoint.open_manager(manager.directory)


@pytest.fixture
def held(monkeypatch):
  """Saves that stand still before they name their step, until the event is set."""
  event, save = threading.Event(), checkpoint.save

  def wait_and_save(*arguments):
    assert event.wait(60)
    save(*arguments)

  monkeypatch.setattr(checkpoint, 'save', wait_and_save)
  return event


def test_the_next_step_trains_while_a_state_is_saved(manager, held):
  """It takes over the memory of the state, whose values of before are what is saved."""
  step = jax.jit(lambda state: jax.tree.map(lambda leaf: leaf + 1, state), donate_argnums=0)
  state = jax.block_until_ready(step(state_of(9)))
  with saving.saving(manager) as saved:
    saved.save(10, state, RECORD)
    after = jax.block_until_ready(step(state))
    assert state['kernel'].is_deleted()
    assert not manager.all_steps()
    held.set()
    saved.wait()
    assert list(manager.all_steps()) == [10]
    saved.save(11, after, RECORD)
  for number in (10, 11):
    found = checkpoint.restore_newest(manager, state_of(0), most=number)
    assert found.step == number
    np.testing.assert_array_equal(found.state['kernel'], state_of(9)['kernel'] + (number - 9))


def test_a_second_save_waits_for_the_first(manager, held):
  threading.Timer(0.2, held.set).start()
  with saving.saving(manager) as saved:
    saved.save(10, state_of(10), RECORD)
    saved.save(20, state_of(20), RECORD)
    assert 10 in manager.all_steps()
  assert sorted(manager.all_steps()) == [10, 20]


@pytest.mark.parametrize('call', ['check', 'wait', 'save', 'leave'])
def test_what_a_save_raised_is_raised_by_the_next_call(manager, monkeypatch, call):
  """And the step before stays good."""
  checkpoint.save(manager, 10, state_of(10), RECORD)
  failing(monkeypatch, manager, 'save', OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), times=9)
  with pytest.raises(errors.StorageError, match='No space left'), saving.saving(manager) as saved:
    saved.save(20, state_of(20), RECORD)
    futures.wait([saved._last])
    {'check': saved.check, 'wait': saved.wait, 'leave': lambda: None}.get(
      call, lambda: saved.save(30, state_of(30), RECORD)
    )()
    assert call == 'leave'
  monkeypatch.undo()
  assert checkpoint.restore_newest(manager, state_of(0)).step == 10


def test_an_error_in_the_loop_waits_for_the_save_and_is_what_is_raised(manager, held):
  threading.Timer(0.2, held.set).start()
  with pytest.raises(ZeroDivisionError), saving.saving(manager) as saved:
    saved.save(10, state_of(10), RECORD)
    raise ZeroDivisionError
  assert list(manager.all_steps()) == [10]
