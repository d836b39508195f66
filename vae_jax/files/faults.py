"""What the system answers where a place cannot give or take bytes, told from what the bytes are."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator

from vae_jax import errors

# Full, read-only or forbidden; a disk or a network that fails; too many files open. None of them
# says anything about what is stored. By name, as no system has all of them.
_NAMES = (
  'ENOSPC EDQUOT EFBIG EROFS EACCES EPERM '
  'EIO ENXIO ENODEV EBUSY EUCLEAN ENOMEM ENOBUFS EAGAIN EINTR EMFILE ENFILE ENOLCK '
  'ESTALE EREMOTEIO ETIMEDOUT ENOTCONN ECONNREFUSED ECONNRESET ECONNABORTED ESHUTDOWN EPROTO '
  'EHOSTDOWN EHOSTUNREACH ENETDOWN ENETUNREACH ENETRESET ENOLINK ECOMM'
)
_FAULTS = frozenset(code for code, name in errno.errorcode.items() if name in _NAMES.split())


def fault_of(error: BaseException) -> str:
  """Returns what the system said where an error is a fault of the place, and '' where it is not.

  Libraries in C++ hand on the system's answer as text: the number that tensorstore writes, or the
  words of `strerror`.
  """
  if isinstance(error, OSError) and error.errno is not None:
    return os.strerror(error.errno) if error.errno in _FAULTS else ''
  text = str(error)
  if number := re.search(r"os_error_code='(\d+)'", text):
    return os.strerror(int(number[1])) if int(number[1]) in _FAULTS else ''
  return next((words for code in _FAULTS if (words := os.strerror(code)) in text), '')


@contextlib.contextmanager
def storage_errors(path: os.PathLike | str, action: str = 'write') -> Iterator[None]:
  """Turns a fault of the place into StorageError, with what could not be done and the path."""
  try:
    yield
  except errors.StorageError:
    raise
  except OSError as error:
    if fault := fault_of(error):
      raise errors.StorageError(f'cannot {action} {path}: {fault}') from error
    raise
