"""Sweeps of W&B over what makes another program: the file, and a directory for each trial."""

import json
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml
from conftest import ROOT
from test_tracking_wandb import isolated, server  # noqa: F401 (its fixtures)

from vae_jax import errors, launches
from vae_jax.commands import (
  command,
  compare,
  evaluate,
  plan,
  report,
  run_ids,
  upload,
  wandb_sweep,
)

pytestmark = pytest.mark.process

SHORT = (
  '--config.train.steps=20',
  '--config.train.log_every=10',
  '--config.train.evaluate_every=10',
  '--config.train.checkpoint_every=20',
  '--config.evaluation.nll_samples=5',
)
VARIED = ('--vary=encoder.hidden=(8,),(8, 4)', '--vary=config.optimizer.eps=1e-8')


@pytest.fixture
def run(capsys):
  """Runs a command in this process; returns its exit code, stdout and stderr."""

  def run(module, *line):
    code = command.exit_code_of(module.make(), line)
    return code, *capsys.readouterr()

  return run


def test_a_sweep_is_a_grid_of_trainings_with_their_own_directories(run, tmp_path):
  code, stdout, _ = run(wandb_sweep, '--config=digits', *VARIED, '--config.wandb.project=vae')
  assert code == 0
  sweep = yaml.safe_load(stdout)
  assert sweep == {
    'program': 'vae-jax',
    'method': 'grid',
    'project': 'vae',
    'metric': {'name': 'best/nll', 'goal': 'minimize'},
    'parameters': {
      'config.encoder.hidden': {'values': ['(8,)', '(8, 4)']},
      'config.optimizer.eps': {'values': [1e-8]},
    },
    'command': [
      '${env}', '${interpreter}', '-m', 'vae_jax.commands', 'train', '--config=digits',
      '--workdir=runs/{run_id}', '--config.wandb.project=vae', '--config.wandb.mode=online',
      '${args}',
    ],
  }  # fmt: skip
  code, stdout, _ = run(
    wandb_sweep, '--config=digits', *VARIED, '--config.wandb.project=vae',
    f'--out={tmp_path}/sweep.yaml',
  )  # fmt: skip
  assert (code, stdout) == (0, f'sweep: {tmp_path}/sweep.yaml\n')
  assert yaml.safe_load((tmp_path / 'sweep.yaml').read_text()) == sweep


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    (('--vary=encoder.hiden=(8,)',), '--config.encoder.hiden: no such key; did you mean'),
    (('--vary=encoder.activation=relu,tan',), "encoder.activation='tan' is not valid: did you"),
    (('--vary=encoder.hidden',), '--vary=encoder.hidden is not KEY=V1,V2'),
    ((VARIED[0], '--vary=encoder.hidden=(4,)'), 'its key is given twice'),
    ((VARIED[0], '--config.encoder.hidden=(4,)'), '--config.encoder.hidden is given beside --vary'),
    ((VARIED[0], '--config.wandb.mode=offline'), 'set online'),
    ((VARIED[0], '--workdir=runs/one'), 'one directory for all trials'),
    ((f'--vary=data.seed={",".join(map(str, range(1001)))}',), 'more than 1000 trials'),
  ],
)
def test_a_sweep_that_cannot_be_is_one_line_and_exit_2(run, arguments, words):
  code, stdout, stderr = run(wandb_sweep, '--config=digits', *arguments)
  (line,) = stderr.splitlines()
  assert (code, stdout) == (2, '') and words in line


def test_a_training_is_named_by_its_trial_else_at_random(monkeypatch, caplog):
  caplog.set_level('INFO')
  monkeypatch.delenv('WANDB_RUN_ID', raising=False)
  first, second = (run_ids.expanded('runs/{run_id}/{x}', together=False) for _ in range(2))
  assert first != second
  assert re.fullmatch(r'runs/[0-9a-f]{8}/\{x\}', first)
  assert caplog.messages == [f'the workdir is {first}', f'the workdir is {second}']
  monkeypatch.setenv('WANDB_RUN_ID', 'ab12-c')
  assert run_ids.expanded('runs/{run_id}', together=True) == 'runs/ab12-c'
  assert run_ids.expanded('runs/{x}', together=False) == 'runs/{x}'
  assert len(caplog.messages) == 3
  for wrong in ('../up', 'a/b', '.'):
    monkeypatch.setenv('WANDB_RUN_ID', wrong)
    with pytest.raises(errors.InputError, match='no name of a directory'):
      run_ids.expanded('runs/{run_id}', together=False)
  monkeypatch.delenv('WANDB_RUN_ID')
  with pytest.raises(errors.InputError, match='set WANDB_RUN_ID'):
    run_ids.expanded('runs/{run_id}', together=True)


