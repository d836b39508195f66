"""A thread for calls that may hang, so that nobody waits for them.

Who hands in a call goes on, and is told later if it failed or did not come back in time. All
threads here are daemons: the interpreter ends without them, while it joins those of
concurrent.futures however long they hang.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence

_WAITING = 1000  # calls; one with the rows of 70 lanes takes about 100 kB
_FULL_SECONDS = 5.0

Act = Callable[[], object]


class Worker:
  """Makes calls one after another, in the order in which they come, until one fails or hangs."""

  def __init__(self, seconds: float, on_failure: Callable[[BaseException], None]):
    """Starts the thread.

    Args:
      seconds: after which a call counts as hanging.
      on_failure: is told, once, what came out of a call, or that one hangs (a TimeoutError).
    """
    self._seconds = seconds
    self._on_failure = on_failure
    self._calls = queue.Queue(_WAITING)
    self._began = None  # when the call that is being made did, None between two
    self._lock = threading.Lock()
    self._works = True
    self._thread = threading.Thread(target=self._work, daemon=True, name='tracking')
    self._thread.start()

  def submit(self, act: Act) -> None:
    """Hands in a call; it is dropped once one has failed or hung.

    Where more calls come than can be made this waits, but for some seconds only.
    """
    if self._hangs():
      self._fail(TimeoutError(f'no answer for {self._seconds:.0f} s'))
    if not self._works:
      return
    try:
      self._calls.put((act, False), timeout=_FULL_SECONDS)
    except queue.Full:
      self._fail(TimeoutError(f'{_WAITING} calls wait for an answer'))

  def close(self, act: Act, seconds: float) -> bool:
    """Makes a last call, also after one has failed, and waits until all calls are made.

    Returns:
      whether all of them were, without failure, in so many seconds. Where a call is known to hang
      nothing is waited for.
    """
    deadline = time.monotonic() + (seconds if self._works or not self._hangs() else 0.0)
    try:
      for item in ((act, True), None):
        self._calls.put(item, timeout=max(0.0, deadline - time.monotonic()))
      self._thread.join(max(0.0, deadline - time.monotonic()))
    except queue.Full:
      pass
    if self._thread.is_alive():
      self._fail(TimeoutError(f'not everything was taken within {seconds:.0f} s'))
    return self._works

  def advance(self) -> None:
    """Says that the call that is being made does not hang, for `seconds` more."""
    self._began = time.monotonic()

  def _hangs(self) -> bool:
    began = self._began
    return began is not None and time.monotonic() - began > self._seconds

  def _work(self) -> None:
    while item := self._calls.get():
      act, always = item
      if self._works or always:
        self._began = time.monotonic()
        try:
          act()
        except BaseException as error:  # SystemExit, too: what is called may not end the program
          self._fail(error)
        self._began = None

  def _fail(self, error: BaseException) -> None:
    with self._lock:
      first, self._works = self._works, False
    if first:
      self._on_failure(error)


def side_by_side(acts: Sequence[Act], threads: int) -> None:
  """Makes calls in so many threads at once, and raises what the first that failed has raised."""
  pending = queue.SimpleQueue()
  for act in acts:
    pending.put(act)
  raised = []

  def work():
    while True:
      try:
        act = pending.get_nowait()
      except queue.Empty:
        return
      try:
        act()
      except BaseException as error:  # raised below, in the thread of the caller
        raised.append(error)

  workers = [threading.Thread(target=work, daemon=True) for _ in range(min(threads, len(acts)))]
  for worker in workers:
    worker.start()
  for worker in workers:
    worker.join()
  if raised:
    raise raised[0]


def first_line(reason: object) -> str:
  """Returns the first line of an exception's message, or its class when it has none."""
  return (str(reason).strip() or type(reason).__name__).splitlines()[0]
