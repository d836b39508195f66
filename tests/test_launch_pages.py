"""What docs/launches.md has for engines that are not here: the Job of Kubernetes, its commands."""

import os
import re
import signal
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT

from configs import digits_launches
from vae_jax.sweeps import supervising

pytestmark = pytest.mark.process

PAGE = (ROOT / 'docs/launches.md').read_text(encoding='utf-8')
JOB = yaml.safe_load(re.search(r'```yaml\n(.*?)```', PAGE, re.DOTALL)[1])
# Older ones know no limit for each index, if nobody switches it on.
FIRST = (1, 29)


def test_the_job_has_an_index_for_each_launch_and_gives_up_where_a_sweep_does():
  spec = JOB['spec']
  assert spec['completions'] == len(list(digits_launches.launches()))
  [codes] = [r['onExitCodes'] for r in spec['podFailurePolicy']['rules'] if 'onExitCodes' in r]
  assert codes == {'operator': 'In', 'values': [*supervising._FAILED]}


def test_kubernetes_takes_the_job():
  """By the schemas of all its versions since FIRST, in which no key may be unknown or missing."""
  schemas = pytest.importorskip('kubernetes_validate')
  known = [v for v in schemas.utils.all_versions() if tuple(map(int, v.split('.')[:2])) >= FIRST]
  assert known
  for version in known:
    schemas.validate(JOB, version, strict=True)


@pytest.fixture
def pod(tmp_path):
  """Starts the command of the job, where `python` is a program of this test."""

  def start(body):
    python = tmp_path / 'python'
    python.write_text(f'#!{sys.executable}\nimport signal, sys\n{body}')
    python.chmod(0o755)
    [container] = JOB['spec']['template']['spec']['containers']
    environment = os.environ | {
      'PATH': f'{tmp_path}:{os.environ["PATH"]}',
      'JOB_COMPLETION_INDEX': '4',
    }
    line = [*container['command'], *container['args']]
    return subprocess.Popen(line, env=environment, stdout=subprocess.PIPE, text=True)

  return start


@pytest.mark.parametrize(('code', 'ends'), [(0, 0), (2, 2), (3, 0), (143, 143)])
def test_a_pod_ends_as_its_launch_does(pod, code, ends):
  process = pod(f'print(*sys.argv[1:])\nsys.exit({code})')
  said, _ = process.communicate(timeout=20)
  assert said == '-m vae_jax.commands run --study=/shared/runs/launches --index=4\n'
  assert process.returncode == ends


def test_a_pod_that_is_asked_to_stop_waits_until_the_state_is_saved(pod):
  process = pod(
    'def save(*_):\n'
    "  print('saved')\n"
    '  sys.exit(6)\n'  # there was no space, say: its own code, not that of the shell's signal
    'signal.signal(signal.SIGTERM, save)\n'
    "print('trains', flush=True)\n"
    'signal.pause()\n'
  )
  assert process.stdout.readline() == 'trains\n'
  process.send_signal(signal.SIGTERM)
  said, _ = process.communicate(timeout=20)
  assert (said, process.returncode) == ('saved\n', 6)


def test_the_commands_are_those_of_a_shell():
  blocks = re.findall(r'```bash\n(.*?)```', PAGE, re.DOTALL)
  assert any(block.startswith('gcloud') for block in blocks)
  subprocess.run(['bash', '-n'], input='\n'.join(blocks), text=True, check=True)
