"""Files that are whole or absent, their owner's alone, and on the disk once they stand there."""

import contextlib
import errno
import hashlib
import os
import pathlib
import secrets
import stat
from collections.abc import Iterator

from vae_jax import errors, paths
from vae_jax.files import faults, locks

_MARK = '.tmp-'
# Answers of file systems that cannot be asked to sync a directory, or anything.
_UNSYNCED = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF}


@contextlib.contextmanager
def atomic_path(path: os.PathLike | str) -> Iterator[pathlib.Path]:
  """Yields a temporary path beside `path`, renamed onto it when the block ends without error.

  A reader, or a process killed at any moment, sees the old file or the new one, never a part.
  The bytes are on the disk before the rename, and the rename before the block returns.

  Raises:
    StorageError: no space left, the place cannot be written, or is gone.
  """
  path = pathlib.Path(path)
  with faults.storage_errors(path), _temporary(path) as temporary:
    yield temporary
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


@contextlib.contextmanager
def _temporary(path: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields a new file beside `path`, locked as long as its writer lives; see `remove_abandoned`."""
  temporary, descriptor = _new_file(path)
  try:
    if locks.fcntl is None:  # where a file that is open cannot be renamed
      os.close(descriptor)
      yield temporary
    else:
      with contextlib.closing(os.fdopen(descriptor)):
        yield temporary
  finally:
    temporary.unlink(missing_ok=True)


def _new_file(path: pathlib.Path) -> tuple[pathlib.Path, int]:
  """Makes a file beside `path` and locks it; returns where, and the descriptor with the lock."""
  while True:
    # Some writers go by the suffix, so the temporary file keeps it.
    temporary = path.parent / f'.{path.stem}{_MARK}{secrets.token_hex(8)}{path.suffix}'
    try:
      descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    except (FileNotFoundError, NotADirectoryError) as error:
      raise errors.StorageError(f'cannot write {path}: {error.strerror}') from error
    # Between the two calls it looks abandoned: then whoever removes such files has it.
    if locks.try_lock(descriptor) and temporary.exists():
      return temporary, descriptor
    os.close(descriptor)
    temporary.unlink(missing_ok=True)


def sync(path: os.PathLike | str) -> None:
  """Waits until the disk has a file's bytes, or the names in a directory."""
  path = pathlib.Path(path)
  if os.name == 'nt' and path.is_dir():  # Windows opens no directory
    return
  descriptor = os.open(path, os.O_RDONLY)
  try:
    os.fsync(descriptor)
  except OSError as error:
    if error.errno not in _UNSYNCED:
      raise
  finally:
    os.close(descriptor)


def sync_tree(directory: os.PathLike | str) -> None:
  """Makes all that lies in a directory private to its owner, and waits until the disk has it.

  The entry of the directory itself is its parent's matter.
  """
  paths = []
  for parent, _, names in os.walk(directory, topdown=False, onerror=_raise):
    parent = pathlib.Path(parent)
    paths += [*((parent / name, 0o600) for name in names), (parent, 0o700)]
  # All modes first: the disk then takes them at once, with what is synced first.
  for path, mode in paths:
    if stat.S_IMODE(path.stat().st_mode) != mode:
      with contextlib.suppress(OSError):  # no modes there; what else fails, fails below
        path.chmod(mode)
  for path, _ in paths:
    sync(path)


def read_tree(directory: os.PathLike | str) -> None:
  """Reads every file in a directory and below; raises the OSError of the first that it cannot."""
  for parent, _, names in os.walk(directory, onerror=_raise):
    for name in names:
      sha256_of_file(os.path.join(parent, name))


def _raise(error: OSError) -> None:
  raise error


def make_directory(path: os.PathLike | str) -> None:
  """Makes a directory for its owner alone where there is none, and what is above it as usual.

  What exists is left as it is: it is the user's to open to others.
  """
  path = pathlib.Path(path)
  if not path.is_dir():
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(PermissionError):  # a parent that may be written and not read
      sync(path.parent)


def private(path: str, flags: int) -> int:
  """An opener for `open`: what it makes is for its owner alone."""
  return os.open(path, flags, 0o600)


def remove_temporaries(directory: os.PathLike | str) -> None:
  """Removes what killed writers left in a directory and below; its holder alone may call this."""
  for path in pathlib.Path(directory).rglob(f'.*{_MARK}*'):
    path.unlink(missing_ok=True)


def remove_abandoned(directory: os.PathLike | str) -> None:
  """Removes what killed writers left in a directory that others may be writing to.

  A file whose writer lives is locked. Where the file system has no locks, everything stays.
  """
  for path in pathlib.Path(directory).glob(f'.*{_MARK}*'):
    with contextlib.suppress(OSError):  # gone meanwhile, or not ours
      descriptor = os.open(path, os.O_RDWR | getattr(os, 'O_NOFOLLOW', 0))
      try:
        if locks.try_lock(descriptor) and not locks.lockless(path):
          path.unlink()
      finally:
        os.close(descriptor)


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
  return paths.expanded(os.environ.get('VAE_JAX_CACHE') or '~/.cache/vae_jax', 'VAE_JAX_CACHE')
