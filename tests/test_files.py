"""Files are whole or absent, and a directory has one holder."""

import errno
import os
import subprocess
import sys

import pytest

from vae_jax import errors, files


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


@pytest.mark.parametrize('code', [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_a_full_or_read_only_disk_is_a_storage_error(tmp_path, code):
  with pytest.raises(errors.StorageError, match=r'x\.csv'), files.storage_errors('x.csv'):
    raise OSError(code, os.strerror(code))


def test_other_system_errors_pass(tmp_path):
  with pytest.raises(FileNotFoundError), files.storage_errors('x'):
    raise FileNotFoundError(errno.ENOENT, 'gone')


def test_the_lock_keeps_others_out_and_dies_with_its_holder(tmp_path):
  code = (
    'import sys, time; from vae_jax import files\n'
    f'with files.directory_lock({str(tmp_path)!r}):\n'
    '  print("held", flush=True); time.sleep(60)'
  )
  with subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE, text=True) as holder:
    assert holder.stdout.readline() == 'held\n'
    with pytest.raises(errors.InUseError, match=str(holder.pid)), files.directory_lock(tmp_path):
      pass
    holder.kill()
  with files.directory_lock(tmp_path):
    assert (tmp_path / '.lock').read_text() == str(os.getpid())
