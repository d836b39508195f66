"""Process 0's side of the meeting: it listens, and knows who is there."""

import contextlib
import errno
import logging
import signal
import socket
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from vae_jax import errors
from vae_jax.multihost import meeting
from vae_jax.multihost.meeting import Meeting, listed


class Peers:
  """The processes that are connected with process 0."""

  def __init__(self, server: socket.socket, here: Meeting):
    """Takes in whoever comes to `server` until it is closed."""
    self._server = server
    self._here = here
    self._lock = threading.Lock()
    self._connections = {}
    self._came = set()
    threading.Thread(target=self._accept, daemon=True).start()

  def came(self) -> set[int]:
    """Returns the processes that have been connected at some time."""
    with self._lock:
      return set(self._came)

  def present(self) -> set[int]:
    """Returns the processes that are connected now."""
    with self._lock:
      return set(self._connections)

  def close(self) -> None:
    """Parts from all of them."""
    with contextlib.suppress(OSError):
      self._server.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
    self._server.close()
    with self._lock:
      for connection in self._connections.values():
        with contextlib.suppress(OSError):
          connection.shutdown(socket.SHUT_RDWR)

  def _accept(self) -> None:
    with contextlib.suppress(OSError):  # closed
      while True:
        connection, _ = self._server.accept()
        threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

  def _serve(self, connection: socket.socket) -> None:
    """Greets one that has come, and waits until it has gone."""
    # Anything may come to a port: what does not greet as we do is let go.
    with connection, contextlib.suppress(OSError, ValueError, KeyError, TypeError):
      greeting = meeting.receive(connection)
      index = greeting['process']
      with self._lock:
        refusal = self._refusal(index, greeting)
        # Answered before it counts as here: what waited for it may end the meeting at once.
        meeting.send(connection, {'refusal': refusal})
        if refusal is not None:
          return
        self._connections[index] = connection
        self._came.add(index)
      try:
        meeting.wait_for_the_end(connection)
      finally:
        with self._lock:
          del self._connections[index]

  def _refusal(self, index: int, greeting: Mapping[str, Any]) -> tuple[str, str] | None:
    """Returns why one is refused, the error and what it says; None where it is taken in."""
    expected = self._here.greeting(index)
    if greeting['lanes'] != expected['lanes']:
      return 'InputError', f'--coordinator={self._here}: the process 0 there trains other lanes'
    if greeting['processes'] != expected['processes']:
      return 'InputError', (
        f'--processes={greeting["processes"]}: process 0 at {self._here} has '
        f'--processes={self._here.count}; give all the same'
      )
    if index == 0 or index in self._connections:
      return 'InUseError', (
        f'--process={index}: there is a process {index} at {self._here} already; wait for its '
        'end, or give each process its own number'
      )
    return None


@contextlib.contextmanager
def listening(here: Meeting, needed: Callable[[], Collection[int]]) -> Iterator[Peers]:
  """Holds, as process 0, the connections of the others for the block, once all needed have come.

  Raises:
    InputError: the host is unknown, or the port is taken.
    InUseError: another process 0 listens there.
    Stopped: by a signal, or a process did not come in time.
  """
  with _listen(here) as server, contextlib.closing(Peers(server, here)) as peers:

    def missing() -> list[int]:
      return sorted(set(needed()) - peers.came())

    if absent := missing():
      logging.info('process 0 at %s waits for %s', here, listed(absent))
    meeting.wait(lambda: not missing(), here.seconds)
    if absent := missing():
      raise errors.Stopped(
        signal.SIGTERM,
        f'{listed(absent)} of {here.count} did not come to {here} within {here.seconds:g} s '
        '(--wait_seconds); nothing is lost, the same commands continue',
      )
    yield peers


def _listen(here: Meeting) -> socket.socket:
  """Returns a socket at the address, or at all addresses of this host where it is not one of them.

  It is not where hosts are reached by a name that is translated on the way.
  """
  try:
    family, _, _, _, address = socket.getaddrinfo(*here[:2], type=socket.SOCK_STREAM)[0]
  except OSError as error:
    raise here.unknown_host() from error
  for place in (address[:2], ('', here.port)):
    try:
      return socket.create_server(place, family=family, backlog=here.count)
    except OSError as error:
      if error.errno == errno.EADDRINUSE:
        raise _holder(here) from error
      if error.errno != errno.EADDRNOTAVAIL:
        raise errors.InputError(
          f'--coordinator={here}: process 0 cannot listen there: {error.strerror}; give another one'
        ) from error
  raise here.unknown_host()


def _holder(here: Meeting) -> errors.InputError | errors.InUseError:
  """Returns what to say of a port that is taken: by another process 0, or by a stranger."""
  try:
    with socket.create_connection(here[:2], timeout=1.0) as connection:
      meeting.send(connection, here.greeting(0))
      name, message = meeting.receive(connection)['refusal']
  except (OSError, ValueError, KeyError, TypeError):  # anything may listen there, and answer
    return here.taken()
  return errors.InUseError(message) if name == 'InUseError' else here.taken()
