"""What launches rest on, tried on a real Slurm of two nodes; see `slurm_cluster`."""

import subprocess
import time

import pytest
import slurm_cluster

needed = pytest.mark.skipif(bool(slurm_cluster.why_not()), reason=slurm_cluster.why_not())
pytestmark = [pytest.mark.process, pytest.mark.slow, needed]

# The step says what comes to it; asked to stop it takes a second, as one that saves its state.
SCRIPT = """#!/bin/bash
srun bash -c 'trap "echo TERM; sleep 1; exit 143" TERM
  echo begins $SLURM_RESTART_COUNT; while true; do sleep 0.1; done'
code=$?
[ "$code" -eq 143 ] && scontrol requeue "$SLURM_JOB_ID"
exit "$code"
"""


@pytest.fixture(scope='module')
def slurm(tmp_path_factory):
  """Yields a function that runs a command beside a Slurm and returns what it prints."""
  with slurm_cluster.running(tmp_path_factory.mktemp('slurm')) as environment:

    def run(*words):
      line = [str(word) for word in words]
      found = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=60)
      assert found.returncode == 0, found.stderr
      return found.stdout

    yield run


def wait_for(condition, seconds=60):
  deadline = time.monotonic() + seconds
  while not condition():
    assert time.monotonic() < deadline
    time.sleep(0.1)


def test_a_step_is_told_at_once_and_is_queued_again_but_stays_away_once_cancelled(slurm, tmp_path):
  script, said = tmp_path / 'job.sh', tmp_path / 'said.txt'
  script.write_text(SCRIPT)
  said.touch()
  options = '--array=3', '--requeue', '--open-mode=append', f'--output={said}'
  job = slurm('sbatch', '--parsable', '--nodelist=node1', *options, script).strip()
  wait_for(lambda: 'begins' in said.read_text())
  began = time.monotonic()
  slurm('sbatch', '--partition=urgent', '--nodelist=node1', '--output=/dev/null', '--wrap=true')
  wait_for(lambda: 'TERM\n' in said.read_text())
  assert time.monotonic() - began < slurm_cluster.GRACE_SECONDS
  assert slurm('squeue', '--noheader', '--array', f'--jobs={job}', '--format=%F_%K').strip() == (
    f'{job}_3'
  )
  wait_for(lambda: 'begins 1\n' in said.read_text())
  slurm('scancel', job)
  wait_for(lambda: not slurm('squeue', '--noheader'))
  assert said.read_text().count('begins') == 2
