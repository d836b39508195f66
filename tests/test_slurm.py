"""`vae-jax sweep --executor=slurm` on a real Slurm of two nodes; see `slurm_cluster`."""

import re
import subprocess
import sys
import time

import pytest
import slurm_cluster
from conftest import ROOT
from test_sweep import rows_of, write

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
        line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120
      )
      assert found.returncode == 0, found.stderr
      return found.stdout

    yield run


def swept(slurm, config, directory):
  """Submits what is not done of a study and returns what the command prints."""
  flags = f'--config={config}', f'--workdir={directory}', '--executor=slurm'
  return slurm(sys.executable, '-m', 'launch.sweep', *flags)


def wait_for(condition, seconds=120):
  deadline = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.1)


NAMES = ('num_samples-1', 'num_samples-2')
STEPS = 3000


def steps_of(directory):
  return [records.newest_step(launches.run_of(directory, name)) or 0 for name in NAMES]


def attempts_of(directory):
  return [launches.standing_of(directory, name).attempts for name in NAMES]


def preempt(slurm, directory):
  """Takes the node of each launch for another job; waits until they have begun again."""
  before = attempts_of(directory)
  for node in slurm_cluster.NODES:
    slurm('sbatch', '--partition=urgent', f'--nodelist={node}', '--output=/dev/null', '--wrap=true')
  wait_for(
    lambda: all(now > then for now, then in zip(attempts_of(directory), before, strict=True))
  )


def is_over(slurm, directory):
  """Tells whether Slurm has nothing left to do, the report behind the launches included."""
  wait_for(lambda: not slurm('squeue', '--noheader'), seconds=240)
  return {standing.state for standing in launches.standings_of(directory)} == {'done'}


def test_what_is_taken_for_another_job_goes_on_from_where_it_was(slurm, tmp_path):
  """A preemption in training and one in the final NLL: the end is that of an undisturbed study."""
  config = write(tmp_path / 'mine.py', steps=STEPS)
  # The final NLL of a launch takes some 5 s, in parts.
  config.write_text(config.read_text().replace('nll_samples=4', 'nll_samples=NLL'))
  config.write_text(config.read_text().replace('NLL', '20_000'))
  swept(slurm, config, tmp_path / 'alone')
  assert is_over(slurm, tmp_path / 'alone')
  assert attempts_of(tmp_path / 'alone') == [1, 1]

  directory = tmp_path / 'a'
  assert 'submitted as array' in swept(slurm, config, directory)
  wait_for(lambda: min(steps_of(directory)) >= 100)
  preempt(slurm, directory)
  assert swept(slurm, config, directory) == 'nothing to submit\n'
  wait_for(lambda: steps_of(directory) == [STEPS] * 2)
  preempt(slurm, directory)
  assert is_over(slurm, directory)
  assert min(attempts_of(directory)) >= 3
  assert rows_of(directory) == rows_of(tmp_path / 'alone')
  for name in NAMES:
    log = (launches.jobs_of(directory, name) / 'log.txt').read_text()
    # Told at once, it has saved what it had, and goes on from there.
    stopped = re.search(r'stopped and saved at step (\d+)', log)
    assert stopped is not None, log
    assert f'continuing from step {stopped[1]}\n' in log
    assert 'stopped in the evaluation' in log


def test_what_is_cancelled_has_saved_its_state_and_stays_away(slurm, tmp_path):
  config = write(tmp_path / 'mine.py', steps=20_000)
  directory = tmp_path / 'a'
  job = re.search(r'array (\d+)', swept(slurm, config, directory))[1]
  wait_for(lambda: min(steps_of(directory)) >= 100)
  slurm('scancel', job)
  wait_for(lambda: job not in slurm('squeue', '--noheader', '--format=%F'))
  assert {standing.state for standing in launches.standings_of(directory)} == {'interrupted'}
  for name, step in zip(NAMES, steps_of(directory), strict=True):
    assert (
      f'stopped and saved at step {step}'
      in (launches.jobs_of(directory, name) / 'log.txt').read_text()
    )
