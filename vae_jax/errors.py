"""The ways in which a run can be refused or stopped, one class each.

The library raises them; `launch` turns each into one line on stderr and the exit code named here.
"""


class InputError(ValueError):
  """Bad input: the message names the key, the value and the nearest valid one. Exit code 2."""

  exit_code = 2


class DamagedError(Exception):
  """Stored bytes fail their check (a checkpoint, a data file). Exit code 4."""

  exit_code = 4


class InUseError(Exception):
  """Another process holds the directory. Exit code 5."""

  exit_code = 5


class StorageError(OSError):
  """No space left, or the place cannot be written. Exit code 6."""

  exit_code = 6


class Stopped(Exception):  # noqa: N818 (a request that was granted, not an error)
  """Stopped by a signal, with the state saved. Exit code 128 + signal: 130 Ctrl-C, 143 SIGTERM."""

  def __init__(self, signal_number: int, message: str):
    super().__init__(message)
    self.exit_code = 128 + signal_number
