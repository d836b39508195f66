"""`vae-jax sweep --executor=slurm` on a real Slurm of two nodes; see `slurm_cluster`."""

import json
import re
import subprocess
import sys
import time

import pytest
import slurm_cluster
from conftest import ROOT
from test_sweep import check_equal, rows_of, write, write_wide

from vae_jax import launches, records

needed = pytest.mark.skipif(bool(slurm_cluster.why_not()), reason=slurm_cluster.why_not())
pytestmark = [pytest.mark.process, pytest.mark.slow, needed]


@pytest.fixture(scope='module')
def slurm(tmp_path_factory):
  """Yields a function that runs a command beside a Slurm and returns what it prints."""
  with slurm_cluster.running(tmp_path_factory.mktemp('slurm')) as environment:

    def run(*words):
      line = [str(word) for word in words]
      found = subprocess.run(
        line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600
      )
      assert found.returncode == 0, found.stderr
      return found.stdout

    yield run


def swept(slurm, config, directory):
  """Submits what is not done of a study, a node for each; returns what the command prints."""
  flags = f'--config={config}', f'--workdir={directory}', '--executor=slurm'
  cores = f'--config.resources.cpus={slurm_cluster.CORES}'
  return slurm(sys.executable, '-m', 'launch.sweep', *flags, cores)


def wait_for(condition, seconds=120):
  deadline = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.1)


def steps_of(directory, name):
  return records.newest_step(launches.run_of(directory, name)) or 0


def log_of(directory, name):
  path = launches.jobs_of(directory, name) / 'log.txt'
  return path.read_text() if path.exists() else ''


def running(directory):
  return [each.name for each in launches.standings_of(directory) if each.state == 'running']


def preempt(slurm):
  """Takes every node for another job."""
  for node in slurm_cluster.NODES:
    slurm('sbatch', '--partition=urgent', f'--nodelist={node}', '--output=/dev/null', '--wrap=true')


def test_what_is_taken_for_another_job_goes_on_from_where_it_was(slurm, tmp_path):
  """A preemption in training and one in the final NLL: the end is that of an undisturbed sweep."""
  # The final NLL of a launch takes some 5 s, in parts.
  config = write_wide(tmp_path / 'mine.py', steps=2000, nll_samples=4000)
  alone = tmp_path / 'alone'
  local = 'env', f'JAX_NUM_CPU_DEVICES={slurm_cluster.CORES}', sys.executable, '-m', 'launch.sweep'
  slurm(*local, f'--config={config}', f'--workdir={alone}')

  directory = tmp_path / 'a'
  assert 'submitted as array' in swept(slurm, config, directory)

  def in_training():
    return [name for name in running(directory) if 100 <= steps_of(directory, name) < 2000]

  def in_the_nll():
    return [
      name for name in running(directory) if 'importance-sampled NLL' in log_of(directory, name)
    ]

  taken = []
  for is_there in (in_training, in_the_nll):
    wait_for(is_there)
    taken.append(is_there()[0])
    preempt(slurm)
  assert swept(slurm, config, directory) == 'nothing to submit\n'
  wait_for(lambda: not slurm('squeue', '--noheader'), seconds=600)
  check_equal(directory, alone)
  # Told at once, each has saved what it had, and goes on from there.
  in_time, at_the_end = (log_of(directory, name) for name in taken)
  stopped = re.search(r'stopped and saved at step (\d+)', in_time)
  assert stopped is not None, in_time
  assert f'continuing from step {stopped[1]}\n' in in_time
  assert 'stopped in the evaluation' in at_the_end
  assert 'parts of the evaluation are done already' in at_the_end


def test_the_tasks_of_a_step_train_one_study_together(slurm, tmp_path):
  """They know each other by --processes=auto; only that their nodes are this host is said."""
  config, directory = write(tmp_path / 'mine.py', steps=100), tmp_path / 'a'
  train = [sys.executable, '-m', 'launch.train', f'--config={config}', f'--workdir={directory}']
  train += ['--processes=auto', '--coordinator=127.0.0.1:20001']
  slurm('srun', '--nodes=2', '--ntasks=2', *train)
  names = ['b0.5-z2-s0', 'b2-z2-s0']
  assert [row['name'] for row in rows_of(directory)] == names
  shares = [rows_of(directory / f'process-{index}') for index in range(2)]
  assert [[row['name'] for row in share] for share in shares] == [names[:1], names[1:]]


def test_what_is_cancelled_has_saved_its_state_and_stays_away(slurm, tmp_path):
  config = write(tmp_path / 'mine.py', steps=20_000)
  directory = tmp_path / 'a'
  job = re.search(r'array (\d+)', swept(slurm, config, directory))[1]
  names = [launch.name for launch in launches.read(directory).launches]
  wait_for(lambda: min(steps_of(directory, name) for name in names) >= 100)
  slurm('scancel', job)
  wait_for(lambda: job not in slurm('squeue', '--noheader', '--format=%F'))
  assert {standing.state for standing in launches.standings_of(directory)} == {'interrupted'}
  for name in names:
    assert f'stopped and saved at step {steps_of(directory, name)}' in log_of(directory, name)
    # All cores of a task are its launch's.
    made = json.loads((launches.run_of(directory, name) / 'provenance.json').read_text())
    assert made['device']['count'] == slurm_cluster.CORES
