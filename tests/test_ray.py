"""`vae-jax sweep --executor=ray` on a real Ray of two nodes; see `ray_cluster`."""

import os
import subprocess
import sys
import time

import pytest
import ray_cluster
from conftest import ROOT
from test_sweep import check_equal, write, write_wide

from vae_jax import launches, records
from vae_jax.sweeps import on_ray

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


def wait_for(condition, process=None, seconds=120):
  deadline = time.monotonic() + seconds
  while not condition():
    assert process is None or process.poll() is None, process.communicate()
    assert time.monotonic() < deadline
    time.sleep(0.1)


def two_train(directory):
  """Tells whether two launches run, which have come to their step 100."""
  if not launches.holds_study(directory):
    return False
  running = [each.name for each in launches.standings_of(directory) if each.state == 'running']
  steps = [records.newest_step(launches.run_of(directory, name)) or 0 for name in running]
  return len(steps) == 2 and min(steps) >= 100


def log_of(directory, name):
  return (launches.jobs_of(directory, name) / 'log.txt').read_text()


def test_what_was_on_a_node_that_is_lost_goes_on_from_its_checkpoint(ray, started, tmp_path):
  """The end is that of an undisturbed sweep of this machine, on as many devices."""
  config = write_wide(tmp_path / 'mine.py', steps=2000)
  directory, alone = tmp_path / 'a', tmp_path / 'alone'
  line = [sys.executable, '-m', 'launch.sweep', f'--config={config}', f'--workdir={alone}']
  one = os.environ | {'JAX_NUM_CPU_DEVICES': '1'}
  subprocess.run(line, cwd=ROOT, env=one, timeout=600, check=True)

  process = started(config, directory)
  wait_for(lambda: two_train(directory), process)
  ray.kill(0)
  _, err = process.communicate(timeout=900)
  assert process.returncode == 0, err
  assert err.count('ended with -9, is taken again') == 1
  [lost] = [each.name for each in launches.standings_of(directory) if each.attempts == 2]
  assert f'{lost}: goes on' in err
  assert 'continuing from step' in log_of(directory, lost)
  check_equal(directory, alone)


def test_a_launch_has_the_devices_that_it_asks_for(tmp_path, monkeypatch):
  """On a node that has two GPUs, and names both of them to whoever asks."""
  names = 'CUDA_VISIBLE_DEVICES', 'JAX_NUM_CPU_DEVICES'
  said = 'import os, sys; print(*[os.environ[name] for name in sys.argv[2:]], sep=";", '
  said += 'file=open(sys.argv[1], "w"))'
  monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '0,1')
  monkeypatch.setattr(
    on_ray,
    'command',
    lambda directory, index, *_: [sys.executable, '-c', said, f'{directory}/{index}', *names],
  )
  with ray_cluster.running(cpus=3, gpus=2) as running:
    monkeypatch.setenv('RAY_ADDRESS', running.environment['RAY_ADDRESS'])
    for index, (gpus, cpus) in enumerate([(0, 0), (1, 2), (2, 3)]):
      asked = {'cpus': cpus, 'gpus': gpus, 'memory_gib': 0.0}
      launch = launches.Launch('a', {}, 1, {'resources': asked})
      with on_ray.cluster(tmp_path, launches.Study('mine', '', (), [launch]), 0) as engine:
        task = engine.submit(index, 'a')
        wait_for(lambda task=task: task.exit_code() is not None)
      assert task.exit_code() == 0
      visible, cores = (tmp_path / str(index)).read_text().strip().split(';')
      assert int(cores) == max(cpus, 1)
      assert len(visible.split(',')) == gpus if gpus else not visible
      assert set(visible) <= set('0,1')


def test_a_sweep_that_is_stopped_has_its_launches_save_their_state(started, tmp_path):
  process = started(write(tmp_path / 'mine.py', steps=20_000), tmp_path / 'a')
  wait_for(lambda: two_train(tmp_path / 'a'), process)
  process.terminate()
  _, err = process.communicate(timeout=60)
  assert process.returncode == 143, err
  for launch in launches.read(tmp_path / 'a').launches:
    step = records.newest_step(launches.run_of(tmp_path / 'a', launch.name))
    assert f'stopped and saved at step {step}' in log_of(tmp_path / 'a', launch.name)


def test_what_no_node_has_is_refused_at_once(started, tmp_path):
  config = write(tmp_path / 'mine.py')
  text = config.read_text()
  config.write_text(text.replace('  return config', '  config.resources.gpus = 8\n  return config'))
  process = started(config, tmp_path / 'a')
  _, err = process.communicate(timeout=60)
  assert process.returncode == 2
  assert 'resources.gpus=8: no node of the Ray cluster has more than 0' in err
