"""Config files: found by path or by name, run once, and what is said of those that are none."""

import re

import pytest
from conftest import ROOT

from vae_jax import config_files, errors

pytestmark = pytest.mark.run


def test_a_config_file_is_a_file(tmp_path, monkeypatch):
  (tmp_path / 'configs').mkdir()
  for name in ('digits', 'mnist'):
    (tmp_path / 'configs' / f'{name}.py').write_text('')
  monkeypatch.chdir(tmp_path)
  monkeypatch.setenv('HOME', str(tmp_path))
  for filename, message in {
    'configs': 'is a directory; name a file, such as configs/digits.py',
    'configs/digit.py': 'no such file; did you mean configs/digits.py?',
    'else.py': 'no such file; there are configs/digits.py, configs/mnist.py',
    'digts': 'no such file; did you mean digits?',
    '': 'is empty',
  }.items():
    with pytest.raises(errors.InputError, match='^--config.*' + re.escape(message)):
      config_files.found(filename, '--config')
  assert config_files.found('~/configs/digits.py', 'config') == tmp_path / 'configs/digits.py'


def test_a_study_that_comes_with_the_package_is_known_by_its_name(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'digits').mkdir()  # a run of that name is in no way
  assert config_files.found('digits', '--config') == ROOT / 'configs/digits.py'
  with pytest.raises(errors.InputError, match=r'there are cifar10_resnet, .*fashion_conv, '):
    config_files.found('else.py', '--config')
  (tmp_path / 'mnist_static').write_text('')  # nor does it hide a file
  assert str(config_files.found('mnist_static', '--config')) == 'mnist_static'


def test_a_config_file_is_run_with_its_argument(tmp_path):
  (tmp_path / 'beside_the_config.py').write_text('VALUE = 3')
  file = tmp_path / 'mine.py'
  file.write_text(
    'def get_config(text="none"):\n'
    '  import beside_the_config\n'
    '  return dict(study=text, value=beside_the_config.VALUE)\n'
  )
  assert config_files.read(file, 'config') == dict(study='none', value=3)
  assert config_files.read(f'{file}:two:parts', 'config') == dict(study='two:parts', value=3)
  other = file.rename(tmp_path / 'mine.config')
  assert config_files.read(other, 'config') == dict(study='none', value=3)


def test_the_config_of_a_run_is_a_config(tmp_path):
  (tmp_path / 'config.json').write_text('{"study": "mine", "lanes": {"beta": [1.0, [2.0]]}}')
  found = config_files.read(tmp_path / 'config.json', 'config')
  assert found == dict(study='mine', lanes=dict(beta=(1.0, (2.0,))))


@pytest.mark.parametrize(
  ('text', 'message'),
  [
    ('x = (', 'SyntaxError: '),
    ('x = 1', r'it has no function get_config\(\)$'),
    (
      'import sys; sys.exit(3)',
      r'it ends the program \(sys.exit\); a config returns its settings$',
    ),
    ('def get_config(): return 1 / 0', 'ZeroDivisionError: division by zero$'),
    ('def get_config(): open("nowhere")', 'FileNotFoundError: .*nowhere'),
    ('def get_config(): pass', r'get_config\(\) returns None; it returns a ConfigDict or a dict$'),
    ('def get_config(): return [1]', r'get_config\(\) returns \[1\]; it returns'),
  ],
)
def test_a_config_file_that_is_none_is_one_line(tmp_path, text, message):
  file = tmp_path / 'mine.py'
  file.write_text(text)
  with pytest.raises(errors.InputError, match=f'^--config={file}: {message}') as raised:
    config_files.read(file, '--config')
  assert '\n' not in str(raised.value).strip()
