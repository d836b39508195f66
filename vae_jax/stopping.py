"""Turns what asks a process to end into a request that the loop grants at its next safe point.

Ctrl-C, SIGTERM, a terminal that closes (SIGHUP), a limit of CPU seconds (SIGXCPU), and the warning
of a batch system ahead of its kill (SIGUSR1, SIGUSR2).
"""

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

_URGENT = ('SIGINT', 'SIGTERM')  # which act as usual where they come again
_NAMES = (*_URGENT, 'SIGHUP', 'SIGXCPU', 'SIGUSR1', 'SIGUSR2')
_BURST_SECONDS = 1.0  # batch systems may send one request twice: to the step, and to its processes
_SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))


@contextlib.contextmanager
def deferred(asked: Callable[[], int] = lambda: 0) -> Iterator[Callable[[], int]]:
  """Catches signals for the length of the block; a second Ctrl-C or SIGTERM acts as usual.

  One that comes within a second of the first is the same request. The others may come again and
  again (SIGXCPU each second) while the state is saved. One that is ignored, as SIGHUP under nohup,
  stays ignored.

  Yields a function that returns the number of the first signal received; before any it is what
  `asked` returns. Outside the main thread, where Python allows no handlers, it is always that.
  """
  received, urgent_since = 0, None

  def handler(number, frame):
    nonlocal received, urgent_since
    del frame
    received = received or number
    if signal.Signals(number).name not in _URGENT:
      return
    now = time.monotonic()
    if urgent_since is None:
      urgent_since = now
    elif now - urgent_since >= _BURST_SECONDS:
      _restore(_URGENT)
      signal.raise_signal(number)

  def _restore(names):
    for number, old in previous.items():
      if signal.Signals(number).name in names:
        signal.signal(number, old)

  if threading.current_thread() is not threading.main_thread():
    yield asked
    return
  found = {number: signal.getsignal(number) for number in _SIGNALS}
  previous = {number: old for number, old in found.items() if old is not signal.SIG_IGN}
  for number in previous:
    signal.signal(number, handler)
  try:
    yield lambda: received or asked()
  finally:
    _restore(_NAMES)
