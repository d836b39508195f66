"""`vae-jax sweep --executor=ray` on a real Ray of two nodes; see `ray_cluster`."""

import subprocess
import sys
import time

import pytest
import ray_cluster
from conftest import ROOT
from test_sweep import rows_of, write

from vae_jax import launches, records

needed = pytest.mark.skipif(bool(ray_cluster.why_not()), reason=ray_cluster.why_not())
pytestmark = [pytest.mark.process, pytest.mark.slow, needed]


@pytest.fixture
def ray():
  """A cluster of its own for each test: one that has lost a node is no use to the next."""
  with ray_cluster.running() as cluster:
    yield cluster


@pytest.fixture
def started(ray):
  """Starts a sweep on the cluster; one that still runs at the end of the test is killed."""
  processes = []

  def start(config, directory):
    command = [sys.executable, '-m', 'launch.sweep', f'--config={config}']
    command += [f'--workdir={directory}', '--executor=ray']
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    processes.append(subprocess.Popen(command, cwd=ROOT, env=ray.environment, **pipes))
    return processes[-1]

  yield start
  for process in processes:
    process.kill()
    process.communicate()


def wait_for(condition, process, seconds=120):
  deadline = time.monotonic() + seconds
  while not condition():
    assert process.poll() is None, process.communicate()
    assert time.monotonic() < deadline
    time.sleep(0.1)


NAMES = ('num_samples-1', 'num_samples-2')


def steps_of(directory):
  return [records.newest_step(launches.run_of(directory, name)) or 0 for name in NAMES]


def attempts_of(directory):
  return [launches.standing_of(directory, name).attempts for name in NAMES]


def test_what_was_on_a_node_that_is_lost_goes_on_from_its_checkpoint(ray, started, tmp_path):
  config = write(tmp_path / 'mine.py', steps=1500)
  alone = started(config, tmp_path / 'alone')
  _, err = alone.communicate(timeout=300)
  assert alone.returncode == 0, err

  process = started(config, tmp_path / 'a')
  wait_for(lambda: min(steps_of(tmp_path / 'a')) >= 100, process)
  ray.kill(0)
  _, err = process.communicate(timeout=300)
  assert process.returncode == 0, err
  assert err.count('ended with -9, is taken again') == 1
  assert sorted(attempts_of(tmp_path / 'a')) == [1, 2]
  lost = NAMES[attempts_of(tmp_path / 'a').index(2)]
  assert f'{lost}: goes on' in err
  log = (launches.jobs_of(tmp_path / 'a', lost) / 'log.txt').read_text()
  assert 'continuing' in log, log
  assert rows_of(tmp_path / 'a') == rows_of(tmp_path / 'alone')


def test_a_sweep_that_is_stopped_has_its_launches_save_their_state(started, tmp_path):
  process = started(write(tmp_path / 'mine.py', steps=20_000), tmp_path / 'a')
  wait_for(lambda: min(steps_of(tmp_path / 'a')) >= 100, process)
  process.terminate()
  _, err = process.communicate(timeout=60)
  assert process.returncode == 143, err
  for name, step in zip(NAMES, steps_of(tmp_path / 'a'), strict=True):
    log = (launches.jobs_of(tmp_path / 'a', name) / 'log.txt').read_text()
    assert f'stopped and saved at step {step}' in log


def test_what_no_node_has_is_refused_at_once(started, tmp_path):
  config = write(tmp_path / 'mine.py')
  text = config.read_text()
  config.write_text(text.replace('  return config', '  config.resources.gpus = 8\n  return config'))
  process = started(config, tmp_path / 'a')
  _, err = process.communicate(timeout=60)
  assert process.returncode == 2
  assert 'resources.gpus=8: no node of the Ray cluster has more than 0' in err
