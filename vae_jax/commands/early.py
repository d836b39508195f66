"""What comes before the heavy imports of a command: Ctrl-C, garbage, closed streams.

It imports nothing that takes time.
"""

import gc
import os
import signal
import sys
import types


def begin() -> None:
  """Prepares the process of a command; `command.start` goes on from here."""
  # What a command imports are 200,000 objects that live to its end: to look through them again and
  # again for garbage takes a third of a start. `command.start` turns the collector on.
  gc.disable()
  leave_at_once(130, 'interrupted')
  _open_what_is_closed()
  sys.excepthook = _say_of_imports


def leave_at_once(exit_code: int, message: str) -> None:
  """Makes Ctrl-C end the process where nothing is to be saved: without a traceback, at once.

  What is ignored, as in the background of a script, stays so.
  """

  def leave(number, frame):
    del number, frame
    if message:
      os.write(2, f'{message}\n'.encode())
    os._exit(exit_code)

  if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
    signal.signal(signal.SIGINT, leave)


def _open_what_is_closed() -> None:
  """Opens stdin, stdout and stderr where the caller has closed them: a file must not take 0 to 2.

  The log of a library would go into it.
  """
  for descriptor in (0, 1, 2):
    try:
      os.fstat(descriptor)
    except OSError:
      os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free


def _say_of_imports(kind: type, error: BaseException, trace: types.TracebackType | None) -> None:
  """Is the excepthook: JAX reads its environment when it is imported, and refuses a wrong value."""
  if kind is ValueError and 'jax' in str(error).lower():
    os.write(2, f'{error}; set the variable of that name to another, or unset it\n'.encode())
    os._exit(2)
  sys.__excepthook__(kind, error, trace)
