"""A directory has one holder, whatever the file system can do, and the lock harms no other file."""

import errno
import json
import os
import socket
import subprocess
import sys
import tempfile

import lockless
import pytest
from conftest import small_config

from vae_jax import errors, files
from vae_jax.files import locks
from vae_jax.runs import workdir

pytestmark = pytest.mark.process

# How a file system without locks answers, or one whose locks keep nobody out.
ANSWERS = [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, 0]

HOLDER = """
import sys, time
sys.path.insert(0, 'tests')
import lockless
from vae_jax import files
if {code} is not None:
  lockless.install({code})
with files.directory_lock({directory!r}):
  print('held', flush=True)
  time.sleep(60)
"""


@pytest.fixture(autouse=True)
def local_disk(tmp_path, monkeypatch):
  """The directory of temporary files, of this process and of those that it starts."""
  path = tmp_path.with_name(f'{tmp_path.name}-local')
  path.mkdir()
  monkeypatch.setenv('TMPDIR', str(path))
  monkeypatch.setattr(tempfile, 'tempdir', str(path))


@pytest.fixture
def held_by():
  """Starts processes that hold a directory."""
  started = []

  def hold(directory, code: int | None = None) -> subprocess.Popen:
    program = HOLDER.format(code=code, directory=str(directory))
    started.append(subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE))
    assert started[-1].stdout.readline() == b'held\n'
    return started[-1]

  yield hold
  for process in started:
    process.kill()
    process.communicate()


def test_the_lock_keeps_others_out_and_dies_with_its_holder(tmp_path, held_by, caplog):
  holder = held_by(tmp_path)
  with pytest.raises(errors.InUseError, match=str(holder.pid)), files.directory_lock(tmp_path):
    pass
  holder.kill()
  holder.wait()
  with files.directory_lock(tmp_path):
    assert (tmp_path / '.lock').read_text() == f'{os.getpid()} on {socket.gethostname()}'
  assert not caplog.records


@pytest.mark.parametrize('code', ANSWERS)
def test_without_locks_a_file_keeps_others_out_and_it_is_said(tmp_path, monkeypatch, caplog, code):
  lockless.install(code, monkeypatch.setattr)
  with files.directory_lock(tmp_path):
    (warning,) = caplog.messages
    assert f'of {tmp_path} does not lock' in warning
    assert 'from one process at a time' in warning
    reason = rf'in use by process {os.getpid()} on \S+;'
    with pytest.raises(errors.InUseError, match=reason), files.directory_lock(tmp_path):
      pass
  assert not (tmp_path / '.lock-holder').exists()
  with files.directory_lock(tmp_path):
    pass


def test_without_locks_a_dead_holder_of_this_host_is_seen(tmp_path, monkeypatch, held_by):
  lockless.install(errno.ENOSYS, monkeypatch.setattr)
  holder = held_by(tmp_path, errno.ENOSYS)
  with pytest.raises(errors.InUseError, match=str(holder.pid)), files.directory_lock(tmp_path):
    pass
  holder.kill()
  holder.wait()
  assert (tmp_path / '.lock-holder').exists()
  with files.directory_lock(tmp_path):
    assert (tmp_path / '.lock-holder').read_text().endswith(f' {os.getpid()}')


@pytest.mark.parametrize('is_windows', [False, True])
def test_a_holder_that_cannot_be_judged_keeps_the_directory(tmp_path, monkeypatch, is_windows):
  """One of another host; on Windows, where there is no flock at all, also one of this host."""
  if is_windows:
    monkeypatch.setattr(locks, 'fcntl', None)
  else:
    lockless.install(errno.ENOLCK, monkeypatch.setattr)
  path = tmp_path / '.lock-holder'
  path.write_text(f'{locks._host() if is_windows else "node7-2b"} 4711')
  reason = rf'in use by process 4711 on \S+; .*if that process is no more, remove {path}$'
  with pytest.raises(errors.InUseError, match=reason), files.directory_lock(tmp_path):
    pass
  assert path.read_text().endswith(' 4711')
  path.unlink()
  with files.directory_lock(tmp_path):
    assert path.exists()


def test_a_lock_that_fails_is_one_line(tmp_path, monkeypatch):
  lockless.install(errno.EIO, monkeypatch.setattr)
  reason = r'cannot write .*/\.lock: Input/output error$'
  with pytest.raises(errors.StorageError, match=reason), files.directory_lock(tmp_path):
    pass


@pytest.mark.parametrize('kind', ['symbolic link', 'hard link', 'directory', 'pipe'])
def test_what_else_is_called_lock_is_refused_and_left_as_it_is(tmp_path, kind):
  target, path = tmp_path / 'thesis.tex', tmp_path / 'run' / '.lock'
  target.write_text('years of work')
  path.parent.mkdir()
  {
    'symbolic link': lambda: path.symlink_to(target),
    'hard link': lambda: path.hardlink_to(target),
    'directory': path.mkdir,
    'pipe': lambda: os.mkfifo(path),
  }[kind]()
  reason = rf'^cannot write {path}: it is .*; remove it$'
  with pytest.raises(errors.StorageError, match=reason), files.directory_lock(path.parent):
    pass
  assert target.read_text() == 'years of work'


def test_odd_bytes_in_the_lock_do_no_harm(tmp_path):
  path = tmp_path / '.lock'
  path.write_bytes(b'\xff\x00\n\x1b[31m' * 10_000)
  with files.directory_lock(tmp_path):
    assert path.read_text() == f'{os.getpid()} on {socket.gethostname()}'
    path.write_bytes(b'\xff\x00\n\x1b[31m' * 10_000)
    with pytest.raises(errors.InUseError) as refusal, files.directory_lock(tmp_path):
      pass
  assert str(refusal.value).isprintable()
  assert len(str(refusal.value)) < 300


def test_of_two_starts_at_once_the_second_sees_a_run(tmp_path, monkeypatch):
  """The first writes its config while the second looks around: that is no foreign file."""
  directory, config = tmp_path / 'run', small_config()
  directory.mkdir()
  glob = type(directory).glob

  def meanwhile(path, pattern):
    files.write_text(directory / 'config.json', json.dumps(config))
    return glob(path, pattern)

  monkeypatch.setattr(type(directory), 'glob', meanwhile)
  workdir.check_owner(directory, config)
