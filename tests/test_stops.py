"""What stops a run from outside, kills among it, and how the run goes on."""

import functools
import logging
import os
import pathlib
import random
import resource
import signal
import subprocess
import sys
import time

import long_study
import pytest
from conftest import ENVIRONMENT_OF_USERS, ROOT, without_pictures
from run_files import assert_same_run, state_digest

from vae_jax import tracking
from vae_jax.commands import command, train
from vae_jax.runs import training

pytestmark = [pytest.mark.process, pytest.mark.usefixtures('traced_once')]

CONFIG_FILE = ROOT / 'tests' / 'long_study.py'


# One device, so that the programs are those of the reference, which this process trains.
ENVIRONMENT = {'JAX_NUM_CPU_DEVICES': '1'}


class Attempt:
  """`python -m launch.train` in a process of its own."""

  def __init__(self, workdir: pathlib.Path, *words: str, **environment: str):
    line = [f'--config={CONFIG_FILE}', f'--workdir={workdir}', *words]
    self.process = subprocess.Popen(
      [sys.executable, '-m', 'launch.train', *line],
      cwd=ROOT,
      env=os.environ | ENVIRONMENT | environment,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    self.journal = workdir / 'metrics.jsonl'

  def wait_for_step(self, step: int, saved: int = 0):
    """Waits until the journal has reached a step, and a thread has written a checkpoint."""
    deadline = time.monotonic() + 120
    checkpoint = self.journal.parent / 'checkpoints' / str(saved)
    while time.monotonic() < deadline and self.process.poll() is None:
      has_step = self.journal.exists() and f'"step": {step},' in self.journal.read_text()
      if has_step and checkpoint.exists():
        return
      time.sleep(0.01)
    raise AssertionError(f'no step {step}: {self.process.communicate()}')

  def wait_for_more(self):
    """Waits until the journal grows."""
    size = self.journal.stat().st_size if self.journal.exists() else 0
    while self.process.poll() is None and (
      not self.journal.exists() or self.journal.stat().st_size <= size
    ):
      time.sleep(0.002)

  def kill(self):
    self.process.send_signal(signal.SIGKILL)
    self.process.communicate()

  def finish(self) -> tuple[int, str]:
    _, stderr = self.process.communicate(timeout=200)
    return self.process.returncode, stderr


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory, traced_once):
  """Of a number of steps: the study of the interruption tests, run to its end by this process."""

  @functools.cache
  def of(steps):
    workdir, config = tmp_path_factory.mktemp('uninterrupted') / 'run', long_study.get_config()
    config.train.steps = steps
    with pytest.MonkeyPatch.context() as patch:
      without_pictures(patch)
      training.run(config, workdir)
    return config.to_dict(), workdir

  return of


@pytest.mark.slow
def test_kill_9_at_random_moments_ends_bit_equal(uninterrupted, tmp_path):
  """From the first imports to the last picture, whatever was being written."""
  config, reference = uninterrupted(1000)
  workdir = tmp_path / 'run'
  rng, number = random.Random(0), 12
  kills = kills_in_training = 0
  while kills < number:
    attempt = Attempt(workdir)
    # Half of the kills once the attempt has trained, half anywhere after the start.
    if kills % 2:
      time.sleep(rng.uniform(0.5, 4))
    else:
      attempt.wait_for_more()
      kills_in_training += attempt.process.poll() is None
      time.sleep(rng.uniform(0, 0.3))
    if attempt.process.poll() is not None:
      break
    attempt.kill()
    kills += 1
  assert kills >= number - 2
  assert kills_in_training >= number // 3
  code, stderr = Attempt(workdir).finish()
  assert code == 0, stderr
  assert_same_run(reference, workdir, config)


@pytest.mark.slow
def test_kill_9_of_lanes_that_stop_in_a_run_that_is_extended(tmp_path):
  """Of a run with as many lanes more, its best parameters kept: as if nothing had been killed."""
  options = ('--config.train.patience=1', '--config.train.keep=best', '--config.program.width=2')
  more = (*options, '--config.lanes.seed=(0, 1)', '--extend')
  config = long_study.get_config().to_dict()
  config['lanes']['seed'] = (0, 1)
  config['train'] |= dict(patience=1, keep='best')

  def begun(name, words):  # of another slot only the compiler of a user gives the same bits
    return Attempt(tmp_path / name, *words, **ENVIRONMENT_OF_USERS)

  for name, words in (('run', options), ('whole', more)):
    began = time.monotonic()
    code, stderr = begun(name, words).finish()
    assert code == 0, stderr
  rng, kills, seconds = random.Random(1), 0, time.monotonic() - began
  while kills < 8:
    attempt = begun('run', more)
    time.sleep(rng.uniform(0.3, 0.9) * seconds)
    if attempt.process.poll() is not None:
      break
    attempt.kill()
    kills += 1
  assert kills >= 2
  code, stderr = begun('run', more).finish()
  assert code == 0, stderr
  assert_same_run(tmp_path / 'whole', tmp_path / 'run', config)


def test_a_kill_and_signals_in_turn_end_bit_equal(
  uninterrupted, tmp_path, monkeypatch, capsys, caplog, no_pictures
):
  """A signal saves, a kill does not; meanwhile a second process is kept out, and changes nothing.

  The attempt that is killed is a process of its own, which traces its programs anew; `-m slow` has
  twelve of them, at random moments.
  """
  config, reference = uninterrupted(700)
  workdir = tmp_path / 'run'
  line = [f'--config={CONFIG_FILE}', f'--workdir={workdir}', '--config.train.steps=700']
  write, signals = tracking.Tracker.write, {240: signal.SIGINT}

  def interrupt(tracker, step, metrics, lanes):
    write(tracker, step, metrics, lanes)
    if step in signals:
      signal.raise_signal(signals[step])

  monkeypatch.setattr(tracking.Tracker, 'write', interrupt)
  assert command.exit_code_of(train.make(), line) == 130
  assert 'stopped and saved at step 260;' in capsys.readouterr().err
  assert state_digest(workdir, config)[0] == 260
  attempt = Attempt(workdir, '--config.train.steps=700')
  attempt.wait_for_step(360, saved=300)
  attempt.process.send_signal(signal.SIGSTOP)
  assert command.exit_code_of(train.make(), line) == 5
  assert f'is in use by process {attempt.process.pid} on ' in capsys.readouterr().err
  attempt.kill()
  caplog.set_level(logging.INFO)
  saved, _ = state_digest(workdir, config)
  assert saved >= 300
  signals[saved + 20] = signal.SIGTERM
  assert command.exit_code_of(train.make(), line) == 143
  assert f'continuing from step {saved}' in caplog.messages
  assert f'stopped and saved at step {saved + 40};' in capsys.readouterr().err
  assert command.exit_code_of(train.make(), line) == 0
  assert f'continuing from step {saved + 40}' in caplog.messages
  assert_same_run(reference, workdir, config)


def test_a_full_disk_is_one_line_and_exit_6(tmp_path, monkeypatch, capsys):
  """A limit on the size of files stands for the full disk: the kernel refuses the write."""
  monkeypatch.chdir(ROOT)
  limits = resource.getrlimit(resource.RLIMIT_FSIZE)
  line = [f'--config={CONFIG_FILE}', f'--workdir={tmp_path}/run']
  resource.setrlimit(resource.RLIMIT_FSIZE, (2500, limits[1]))
  try:
    code = command.exit_code_of(train.make(), line)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
  stderr = capsys.readouterr().err
  assert code == 6, stderr
  assert any(line.startswith('cannot write') for line in stderr.splitlines())
