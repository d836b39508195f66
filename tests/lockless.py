"""A file system without locks, or with locks that keep nobody out, as far as a process can tell."""

import fcntl
import os


def install(code: int, patch=setattr):
  """Makes flock answer so (0: as if it had locked) for `.lock`; on the local disk it works."""
  flock = fcntl.flock

  def answer(descriptor, operation):
    if not os.readlink(f'/proc/self/fd/{descriptor}').endswith('/.lock'):
      return flock(descriptor, operation)
    if code:
      raise OSError(code, os.strerror(code))

  patch(fcntl, 'flock', answer)
