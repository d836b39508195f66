"""Turns SIGTERM and Ctrl-C into a request that the loop grants at its next safe point."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def deferred(asked: Callable[[], int] = lambda: 0) -> Iterator[Callable[[], int]]:
  """Catches the first signal for the length of the block; a second one acts as usual.

  Yields a function that returns the number of the signal received, 0 before any; before any it is
  what `asked` returns. Outside the main thread, where Python allows no handlers, it is always that.
  """
  received = 0

  def handler(number, frame):
    nonlocal received
    del frame
    received = number
    _restore()

  def _restore():
    for number, old in previous.items():
      signal.signal(number, old)

  if threading.current_thread() is not threading.main_thread():
    yield asked
    return
  previous = {number: signal.getsignal(number) for number in _SIGNALS}
  for number in _SIGNALS:
    signal.signal(number, handler)
  try:
    yield lambda: received or asked()
  finally:
    _restore()
