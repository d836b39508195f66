"""stdout and stderr that end no run: whatever terminal, pipe or disk is behind them."""

import os
import sys
from typing import Any, TextIO


class Patient:
  """A stream whose writes never fail: a reader that has gone, or a full disk, loses the text only.

  Attributes:
    error: the first that came, None where none did.
  """

  def __init__(self, stream: TextIO):
    self._stream = stream
    self.error: OSError | None = None

  def write(self, text: str) -> int:
    try:
      return self._stream.write(text)
    except OSError as error:
      return self._give_up(error, len(text))

  def flush(self) -> None:
    try:
      self._stream.flush()
    except OSError as error:
      self._give_up(error, 0)

  def _give_up(self, error: OSError, length: int) -> int:
    self.error = self.error or error
    # What is buffered would fail again, at the end of the interpreter with a traceback.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, self._stream.fileno())
    os.close(nowhere)
    return length

  def __getattr__(self, name: str) -> Any:
    return getattr(self._stream, name)


def make_patient() -> None:
  """Makes stdout and stderr patient; what their encoding lacks is written as a question mark."""
  for name in ('stdout', 'stderr'):
    stream = getattr(sys, name)
    if stream is None:  # closed by who called
      stream = open(os.devnull, 'w')  # noqa: SIM115 (for the life of the process)
    elif hasattr(stream, 'reconfigure'):
      stream.reconfigure(errors='replace')
    setattr(sys, name, Patient(stream))


def finish() -> None:
  """Writes what is buffered, and says on stderr what became of stdout."""
  for stream in (sys.stdout, sys.stderr):
    stream.flush()
  if error := getattr(sys.stdout, 'error', None):
    print(f'stdout cannot be written ({error.strerror}); the rest is done', file=sys.stderr)
    sys.stderr.flush()
