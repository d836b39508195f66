"""Files are whole or absent, on the disk, and private; what a place refuses is one line."""

import errno
import os
import pathlib
import signal
import stat
import subprocess
import sys

import numpy as np
import pytest
from absl import flags

from vae_jax import errors, files
from vae_jax.commands import command
from vae_jax.data import cache, sources
from vae_jax.files import locks

pytestmark = pytest.mark.process

FAULTS = [
  errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO,
  errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EREMOTEIO,
]  # fmt: skip
OTHERS = [errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG]


def mode(path: pathlib.Path) -> int:
  return stat.S_IMODE(path.stat().st_mode)


def test_an_interrupted_write_leaves_the_old_file(tmp_path):
  path = tmp_path / 'results.csv'
  files.write_text(path, 'old')

  class KilledError(Exception):
    pass

  with pytest.raises(KilledError), files.atomic_path(path) as temporary:
    temporary.write_text('half')
    raise KilledError
  assert path.read_text() == 'old'
  assert list(tmp_path.iterdir()) == [path]


def test_a_write_replaces_the_whole_file(tmp_path):
  path = tmp_path / 'x.json'
  files.write_text(path, 'long old text')
  files.write_text(path, 'new')
  assert path.read_text() == 'new'


@pytest.mark.parametrize('code', FAULTS)
def test_what_the_place_refuses_is_a_storage_error(code):
  words = os.strerror(code)
  for action in ('write', 'read'):
    reason = rf'^cannot {action} x\.csv: {words}$'
    with pytest.raises(errors.StorageError, match=reason), files.storage_errors('x.csv', action):
      raise OSError(code, words)
  assert files.fault_of(ValueError(f'UNKNOWN: Failed to open "d/ab": {words}')) == words
  assert files.fault_of(ValueError(f"Failed to open: [os_error_code='{code}']")) == words


@pytest.mark.parametrize('code', OTHERS)
def test_other_system_errors_pass(code):
  words = os.strerror(code)
  with pytest.raises(OSError, match=words) as raised, files.storage_errors('x'):
    raise OSError(code, words)
  assert raised.value.errno == code
  assert files.fault_of(ValueError(f"Failed to open: {words} [os_error_code='{code}']")) == ''


def test_a_fault_that_nobody_caught_is_one_line_and_exit_6(capsys):
  def fail(code):
    raise OSError(code, os.strerror(code), '/runs/x/results.csv')

  def failing(code):
    return command.Command('Fails.', flags.FlagValues(), lambda _: fail(code))

  assert command.exit_code_of(failing(errno.EIO), []) == 6
  assert capsys.readouterr().err == 'cannot use /runs/x/results.csv: Input/output error\n'
  with pytest.raises(FileNotFoundError):
    command.exit_code_of(failing(errno.ENOENT), [])


def test_a_directory_that_is_gone_is_a_storage_error(tmp_path):
  reason = 'cannot write .*x.json: No such file or directory'
  with pytest.raises(errors.StorageError, match=reason):
    files.write_text(tmp_path / 'gone' / 'x.json', '{}')


def test_what_is_made_is_its_owners_alone(tmp_path):
  files.make_directory(tmp_path / 'new' / 'run')
  assert mode(tmp_path / 'new' / 'run') == 0o700
  path = tmp_path / 'new' / 'run' / 'config.json'
  with files.atomic_path(path) as temporary:
    assert mode(temporary) == 0o600
    temporary.write_text('{}')
  assert mode(path) == 0o600
  with open(tmp_path / 'journal', 'ab', opener=files.private):
    assert mode(tmp_path / 'journal') == 0o600


def test_a_directory_that_the_user_made_stays_as_open_as_it_is(tmp_path):
  shared = tmp_path / 'shared'
  shared.mkdir()
  shared.chmod(0o775)
  files.make_directory(shared)
  assert mode(shared) == 0o775


