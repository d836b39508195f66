"""Files that are whole or absent: atomic writes, checksums, and the lock of a directory."""

import contextlib
import errno
import fcntl
import hashlib
import os
import pathlib
import secrets
from collections.abc import Iterator

from vae_jax import errors

_NOT_WRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
_MARK = '.tmp-'


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
  The bytes are on the disk before the rename, and the rename before the block returns.
  """
  path = pathlib.Path(path)
  with storage_errors(path):
    # Some writers go by the suffix, so the temporary file keeps it.
    name = f'.{path.stem}{_MARK}{secrets.token_hex(8)}{path.suffix}'
    temporary = path.parent / name
    try:
      temporary.touch(exist_ok=False)
      yield temporary
      _flush(temporary)
      temporary.replace(path)
      _flush(path.parent)
    finally:
      temporary.unlink(missing_ok=True)


def _flush(path: pathlib.Path) -> None:
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  finally:
    os.close(descriptor)


def remove_temporaries(directory: os.PathLike | str) -> None:
  """Removes what killed writers left in a directory and below; its holder alone may call this."""
  for path in pathlib.Path(directory).rglob(f'.*{_MARK}*'):
    path.unlink(missing_ok=True)


def write_text(path: os.PathLike | str, text: str) -> None:
  """Writes a whole text file atomically."""
  with atomic_path(path) as temporary:
    temporary.write_text(text, encoding='utf-8')


def sha256_of_file(path: os.PathLike | str) -> str:
  """Returns the sha256 of a file's bytes, in hexadecimal."""
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def cache_root() -> pathlib.Path:
  """Returns where caches lie: $VAE_JAX_CACHE, else ~/.cache/vae_jax."""
  return pathlib.Path(os.environ.get('VAE_JAX_CACHE') or '~/.cache/vae_jax').expanduser()


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
