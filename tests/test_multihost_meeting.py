"""How the processes of a study find each other, and what they say where one is not there."""

import contextlib
import socket
import threading
import time

import pytest

from vae_jax import errors, multihost
from vae_jax.multihost import joining, meeting
from vae_jax.multihost.joining import joined
from vae_jax.multihost.listening import Peers, listening

pytestmark = pytest.mark.process


@pytest.fixture
def here():
  """A meeting of two at a port that nobody uses."""
  with socket.create_server(('127.0.0.1', 0)) as free:
    port = free.getsockname()[1]
  return multihost.Meeting('127.0.0.1', port, 2, {'beta': (1.0, 4.0)}, 10.0)


@contextlib.contextmanager
def process_0(here, needed=list):
  with listening(here, needed) as peers:
    yield peers


def wait_until(condition):
  deadline = time.monotonic() + 5
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.005)


def test_each_hears_when_the_other_has_gone(here):
  with contextlib.ExitStack() as stack, process_0(here) as peers:
    is_left_alone = stack.enter_context(joined(here, 1))
    wait_until(lambda: peers.present() == {1})
    time.sleep(0.1)  # by now both wait for a word of the other
    stack.close()
    wait_until(lambda: not peers.present())
    assert peers.came() == {1}
    is_left_alone = stack.enter_context(joined(here, 1))  # one that is started again
    wait_until(lambda: peers.present() == {1})
    assert not is_left_alone()
    peers.close()
    wait_until(is_left_alone)


def test_whoever_comes_first_waits_for_the_other(here):
  """Process 0 goes on as soon as all needed have come, the others as soon as it is there."""
  found = []

  def come_late():
    time.sleep(0.3)
    with joined(here, 1) as is_left_alone:
      wait_until(is_left_alone)
      found.append('left')

  thread = threading.Thread(target=come_late)
  thread.start()
  began = time.monotonic()
  with process_0(here, needed=lambda: [1]) as peers:
    assert 0.25 < time.monotonic() - began < 3
    assert peers.present() == {1}
  thread.join(5)
  assert found == ['left']

  def listen_late():
    time.sleep(0.3)
    with process_0(here, needed=lambda: [1]):
      found.append('came')

  thread = threading.Thread(target=listen_late)
  thread.start()
  with joined(here, 1):
    thread.join(5)
  assert found == ['left', 'came']


def test_one_that_is_counted_as_here_has_been_answered(here, monkeypatch):
  """Else a process 0 that has nothing left to wait for would leave it without a word."""

  def send_slowly(connection, message, send=meeting.send):
    time.sleep(0.2 if 'refusal' in message else 0.0)
    send(connection, message)

  monkeypatch.setattr(meeting, 'send', send_slowly)
  here = here._replace(seconds=1.0)
  left = threading.Event()

  def come():
    with joined(here, 1) as is_left_alone:
      wait_until(is_left_alone)
      left.set()

  thread = threading.Thread(target=come)
  thread.start()
  with process_0(here, needed=lambda: [1]):
    pass
  thread.join(5)
  assert left.is_set()


def test_what_does_not_come_in_time_is_named_with_the_address(here):
  three = here._replace(count=3, seconds=0.3)
  with contextlib.ExitStack() as stack:
    listener = stack.enter_context(process_0(three))
    stack.enter_context(joined(three, 2))
    wait_until(lambda: listener.came() == {2})
  words = rf'^process 1 found no process 0 at {here} within 0.3 s \(--wait_seconds\); nothing'
  with pytest.raises(errors.Stopped, match=words) as stopped, joined(three, 1):
    pass
  assert stopped.value.exit_code == 143
  words = rf'^processes 1, 2 of 3 did not come to {here} within 0.3 s \(--wait_seconds\); no'
  began = time.monotonic()
  with pytest.raises(errors.Stopped, match=words) as stopped, process_0(three, lambda: [1, 2]):
    pass
  assert stopped.value.exit_code == 143
  assert 0.25 < time.monotonic() - began < 2


def test_a_share_that_is_done_is_not_waited_for(here):
  left = [[1], [1], []]
  with process_0(here, needed=lambda: left.pop(0) if len(left) > 1 else left[0]) as peers:
    assert peers.came() == set()


