"""The commands as a user types them: exit codes, one line for each mistake, what is printed."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest
from conftest import ROOT
from jax._src import compiler
from run_files import small_picture

import vae_jax
from vae_jax import figures
from vae_jax.commands import command, evaluate, train

pytestmark = pytest.mark.process

CONFIG = '--config=tests/long_study.py'
SHORT = (
  '--config.train.steps=20',
  '--config.train.evaluate_every=20',
  '--config.train.checkpoint_every=20',
)


@pytest.fixture
def run(capsys, monkeypatch):
  """Runs a command in this process; returns its exit code, stdout and stderr."""
  monkeypatch.chdir(ROOT)

  def run(module, *line):
    capsys.readouterr()
    code = command.exit_code_of(module.make(), line)
    return code, *capsys.readouterr()

  return run


def test_a_mistake_of_a_process_is_one_line_and_exit_2(launched, tmp_path):
  result = launched('train', CONFIG, '--config.lanes.bta=(1.,)', f'--workdir={tmp_path}/run')
  assert (result.returncode, result.stdout) == (2, '')
  assert result.stderr == ('--config.lanes.bta: no such key; did you mean --config.lanes.beta?\n')
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    ((CONFIG, '--config.lanes.bta=(1.,)'), '--config.lanes.bta: no such key; did you mean '
     '--config.lanes.beta?'),
    (('--config=configs/digit.py',), 'no such file; did you mean configs/digits.py?'),
    (('--config=README.md',), 'README.md, line'),
    ((), '--config is missing'),
    ((CONFIG, '--config.train.steps=many'), '--config.train.steps=many'),
  ],
  ids=['misspelt key', 'missing file', 'no Python', 'nothing', 'another type'],
)  # fmt: skip
def test_a_mistake_is_one_line_and_exit_2(run, tmp_path, arguments, words):
  code, stdout, stderr = run(train, *arguments, f'--workdir={tmp_path}/run')
  assert (code, stdout) == (2, '')
  (line,) = stderr.splitlines()
  assert words in line
  assert not list(tmp_path.iterdir())


def test_all_mistakes_are_said_at_once_each_in_a_line(run, tmp_path):
  code, stdout, stderr = run(
    train, CONFIG, f'--workdir={tmp_path}/run', '--flagfile=none', '--config.data.scale_to_unit',
    '--noconfig.data.scale_to_unit', '--config.encoder.dropout', '0.1', '--config.trian.steps=3',
    '--config.lanes.bet=(1.,)', '--config.train.steps=-5', '--config.lanes.seed=(-1,)',
    '--config.wandb.project=a/b', 'beta=4', '--wrkdir=x',
  )  # fmt: skip
  assert (code, stdout) == (2, '')
  expected = [
    '--flagfile is not taken',
    '--config.data.scale_to_unit is given twice',
    '--config.trian.steps: no such key',
    '--config.lanes.bet: no such key; did you mean --config.lanes.beta?',
    '--wrkdir: no such flag; did you mean --workdir?',
    '--config.encoder.dropout: no such key',
    "'beta=4' is no flag; did you mean --config.lanes.beta=4?",
    'train.steps=-5 is not valid: the nearest valid value is 1',
    "wandb.project='a/b' is not valid: it has 1 to 128 characters and none of / \\ # ? % :",
    'lanes.seed=-1 is not valid: the nearest valid value is 0',
  ]
  found = stderr.splitlines()
  assert len(found) == len(expected), stderr
  for line, words in zip(found, expected, strict=True):
    assert line.startswith(words)
  assert not list(tmp_path.iterdir())


def test_train_prints_a_table_and_evaluate_another(run, tmp_path, monkeypatch, traced_once):
  drawn = dict.fromkeys(('rate_distortion', 'samples'), small_picture())
  monkeypatch.setattr(figures, '_draw', lambda directory: drawn)
  workdir = tmp_path / 'run'
  code, stdout, stderr = run(train, CONFIG, f'--workdir={workdir}', *SHORT)
  assert code == 0, stderr
  for words in ('b0.5-z2-s0', 'ELBO', 'rate', 'distortion', 'active', 'seconds'):
    assert words in stdout
  for path in ('results.csv', 'figures/rate_distortion.png', 'figures/samples.png'):
    assert str(workdir / path) in stdout
    assert (workdir / path).is_file()
  code, _, stderr = run(evaluate, f'--workdir={workdir}', '--num_samples=40')
  assert code == 0, stderr
  assert ',40,30,' in (workdir / 'results.csv').read_text()


def test_evaluate_without_a_run_is_exit_2(run, tmp_path):
  code, _, stderr = run(evaluate, f'--workdir={tmp_path}/none')
  assert code == 2
  assert 'holds no run' in stderr
  assert len(stderr.splitlines()) == 1
  code, _, stderr = run(evaluate, f'--workdir={tmp_path}', '--num_samples=0')
  assert code == 2
  assert '--num_samples=0' in stderr


def test_compiled_programs_are_kept_for_their_owner_alone(tmp_path, monkeypatch):
  """They are code: nobody else may write what a later start runs."""
  kept = {}
  monkeypatch.setenv('VAE_JAX_CACHE', str(tmp_path / 'cache'))
  monkeypatch.setattr(jax.config, 'update', kept.__setitem__)
  command._use_compilation_cache()
  directory = tmp_path / 'cache' / 'xla'
  assert kept['jax_compilation_cache_dir'] == str(directory)
  assert directory.stat().st_mode & 0o777 == 0o700


def test_a_program_that_one_suite_keeps_is_found_by_the_next(cache, tmp_path):
  """Of what it is found by nothing is a path: each suite has a directory of its own."""
  options = [compiler.get_compile_options(1, 1).SerializeAsString()]
  jax.config.update('jax_compilation_cache_dir', str(tmp_path))
  try:
    options.append(compiler.get_compile_options(1, 1).SerializeAsString())
  finally:
    jax.config.update('jax_compilation_cache_dir', str(cache / 'xla'))
  assert options[0] == options[1]


def test_a_diverged_lane_is_exit_3_and_programs_are_kept(
  run, tmp_path, cache, traced_once, no_pictures
):
  lanes = dict(combine='zip', beta=(0.5, 0.5, 4.0, 4.0), latent_size=(2, 5, 2, 5))
  lanes |= dict(learning_rate=(1e-3, 1e8, 1e-3, 1e-3))  # as many as in the study: its programs
  flags = [f'--config.lanes.{name}={value}' for name, value in lanes.items()]
  code, stdout, stderr = run(train, CONFIG, f'--workdir={tmp_path}/run', *SHORT, *flags)
  assert code == 3, stderr
  assert 'diverged at step' in stdout
  assert any((cache / 'xla').iterdir())


def test_damaged_data_is_exit_4(run, tmp_path):
  path = tmp_path / 'images.npz'
  np.savez(path, train=np.ones((40, 6), np.uint8), test=np.ones((60, 6), np.uint8))
  path.write_bytes(path.read_bytes()[:-40])
  data = ('--config.data.name=npz', f'--config.data.path={path}', '--config.data.binarize=none')
  code, _, stderr = run(train, CONFIG, f'--workdir={tmp_path}/run', *data)
  assert code == 4, stderr
  assert str(path) in stderr
  assert not (tmp_path / 'run').exists()


@pytest.mark.parametrize(
  ('environment', 'count'),
  [
    ({}, 1),
    ({'JAX_NUM_CPU_DEVICES': '3'}, 3),
    ({'XLA_FLAGS': '--xla_force_host_platform_device_count=2'}, 2),
  ],
)
def test_the_cores_that_a_process_may_use_are_its_devices(environment, count):
  """One core is left to it; what the environment asks for comes first."""
  code = (
    'import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))});'
    'from vae_jax import switches; switches.use_cores();'
    'import jax; print(len(jax.devices()))'
  )
  process = subprocess.run(
    [sys.executable, '-c', code],
    env=os.environ | {'JAX_PLATFORMS': 'cpu'} | environment,
    cwd=ROOT,
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert process.stdout.split() == [str(count)], process.stderr


def test_the_console_command_works_from_any_directory(tmp_path):
  """`vae-jax` is `main` of this module; its sub-commands are those of `launch`."""

  def run(*arguments):
    return subprocess.run(
      [sys.executable, '-m', 'vae_jax.commands', *arguments],
      env=os.environ | {'PYTHONPATH': str(ROOT)},
      cwd=tmp_path,
      capture_output=True,
      text=True,
      timeout=300,
    )

  result = run('--help')
  assert (result.returncode, result.stderr) == (0, '')
  assert 'vae-jax train --config=digits --workdir=' in result.stdout
  assert run('--version').stdout == f'vae_jax {vae_jax.__version__}\n'
  result = run('tarin')
  assert (result.returncode, result.stdout) == (2, '')
  assert result.stderr == 'vae-jax tarin: no such command; did you mean train?\n'
  assert not list(tmp_path.iterdir())


def test_the_wheel_has_every_module_and_the_studies(tmp_path):
  pytest.importorskip('setuptools', reason='builds the package')
  build = tmp_path / 'build'
  line = [sys.executable, 'setup.py', '-q', 'build_py', f'--build-lib={build}']
  subprocess.run(line, cwd=ROOT, check=True, timeout=300, capture_output=True)
  modules = {path.relative_to(ROOT) for path in (ROOT / 'vae_jax').rglob('*.py')}
  studies = {pathlib.Path('vae_jax/configs') / p.name for p in (ROOT / 'configs').glob('*.py')}
  assert {path.relative_to(build) for path in build.rglob('*.py')} == modules | studies
  code = "from vae_jax import config_files; print(config_files.found('digits', '--config'))"
  found = subprocess.run(
    [sys.executable, '-c', code],
    env=os.environ | {'PYTHONPATH': str(build)},
    cwd=tmp_path,
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert found.stdout.strip() == str(build / 'vae_jax/configs/digits.py'), found.stderr


def test_the_newcomers_commands_are_executable():
  for name in ('launch/quickstart', 'launch/test', '.ci/run'):
    assert (ROOT / name).stat().st_mode & 0o111
