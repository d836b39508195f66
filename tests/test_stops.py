"""What stops a run from outside, kills among it, and how the run goes on."""

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
from conftest import ROOT
from run_files import assert_same_run, state_digest

pytestmark = pytest.mark.process

CONFIG_FILE = ROOT / 'tests' / 'long_study.py'


class Attempt:
  """`python -m launch.train` in a process of its own."""

  def __init__(self, workdir: pathlib.Path, *overrides: str, **keywords):
    self.process = subprocess.Popen(
      [sys.executable, '-m', 'launch.train', f'--config={CONFIG_FILE}', f'--workdir={workdir}',
       *overrides],
      cwd=ROOT,
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
      **keywords,
    )  # fmt: skip
    self.journal = workdir / 'metrics.jsonl'

  def wait_for_step(self, step: int):
    """Waits until the journal has reached a step."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and self.process.poll() is None:
      if self.journal.exists() and f'"step": {step},' in self.journal.read_text():
        return
      time.sleep(0.01)
    raise AssertionError(f'no step {step}: {self.process.communicate()}')

  def finish(self) -> tuple[int, str]:
    _, stderr = self.process.communicate(timeout=200)
    return self.process.returncode, stderr


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory):
  """The study of the interruption tests, run to its end in one go."""
  workdir = tmp_path_factory.mktemp('uninterrupted') / 'run'
  code, stderr = Attempt(workdir).finish()
  assert code == 0, stderr
  return long_study.get_config().to_dict(), workdir


@pytest.mark.parametrize('number', [4, pytest.param(12, marks=pytest.mark.slow)])
def test_kill_9_at_random_moments_ends_bit_equal(uninterrupted, tmp_path, number):
  """From the first imports to the last picture, whatever was being written."""
  config, reference = uninterrupted
  workdir = tmp_path / 'run'
  rng = random.Random(0)
  kills = kills_in_training = 0
  while kills < number:
    attempt = Attempt(workdir)
    # Half of the kills once the attempt has trained, half anywhere after the start.
    if kills % 2:
      time.sleep(rng.uniform(0.5, 4))
    else:
      size = attempt.journal.stat().st_size if attempt.journal.exists() else 0
      while attempt.process.poll() is None and (
        not attempt.journal.exists() or attempt.journal.stat().st_size <= size
      ):
        time.sleep(0.002)
      kills_in_training += attempt.process.poll() is None
      time.sleep(rng.uniform(0, 0.3))
    if attempt.process.poll() is not None:
      break
    attempt.process.send_signal(signal.SIGKILL)
    attempt.process.communicate()
    kills += 1
  assert kills >= number - 2
  assert kills_in_training >= number // 3
  code, stderr = Attempt(workdir).finish()
  assert code == 0, stderr
  assert_same_run(reference, workdir, config)


def test_signals_save_and_the_run_goes_on_from_there(uninterrupted, tmp_path):
  """Meanwhile a second process is kept out, and changes nothing."""
  config, reference = uninterrupted
  workdir = tmp_path / 'run'
  begun_at = 0
  for number, code in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
    attempt = Attempt(workdir)
    attempt.wait_for_step(begun_at + 100)
    if not begun_at:
      attempt.process.send_signal(signal.SIGSTOP)
      returned, stderr = Attempt(workdir).finish()
      attempt.process.send_signal(signal.SIGCONT)
      assert returned == 5
      *data_lines, refusal = stderr.splitlines()
      assert f'is in use by process {attempt.process.pid};' in refusal
      assert all(line.startswith(('train: ', 'test: ')) for line in data_lines)
    attempt.process.send_signal(number)
    returned, stderr = attempt.finish()
    assert returned == code, stderr
    assert 'stopped and saved at step' in stderr
    assert not begun_at or f'continuing from step {begun_at}' in stderr
    step, _ = state_digest(workdir, config)
    assert f'at step {step};' in stderr
    assert step >= begun_at + 100
    begun_at = step
  returned, stderr = Attempt(workdir).finish()
  assert returned == 0, stderr
  assert f'continuing from step {begun_at}' in stderr
  assert_same_run(reference, workdir, config)


def test_a_full_disk_is_one_line_and_exit_6(tmp_path):
  """A limit on the size of files stands for the full disk: the kernel refuses the write."""
  limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))  # noqa: E731
  environment = os.environ | {'VAE_JAX_CACHE': '/proc/no/cache'}
  attempt = Attempt(tmp_path / 'run', preexec_fn=limit, env=environment)
  code, stderr = attempt.finish()
  assert code == 6, stderr
  assert any(line.startswith('cannot write') for line in stderr.splitlines())