def test_a_port_that_a_stranger_holds_is_bad_input(here):
  for answer in (b'', b'SSH-2.0-OpenSSH_9.6\r\n', b'{}\n', b'[]\n'):
    with socket.create_server(here[:2]) as stranger:

      def serve(server=stranger, words=answer):
        with contextlib.suppress(OSError):
          while True:
            connection, _ = server.accept()
            with connection:
              connection.recv(100)
              connection.sendall(words)

      thread = threading.Thread(target=serve)
      thread.start()
      words = f'--coordinator={here}: port {here.port} is in use by another program'
      with pytest.raises(errors.InputError, match=words), process_0(here):
        pass
      short = here._replace(seconds=0.2)
      expected = errors.InputError if answer else errors.Stopped  # which closes: it may be ending
      with pytest.raises(expected), joined(short, 1):
        pass
      stranger.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    assert not thread.is_alive()


def test_a_number_that_is_given_twice_is_in_use(here):
  with process_0(here) as peers, joined(here, 1):
    wait_until(lambda: peers.present() == {1})
    for index, attempt in ((0, process_0(here)), (1, joined(here, 1))):
      words = f'^--process={index}: there is a process {index} at {here} already'
      with pytest.raises(errors.InUseError, match=words), attempt:
        pass
    assert peers.present() == {1}


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    ({'count': 3}, '--processes=3: process 0 at .* has --processes=2'),
    ({'lanes': {'beta': (1.0, 8.0)}}, 'the process 0 there trains other lanes'),
  ],
  ids=['count', 'lanes'],
)
def test_a_process_of_another_study_is_refused(here, change, words):
  with process_0(here) as peers:
    with pytest.raises(errors.InputError, match=words), joined(here._replace(**change), 1):
      pass
    assert peers.came() == set()


def test_an_unknown_host_is_bad_input(here, monkeypatch):
  monkeypatch.setattr(joining, '_NAME_SECONDS', 0.2)
  nowhere = here._replace(host='no.such.host.invalid')
  for attempt in (process_0(nowhere), joined(nowhere, 1)):
    with pytest.raises(errors.InputError, match=r"no host 'no\.such\.host"), attempt:
      pass


def test_a_stranger_at_the_port_of_process_0_is_let_go(here, monkeypatch):
  monkeypatch.setattr(meeting, '_LINE_SECONDS', 0.2)
  with process_0(here) as peers:
    for words in (b'', b'GET / HTTP/1.1\r\n\r\n', b'{}\n', b'x' * 5000, b'{"process": []}\n'):
      with socket.create_connection(here[:2]) as stranger:
        stranger.sendall(words)
        stranger.settimeout(3)
        with contextlib.suppress(ConnectionResetError):
          assert stranger.recv(10) == b''
    assert peers.came() == set()
    with joined(here, 1):
      wait_until(lambda: peers.present() == {1})


def test_a_process_that_is_left_alone_saves_and_stops(here, config, tmp_path):
  """Process 0 is killed: all that the others see of it is that the connection closes."""
  config['train'] |= dict(steps=100_000, evaluate_every=50_000)
  here = here._replace(lanes=config['lanes'])
  journal = tmp_path / 'process-1' / 'metrics.jsonl'
  peers = Peers(socket.create_server(here[:2]), here)

  def leave():
    wait_until_long(lambda: journal.exists() and journal.stat().st_size > 1000)
    peers.close()

  thread = threading.Thread(target=leave)
  thread.start()
  words = rf'^process 0 at {here} has ended: stopped and saved at step (\d+); the same command'
  with pytest.raises(errors.Stopped, match=words) as stopped:
    multihost.run(config, tmp_path, 1, here)
  thread.join()
  assert stopped.value.exit_code == 143
  step = int(str(stopped.value).split('at step ')[1].split(';')[0])
  assert (tmp_path / 'process-1' / 'checkpoints' / str(step)).is_dir()
  assert f'"step": {step},' in journal.read_text().splitlines()[-1]


def test_process_0_that_fails_stays_until_the_others_are_done(
  here, config, tmp_path, monkeypatch, caplog
):
  """They need it to meet; and all shares are one study, whichever of them fails."""
  here, ids, left = here._replace(lanes=config['lanes']), [], []

  def fail(share, own, *arguments, study_id, **keywords):
    ids.append(study_id)
    raise errors.StorageError('no space left')

  def process_1():
    with joined(here, 1):
      wait_until(lambda: 'process 0 has failed and stays until the others are' in caplog.text)
      time.sleep(0.05)
      left.append(1)

  monkeypatch.setattr(multihost.training, 'run', fail)
  thread = threading.Thread(target=process_1)
  thread.start()
  with pytest.raises(errors.StorageError, match='no space left'):
    multihost.run(config, tmp_path, 0, here)
  assert left == [1]
  thread.join()
  assert ids == [(tmp_path / '.study_id').read_text()]


def wait_until_long(condition):
  deadline = time.monotonic() + 60
  while not condition() and time.monotonic() < deadline:
    time.sleep(0.01)