def test_a_tree_is_synced_file_by_file_and_each_directory_after_what_is_in_it(
  tmp_path, monkeypatch
):
  (tmp_path / 'state' / 'd').mkdir(parents=True)
  for name in ('top', 'state/a', 'state/d/b'):
    (tmp_path / name).write_text(name)
  synced = []
  fsync = os.fsync

  def record(descriptor):
    synced.append(os.path.relpath(os.readlink(f'/proc/self/fd/{descriptor}'), tmp_path))
    fsync(descriptor)

  monkeypatch.setattr(os, 'fsync', record)
  files.sync_tree(tmp_path)
  assert synced == ['state/d/b', 'state/d', 'state/a', 'state', 'top', '.']


def test_a_file_system_that_cannot_sync_a_directory_is_written_to(tmp_path, monkeypatch):
  fsync = os.fsync

  def refuse_directories(descriptor):
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
      raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    fsync(descriptor)

  monkeypatch.setattr(os, 'fsync', refuse_directories)
  files.write_text(tmp_path / 'x', 'text')
  assert (tmp_path / 'x').read_text() == 'text'


def test_of_the_files_half_written_those_of_dead_writers_go(tmp_path):
  program = (
    'import time\nfrom vae_jax import files\n'
    f'with files.atomic_path({str(tmp_path / "dead.npy")!r}) as path:\n'
    '  print("writing", flush=True); time.sleep(60)'
  )
  writer = subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE)
  try:
    assert writer.stdout.readline() == b'writing\n'
    with files.atomic_path(tmp_path / 'mine.npy') as mine:
      files.remove_abandoned(tmp_path)
      assert len(list(tmp_path.iterdir())) == 2
      writer.send_signal(signal.SIGKILL)
      writer.wait()
      files.remove_abandoned(tmp_path)
      assert list(tmp_path.iterdir()) == [mine]
  finally:
    writer.kill()
    writer.communicate()
  assert [path.name for path in tmp_path.iterdir()] == ['mine.npy']


def test_what_a_killed_caching_left_goes_with_the_next_look(tmp_path, monkeypatch):
  monkeypatch.setenv('VAE_JAX_CACHE', str(tmp_path))
  left = cache.directory() / '.mnist-3.0.1-train.tmp-0123456789abcdef.npy'
  examples = sources.Examples(np.zeros((2, 3), np.uint8), None)
  for _ in range(2):  # nothing is cached; it is
    files.make_directory(left.parent)
    left.write_bytes(b'half')
    read = cache.fetch('mnist', '3.0.1', 'train', '0' * 16, lambda: examples)
    np.testing.assert_array_equal(read.images, examples.images)
    (cached,) = left.parent.iterdir()
    assert (mode(left.parent), mode(cached)) == (0o700, 0o600)


def test_where_nobody_can_tell_who_lives_half_written_files_stay(tmp_path, monkeypatch):
  left = tmp_path / '.dead.tmp-0123456789abcdef.npy'
  left.write_bytes(b'half')
  monkeypatch.setattr(locks.fcntl, 'flock', lambda *_: None)  # locks that keep nobody out
  files.remove_abandoned(tmp_path)
  assert left.exists()
  monkeypatch.undo()
  files.remove_abandoned(tmp_path)
  assert not left.exists()


def test_a_writer_whose_new_file_looked_abandoned_takes_another(tmp_path, monkeypatch):
  """Between making a file and locking it, another process may remove it."""
  try_lock, attempts = locks.try_lock, []

  def removed_first(descriptor):
    if not attempts:
      os.unlink(os.readlink(f'/proc/self/fd/{descriptor}'))
    attempts.append(descriptor)
    return try_lock(descriptor)

  monkeypatch.setattr(locks, 'try_lock', removed_first)
  files.write_text(tmp_path / 'x', 'text')
  assert (tmp_path / 'x').read_text() == 'text'
  assert len(attempts) == 2
