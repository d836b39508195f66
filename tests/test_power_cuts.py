"""After a power cut at any moment a run goes on: ext4 on a loop device, copied while it trains."""

import contextlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import long_study
import pytest
from conftest import ROOT
from run_files import assert_same_run

from vae_jax import study
from vae_jax.runs import checkpoint, states

pytestmark = [pytest.mark.process, pytest.mark.slow]

CUTS = 24
GO_ON = (5, 11, 17)  # of the cuts: those after which the run is taken to its end


@pytest.fixture
def disk(tmp_path):
  """An image with an empty ext4, and where it is mounted."""
  if not hasattr(os, 'geteuid') or os.geteuid() != 0 or not shutil.which('mkfs.ext4'):
    pytest.skip('mounting an image needs root, and mkfs.ext4')
  image = tmp_path / 'disk'
  with open(image, 'wb') as file:
    file.truncate(64 << 20)
  subprocess.run(['mkfs.ext4', '-q', image], check=True)
  with contextlib.ExitStack() as stack:
    try:
      place = stack.enter_context(mounted(image, tmp_path / 'mounted'))
    except subprocess.CalledProcessError as error:
      pytest.skip(f'there is no loop device: {error.stderr}')
    yield image, place


@contextlib.contextmanager
def mounted(image: pathlib.Path, place: pathlib.Path):
  place.mkdir(exist_ok=True)
  command = ['mount', '-o', 'loop', image, place]
  subprocess.run(command, check=True, capture_output=True, text=True)
  try:
    yield place
  finally:
    # Lazily: threads of orbax may close what they have read a moment later.
    subprocess.run(['umount', '--lazy', place], check=True)


def start(workdir: pathlib.Path, flags: list[str]) -> subprocess.Popen:
  file = ROOT / 'tests' / 'long_study.py'
  command = [sys.executable, '-m', 'launch.train', f'--config={file}', f'--workdir={workdir}']
  return subprocess.Popen([*command, *flags], cwd=ROOT, stderr=subprocess.DEVNULL)


def bytes_at_one_moment(image: pathlib.Path) -> bytes:
  """Returns what is on the disk: two readings are equal if nothing was written in between."""
  one, other = None, image.read_bytes()
  while one != other:
    one, other = other, image.read_bytes()
  return one


def cut_at_random(image: pathlib.Path, process: subprocess.Popen, journal: pathlib.Path):
  """Copies the disk at random moments of a process, which stands still meanwhile."""
  moments = random.Random(0)
  copies = []
  while len(copies) < CUTS and process.poll() is None:
    wait_for_rows(process, journal, rows(journal) + 4 * moments.randrange(10))
    time.sleep(moments.uniform(0, 0.1))
    process.send_signal(signal.SIGSTOP)
    copies.append(image.with_name(f'cut-{len(copies)}'))
    copies[-1].write_bytes(bytes_at_one_moment(image))
    process.send_signal(signal.SIGCONT)
  return copies


def rows(journal: pathlib.Path) -> int:
  return journal.read_bytes().count(b'\n') if journal.exists() else -1


def wait_for_rows(process: subprocess.Popen, journal: pathlib.Path, number: int):
  while process.poll() is None and rows(journal) < number:
    time.sleep(0.005)


def step_after(workdir: pathlib.Path, built: study.Study) -> int | None:
  """Returns the step that a run goes on from; None where there is no run yet."""
  if not (workdir / 'config.json').exists() or not (workdir / 'checkpoints').exists():
    return None
  with contextlib.closing(checkpoint.open_manager(workdir / 'checkpoints')) as manager:
    found = states.restored(built, manager)
  return found and found.step


def test_a_run_goes_on_after_a_power_cut(disk, tmp_path):
  image, place = disk
  overrides = {'train.steps': 3000, 'schedule.decay_steps': 2500}
  config = long_study.get_config()
  config.update_from_flattened_dict(overrides)
  config = config.to_dict()
  flags = [f'--config.{key}={value}' for key, value in overrides.items()]
  process = start(place / 'run', flags)
  try:
    wait_for_rows(process, place / 'run' / 'metrics.jsonl', 0)
    copies = cut_at_random(image, process, place / 'run' / 'metrics.jsonl')
    assert process.wait(300) == 0
  finally:
    process.kill()
  assert len(copies) == CUTS
  shutil.copytree(place / 'run', tmp_path / 'whole')
  built = study.from_config(config)
  steps, lost = [], []
  for number, copy in enumerate(copies):
    with mounted(copy, tmp_path / 'copy') as found:
      try:
        steps.append(step_after(found / 'run', built))
        if number in GO_ON:
          assert start(found / 'run', flags).wait(300) == 0
          assert_same_run(tmp_path / 'whole', found / 'run', config)
      except Exception as error:  # counted: how many of the cuts is what a fault is told by
        lost.append(f'{copy.name}: {error}')
    copy.unlink()
  assert not lost, f'{len(lost)} of {CUTS}; steps {steps}: {lost}'
  assert len({step for step in steps if step}) > CUTS / 4  # cut all over the run
