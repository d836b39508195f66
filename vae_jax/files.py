"""Files that are whole or absent: atomic writes, checksums, and the lock of a directory."""

import contextlib
import errno
import fcntl
import hashlib
import os
import pathlib
import tempfile
from collections.abc import Iterator

from vae_jax import errors

_NOT_WRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}


@contextlib.contextmanager
def storage_errors(path: os.PathLike | str) -> Iterator[None]:
  """Turns 'no space' and 'not writable' from the system into StorageError, with the path."""
  try:
    yield
  except errors.StorageError:
    raise
  except OSError as error:
    if error.errno in _NOT_WRITABLE:
      raise errors.StorageError(f'cannot write {path}: {error.strerror}') from error
    raise


@contextlib.contextmanager
def atomic_path(path: os.PathLike | str) -> Iterator[pathlib.Path]:
  """Yields a temporary path beside `path`, renamed onto it when the block ends without error.

  A reader, or a process killed at any moment, sees the old file or the new one, never a part.
  The bytes are flushed to the disk before the rename.
  """
  path = pathlib.Path(path)
  with storage_errors(path):
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.', suffix=path.suffix)
    temporary = pathlib.Path(name)
    try:
      os.close(handle)
      yield temporary
      with open(temporary, 'rb') as file:
        os.fsync(file.fileno())
      temporary.chmod(0o644)
      temporary.replace(path)
    finally:
      temporary.unlink(missing_ok=True)


def write_text(path: os.PathLike | str, text: str) -> None:
  """Writes a whole text file atomically."""
  with atomic_path(path) as temporary:
    temporary.write_text(text, encoding='utf-8')


def sha256_of_file(path: os.PathLike | str) -> str:
  """Returns the sha256 of a file's bytes, in hexadecimal."""
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


@contextlib.contextmanager
def directory_lock(directory: os.PathLike | str) -> Iterator[None]:
  """Holds `directory/.lock` for the length of the block; the kernel frees it if the process dies.

  Raises:
    InUseError: another process holds it.
  """
  path = pathlib.Path(directory) / '.lock'
  with storage_errors(path):
    file = open(path, 'a+')  # noqa: SIM115 (closed below, after the lock is taken)
  with file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      file.seek(0)
      holder = file.read().strip() or 'unknown'
      raise errors.InUseError(
        f'{directory} is in use by process {holder}; wait for it, or use another workdir'
      ) from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    yield
