"""What is behind stdout, stderr and the keyboard ends no command with a traceback."""

import io
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT

from vae_jax.commands import streams

pytestmark = pytest.mark.process

COMMAND = (sys.executable, '-m', 'launch.train')


def start(*arguments: str, **keywords) -> subprocess.Popen:
  return subprocess.Popen(
    [*COMMAND, *arguments], cwd=ROOT, env=os.environ | keywords.pop('env', {}), **keywords
  )


def test_a_reader_that_has_gone_and_a_full_disk_lose_the_text_only(monkeypatch, capsys):
  for make in (_broken_pipe, lambda: open('/dev/full', 'w')):  # noqa: SIM115 (closed below)
    with make() as stream:
      patient = streams.Patient(stream)
      print('x' * 100_000, file=patient)  # more than is buffered
      patient.flush()
      assert isinstance(patient.error, OSError)
      print('more', file=patient, flush=True)
      monkeypatch.setattr(sys, 'stdout', patient)
      streams.finish()
    assert f'stdout cannot be written ({patient.error.strerror})' in capsys.readouterr().err


def _broken_pipe():
  reading, writing = os.pipe()
  os.close(reading)
  return open(writing, 'w')


def test_an_ascii_terminal_shows_what_it_can(monkeypatch):
  raw = io.BytesIO()
  monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(raw, 'ascii', errors='strict'))
  monkeypatch.setattr(sys, 'stderr', None)  # closed by who called
  streams.make_patient()
  print('± s.e. \ud800', flush=True)
  print('to nobody', file=sys.stderr, flush=True)
  assert raw.getvalue() == b'? s.e. ?\n'


def test_help_is_exit_0_also_for_a_reader_that_has_gone():
  process = start('--help', stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
  process.stdout.close()
  stderr = process.stderr.read()
  assert process.wait(60) == 0, stderr
  assert stderr == 'stdout cannot be written (Broken pipe); the rest is done\n'


@pytest.mark.skipif(not pathlib.Path('/proc/self/maps').exists(), reason='needs /proc')
def test_ctrl_c_in_the_imports_is_exit_130_in_one_line(tmp_path):
  process = start(
    '--config=tests/long_study.py', f'--workdir={tmp_path}/run', stderr=subprocess.PIPE, text=True
  )
  maps = pathlib.Path(f'/proc/{process.pid}/maps')
  while process.poll() is None and 'numpy' not in maps.read_text():
    time.sleep(0.005)
  process.send_signal(signal.SIGINT)
  _, stderr = process.communicate(timeout=60)
  assert process.returncode == 130, stderr
  assert stderr == 'interrupted\n'
  assert not list(tmp_path.iterdir())


def test_a_wrong_value_of_a_switch_of_jax_is_one_line_and_exit_2():
  process = start('--workdir=x', env={'JAX_DEBUG_NANS': 'maybe'}, stderr=subprocess.PIPE, text=True)
  _, stderr = process.communicate(timeout=60)
  assert process.returncode == 2, stderr
  assert len(stderr.splitlines()) == 1
  assert 'JAX_DEBUG_NANS' in stderr.upper()


def test_a_closed_stdout_and_stderr_leave_no_file_their_numbers(tmp_path):
  """The library's C++ writes to descriptor 2: a journal of that number would be torn."""
  code = (
    'import os, sys; os.close(1); os.close(2); sys.argv[0] = "-m"; import launch;'
    'file = open(sys.argv[1], "w"); assert file.fileno() > 2; file.write("whole")'
  )
  path = tmp_path / 'file'
  result = subprocess.run([sys.executable, '-c', code, str(path)], cwd=ROOT, timeout=60)
  assert result.returncode == 0
  assert path.read_text() == 'whole'
