"""The lock of a directory: the kernel's where the file system has one, else a file in its stead.

The kernel frees its lock when the holder dies. Network file systems may have none: then a file
made by O_EXCL names the holder, and a second lock, on the local disk, tells whether a holder on
this very host still lives. What a dead holder on another host has left, nobody here can judge.
"""

import contextlib
import errno
import hashlib
import logging
import os
import pathlib
import re
import socket
import stat
import tempfile
import uuid
from collections.abc import Iterator
from typing import NamedTuple

import psutil

from vae_jax import errors
from vae_jax.files import faults

try:
  import fcntl
except ImportError:  # Windows
  fcntl = None

# Answers of a file system, or of a server, that has no locks; EINVAL is that of some in user space.
_LOCKLESS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_HELD = {errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES}


@contextlib.contextmanager
def directory_lock(directory: os.PathLike | str) -> Iterator[None]:
  """Holds `directory/.lock` for the length of the block.

  Raises:
    InUseError: another process holds it.
    StorageError: it cannot be made, or something else stands under its name.
  """
  path = pathlib.Path(directory) / '.lock'
  with contextlib.ExitStack() as stack:
    descriptor = _open(path)
    stack.callback(os.close, descriptor)
    with faults.storage_errors(path):
      if not try_lock(descriptor):
        raise _in_use(directory, f'process {_read(path)}')
    if reason := lockless(path):
      logging.warning(
        'the file system of %s does not lock (%s); a file stands for the lock: use the directory '
        'from one process at a time',
        directory,
        reason,
      )
      stack.enter_context(_held_by_file(pathlib.Path(directory)))
    with faults.storage_errors(path):
      os.truncate(descriptor, 0)
      os.write(descriptor, f'{os.getpid()} on {socket.gethostname()}'.encode())
    yield


class Holder(NamedTuple):
  """Who took the lock of a directory last.

  Attributes:
    process, host: of it; '' for a host that an earlier version did not write.
    holds: whether it still does; None of another host, where alone that can be told.
  """

  process: int
  host: str
  holds: bool | None


def holder_of(directory: os.PathLike | str) -> Holder | None:
  """Returns who took the lock of a directory last, None where nobody did.

  Nothing is locked or written: a run that starts now is not in the way of who looks, nor the other
  way round.
  """
  directory = pathlib.Path(directory)
  if match := re.fullmatch(r'(\S+) (\d+)', _read(directory / '.lock-holder')):
    host, process = match.group(1), int(match.group(2))
    return Holder(process, host, psutil.pid_exists(process) if host == _host() else None)
  path = directory / '.lock'
  match = re.fullmatch(r'(\d+)(?: on (\S+))?', _read(path))
  if match is None:
    return None
  process, host = int(match.group(1)), match.group(2) or ''
  elsewhere = host not in ('', socket.gethostname())
  return Holder(process, host, None if elsewhere else _has_open(process, path))


def _has_open(process: int, path: pathlib.Path) -> bool:
  """Tells whether a process has a file open; of another user's, whether there is the process."""
  try:
    opened = [file.path for file in psutil.Process(process).open_files()]
  except psutil.AccessDenied:
    return True
  except psutil.NoSuchProcess:
    return False
  return str(path.resolve()) in opened


def _in_use(directory: os.PathLike | str, holder: str, otherwise: str = '') -> errors.InUseError:
  return errors.InUseError(
    f'{directory} is in use by {holder}; wait for it, or use another workdir{otherwise}'
  )


def try_lock(descriptor: int) -> bool:
  """Takes the kernel's lock of an open file; False where another has it.

  Where there are no locks it is True: see `lockless`.
  """
  if fcntl is None:
    return True
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError as error:
    if error.errno in _HELD:
      return False
    if error.errno not in _LOCKLESS:
      raise
  return True


def lockless(path: os.PathLike | str) -> str:
  """Tells why a lock that `try_lock` took of this file keeps nobody out; '' where it does.

  The probe is a second taker: it must be refused.
  """
  if fcntl is None:
    return 'this system has no flock'
  descriptor = _open(path)
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError as error:
    return '' if error.errno in _HELD else os.strerror(error.errno)
  finally:
    os.close(descriptor)
  return 'its flock lets two in'


def _open(path: os.PathLike | str) -> int:
  """Opens a file of ours, made where it is absent, and never what a link of that name points to.

  Raises:
    StorageError: it cannot be opened, or is no plain file.
  """
  flags = os.O_RDWR | os.O_CREAT
  flags |= getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_NONBLOCK', 0)  # not on Windows
  with faults.storage_errors(path):
    if os.path.islink(path) or os.path.isdir(path):
      kind = 'link' if os.path.islink(path) else 'directory'
      raise errors.StorageError(f'cannot write {path}: it is a {kind}; remove it')
    descriptor = os.open(path, flags, 0o600)
  found = os.fstat(descriptor)
  if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
    return descriptor
  os.close(descriptor)
  raise errors.StorageError(f'cannot write {path}: it is no plain file of its own; remove it')


def _read(path: pathlib.Path) -> str:
  """Returns who wrote a lock's file, as far as it can be read."""
  try:
    content = path.read_bytes()[:100].decode(errors='replace')
  except OSError:
    return 'unknown'
  return ''.join(c for c in content if c.isprintable()).strip() or 'unknown'


def _host() -> str:
  # The network card beside the name, as many machines are called localhost.
  return f'{socket.gethostname()}-{uuid.getnode():x}'


def _holder(path: pathlib.Path) -> str:
  host, _, process = _read(path).partition(' ')
  return f'process {process or "unknown"} on {host}'


@contextlib.contextmanager
def _held_by_file(directory: pathlib.Path) -> Iterator[None]:
  """Holds `directory/.lock-holder`, a file that exists as long as somebody holds the directory."""
  path = directory / '.lock-holder'
  with _local_lock(directory) as is_judge:
    with faults.storage_errors(path):
      try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
      except FileExistsError:
        if not (is_judge and _read(path).startswith(f'{_host()} ')):
          reason = f'; if that process is no more, remove {path}'
          raise _in_use(directory, _holder(path), reason) from None
        # It was of this host, and whoever has the local lock is the only one alive here.
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | getattr(os, 'O_NOFOLLOW', 0))
      with open(descriptor, 'w') as file:
        file.write(f'{_host()} {os.getpid()}')
    try:
      yield
    finally:
      path.unlink(missing_ok=True)


@contextlib.contextmanager
def _local_lock(directory: pathlib.Path) -> Iterator[bool]:
  """Keeps out other processes of this host and user, by a lock on the local disk.

  Yields whether there is one; without it nobody can tell whether a holder lives.
  """
  name = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()[:32]
  user = os.getuid() if hasattr(os, 'getuid') else ''
  path = pathlib.Path(tempfile.gettempdir()) / f'vae_jax-{user}-{name}.lock'
  descriptor = _open(path)
  try:
    if not try_lock(descriptor):
      raise _in_use(directory, _holder(directory / '.lock-holder'))
    yield not lockless(path)
  finally:
    os.close(descriptor)
