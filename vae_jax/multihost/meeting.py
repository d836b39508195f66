"""How the processes of one study know of each other: each has a connection with process 0.

Nothing but a greeting passes over it, one line of JSON each way: a process says which one it is,
process 0 takes it in or says why not. From then on the connection stands for both being alive: the
kernel closes that of a process that dies, and its keep-alive finds out that a host is lost.
"""

import hashlib
import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vae_jax import errors, stopping
from vae_jax.runs import workdir

_POLL_SECONDS = 0.1
_LINE_SECONDS = 5.0
_LINE_BYTES = 1024
# A host that is lost is noticed after 10 + 4 x 5 s, where the system can be told so.
_KEEP_ALIVE = {'TCP_KEEPIDLE': 10, 'TCP_KEEPINTVL': 5, 'TCP_KEEPCNT': 4}


class Meeting(NamedTuple):
  """What the processes of a study agree on.

  Attributes:
    host, port: where process 0 listens.
    count: of the processes.
    lanes: the lanes of the whole study; a digest of them tells one study from another.
    seconds: how long each waits for the others to come.
  """

  host: str
  port: int
  count: int
  lanes: Mapping[str, Any]
  seconds: float

  def __str__(self) -> str:
    return f'{self.host}:{self.port}'

  def greeting(self, index: int) -> dict[str, Any]:
    """Returns what process `index` says of itself."""
    lanes = json.dumps(workdir.plain(self.lanes), sort_keys=True)
    digest = hashlib.sha256(lanes.encode()).hexdigest()[:16]
    return {'process': index, 'processes': self.count, 'lanes': digest}

  def unknown_host(self) -> errors.InputError:
    return errors.InputError(
      f'--coordinator={self}: there is no host {self.host!r}; give the name or the address of the '
      'one on which process 0 runs'
    )

  def taken(self) -> errors.InputError:
    return errors.InputError(
      f'--coordinator={self}: port {self.port} is in use by another program; give a free one, the '
      'same to all processes'
    )


def send(connection: socket.socket, message: Mapping[str, Any]) -> None:
  """Sends one line."""
  connection.settimeout(_LINE_SECONDS)
  connection.sendall(json.dumps(message).encode() + b'\n')


def receive(connection: socket.socket) -> dict[str, Any]:
  """Returns the line that the other side sends.

  Raises:
    ConnectionError: it closes instead.
    TimeoutError: it says nothing.
    ValueError: it is none of ours.
  """
  connection.settimeout(_LINE_SECONDS)
  line = b''
  while not line.endswith(b'\n') and len(line) < _LINE_BYTES:
    if not (part := connection.recv(_LINE_BYTES)):
      raise ConnectionError('closed before a whole line')
    line += part
  message = json.loads(line)
  if not isinstance(message, dict):
    raise ValueError('not an object')
  return message


def wait_for_the_end(connection: socket.socket) -> None:
  """Returns when the other side has gone, or this side closes."""
  try:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE.items():
      if hasattr(socket, name):
        connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    connection.settimeout(None)
    while connection.recv(_LINE_BYTES):
      pass
  except OSError:
    pass


def listed(indices: Sequence[int]) -> str:
  """Returns `process 1`, or `processes 1, 2`."""
  return f'process{"es" if len(indices) > 1 else ""} {", ".join(map(str, indices))}'


def wait(until: Callable[[], bool], seconds: float) -> None:
  """Waits for a condition, or for so many seconds.

  Raises:
    Stopped: by SIGTERM or Ctrl-C.
  """
  deadline = time.monotonic() + seconds
  with stopping.deferred() as signal_number:
    while not until() and time.monotonic() < deadline and not signal_number():
      time.sleep(_POLL_SECONDS)
    if signal_number():
      raise errors.Stopped(
        signal_number(), 'stopped while waiting for other processes; the same commands continue'
      )