@pytest.mark.parametrize('module', [compare, evaluate, report, upload])
def test_only_a_training_may_be_named_so(run, module):
  line = ['--workdir=runs/{run_id}', *(['--workdir=b'] if module is compare else [])]
  code, stdout, stderr = run(module, *line)
  assert (code, stdout) == (2, '')
  assert stderr == (
    "--workdir='runs/{run_id}': vae-jax train alone replaces {run_id}; give the directory that it "
    'made\n'
  )


@pytest.mark.slow
def test_wandb_agent_runs_the_trials_of_a_sweep(run, tmp_path, server):  # noqa: F811
  code, _, _ = run(
    wandb_sweep, '--config=digits', *VARIED, *SHORT, '--config.lanes.beta=(1.0,)',
    '--config.lanes.latent_size=(2,)', f'--out={tmp_path}/sweep.yaml',
  )  # fmt: skip
  assert code == 0
  work_off(tmp_path)
  trials = [f'sweep0-trial{i}' for i in range(2)]
  assert sorted(path.name for path in (tmp_path / 'runs').iterdir()) == trials
  for trial, hidden in zip(trials, ([8], [8, 4]), strict=True):
    config = json.loads((tmp_path / 'runs' / trial / 'config.json').read_text())
    assert config['encoder']['hidden'] == hidden
    study = server.runs[trial]
    assert (study.about['jobType'], study.about['sweep']) == ('study', 'sweep0')
    verdict = json.loads((tmp_path / 'runs' / trial / 'verdict.json').read_text())
    assert study.summary['best/nll'] == verdict['points'][0]['mean']
  assert len(server.lanes) == 2 * 2


def work_off(directory):
  """Registers sweep.yaml with W&B and runs its trials, with the genuine agent."""
  env = os.environ | {
    'PATH': f'{pathlib.Path(sys.executable).parent}:{os.environ["PATH"]}',
    'PYTHONPATH': str(ROOT),
    'VAE_JAX_CACHE': str(directory / 'cache'),
  }
  for words in (('sweep', 'sweep.yaml'), ('agent', 'tester/vae_jax/sweep0')):
    done = subprocess.run(
      [sys.executable, '-m', 'wandb', *words],
      cwd=directory, env=env, timeout=300, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


LAUNCHES = """
from configs import digits

def get_config():
  return digits.get_config()

def launches():
  yield {'encoder.hidden': (8,)}
  yield {'encoder': {'name': 'mlp', 'hidden': (8, 4)}}
"""


@pytest.mark.slow
def test_wandb_agent_runs_the_launches_of_a_study(run, tmp_path, server):  # noqa: F811
  """A trial each, in one group with ids of their own; a study that is done is told so."""
  (tmp_path / 'mine.py').write_text(LAUNCHES)
  code, out, _ = run(
    plan, f'--config={tmp_path}/mine.py', *SHORT, '--config.lanes.beta=(1.0,)',
    '--config.lanes.latent_size=(2,)', '--config.wandb.mode=online',
    f'--workdir={tmp_path}/runs', f'--wandb_sweep={tmp_path}/sweep.yaml',
  )  # fmt: skip
  assert code == 0
  assert '2 launches, 4 lanes' in out
  work_off(tmp_path)
  study = launches.read(tmp_path / 'runs')
  assert [standing.state for standing in launches.standings_of(tmp_path / 'runs')] == ['done'] * 2
  groups = {run.about['groupName'] for run in server.runs.values()}
  assert groups == {f'{study.study}-{study.study_id}'}
  for i, launch in enumerate(study.launches):
    of_launch = server.runs[f'sweep0-trial{i}']
    assert of_launch.about['sweep'] == 'sweep0'
    verdict = json.loads(
      (launches.run_of(tmp_path / 'runs', launch.name) / 'verdict.json').read_text()
    )
    assert of_launch.summary['best/nll'] == verdict['points'][0]['mean']
  assert len(server.lanes) == 2 * 2
