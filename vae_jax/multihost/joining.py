"""The side of every process but 0: it goes to process 0, and hears when that has gone."""

import contextlib
import logging
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

from vae_jax import errors
from vae_jax.multihost import meeting
from vae_jax.multihost.meeting import Meeting

_NAME_SECONDS = 5.0  # in which the name of a host that starts just now may become known
_REFUSALS = {error.__name__: error for error in (errors.InputError, errors.InUseError)}


@contextlib.contextmanager
def joined(here: Meeting, index: int) -> Iterator[Callable[[], bool]]:
  """Holds, as process `index`, the connection with process 0; yields whether that has gone.

  Raises:
    InputError: the host is unknown, or what listens there is no process 0 of this study.
    InUseError: there is a process of this number already.
    Stopped: by a signal, or process 0 did not come in time.
  """
  with _connect(here, index) as connection:
    gone = threading.Event()

    def watch():
      meeting.wait_for_the_end(connection)
      gone.set()

    threading.Thread(target=watch, daemon=True).start()
    try:
      yield gone.is_set
    finally:  # closing alone does not wake the thread, and process 0 would hear of nothing
      with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _connect(here: Meeting, index: int) -> socket.socket:
  """Tries until process 0 has taken this one in."""
  found, obstacle = None, None

  def is_over() -> bool:
    nonlocal found, obstacle
    try:
      found = _try(here, index)
    except OSError as error:  # nobody is there yet, or even the name is not known yet
      obstacle = error
    nameless = isinstance(obstacle, socket.gaierror) and time.monotonic() > began + _NAME_SECONDS
    return found is not None or nameless

  began = time.monotonic()
  if not is_over():
    logging.info('process %d waits for process 0 at %s', index, here)
    meeting.wait(is_over, here.seconds)
  if found is not None:
    return found
  if isinstance(obstacle, socket.gaierror):
    raise here.unknown_host() from obstacle
  raise errors.Stopped(
    signal.SIGTERM,
    f'process {index} found no process 0 at {here} within {here.seconds:g} s (--wait_seconds); '
    'nothing is lost, the same commands continue',
  )


def _try(here: Meeting, index: int) -> socket.socket:
  with contextlib.ExitStack() as stack:
    connection = stack.enter_context(socket.create_connection(here[:2], timeout=1.0))
    meeting.send(connection, here.greeting(index))
    try:
      refusal = meeting.receive(connection)['refusal']
    except (ValueError, KeyError) as error:  # what answers is no process 0
      raise here.taken() from error
    if refusal is not None:
      name, message = refusal
      raise _REFUSALS[name](message)
    stack.pop_all()
    return connection
