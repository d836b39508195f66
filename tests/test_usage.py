"""What --help, --helpfull and --print_config print, and that they create nothing."""

import ast
import importlib
import re
import subprocess
import sys

import pytest
from conftest import ROOT

from configs import mnist_static
from vae_jax import config as settings
from vae_jax.commands import __main__, command, train

pytestmark = pytest.mark.process

COMMANDS = {name: importlib.import_module(f'vae_jax.commands.{name}') for name in __main__.NAMES}


@pytest.mark.parametrize('name', COMMANDS)
def test_help_is_one_screen_with_an_example_and_the_commands_own_flags(name, capsys):
  made = COMMANDS[name].make()
  assert command.exit_code_of(made, ['--help']) == 0
  lines = capsys.readouterr().out.splitlines()
  assert len(lines) <= 40
  assert max(map(len, lines)) <= 100
  assert any(line.startswith(f'  vae-jax {name} --') for line in lines)
  flags = [match.group(1) for line in lines if (match := re.match(r'  --(\w+)  ', line))]
  assert set(flags) == set(made.flags)


def printed(capsys, *line):
  assert command.exit_code_of(train.make(), [*line, '--print_config']) == 0
  found = (line.split(' = ', 1) for line in capsys.readouterr().out.splitlines())
  return {key: ast.literal_eval(value) for key, value in found}


def test_print_config_is_the_whole_config_and_reads_no_data(capsys, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('TFDS_DATA_DIR', str(tmp_path / 'none'))
  values = printed(capsys, '--config=mnist_static')
  whole = settings.complete(mnist_static.get_config())
  expected = {'study': whole['study']}
  for section, below in whole.items():
    if section != 'study':
      expected |= {f'{section}.{key}': value for key, value in below.items()}
  assert values == expected
  again = printed(
    capsys, '--config=mnist_static', '--config.lanes.beta=(2.0,)', '--config.data.name=npz',
    '--config.data.path=none.npz', '--config.optimizer.eps=1e-4', '--noconfig.data.scale_to_unit',
  )  # fmt: skip
  changed = {key for key in again if again[key] != values.get(key)}
  of_data = {'data.name', 'data.path', 'data.labels', 'data.masks', 'data.scale_to_unit'}
  assert changed == of_data | {'lanes.beta', 'optimizer.eps'}
  assert again['lanes.beta'] == (2.0,)
  assert again['data.scale_to_unit'] is False
  assert not list(tmp_path.iterdir())


def test_what_print_config_prints_are_flags_that_change_nothing(capsys):
  study = f'--config={ROOT}/configs/digits.py'
  values = printed(capsys, study)
  line = [f'--config.{key}={value}' for key, value in values.items()]
  assert printed(capsys, study, *line) == values


def test_print_config_says_what_is_wrong_and_prints_nothing(capsys):
  line = ['--config=digits', '--print_config', '--config.train.steps=0']
  assert command.exit_code_of(train.make(), line) == 2
  assert command.exit_code_of(train.make(), [*line[:2], '--config.lanes.beta=(-1.,)']) == 2
  out, err = capsys.readouterr()
  assert out == ''
  assert err.splitlines() == [
    'train.steps=0 is not valid: the nearest valid value is 1',
    'lanes.beta=-1.0 is not valid: the nearest valid value is 0',
  ]


def test_help_waits_for_no_jax():
  """Its import takes longer than all that --help prints."""
  code = (
    'import importlib, sys\n'
    'from vae_jax.commands import __main__, command\n'
    'for name in __main__.NAMES:\n'
    "  made = importlib.import_module(f'vae_jax.commands.{name}').make()\n"
    "  assert command.exit_code_of(made, ['--help']) == 0\n"
    "print('jax' in sys.modules)\n"
  )
  found = subprocess.run(
    [sys.executable, '-c', code], cwd=ROOT, capture_output=True, text=True, check=True
  )
  assert found.stdout.splitlines()[-1] == 'False'
