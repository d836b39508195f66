"""The house: imports go down the layers only, configs are pages, nothing forbidden comes in."""

import ast
import functools
import pathlib
import re

import pytest
from conftest import ROOT

import vae_jax

pytestmark = pytest.mark.math

# The one list of the layers is the package's docstring; inside a layer a later name may import an
# earlier one.
LAYERS = [
  match.group(1).split(', ')
  for match in re.finditer(r'^  \d  ([\w, ]+)$', vae_jax.__doc__, re.MULTILINE)
]
PACKAGE = ROOT / 'vae_jax'
FILES = sorted(PACKAGE.rglob('*.py'))


@functools.cache
def imported(path: pathlib.Path) -> set[str]:
  """Returns the dotted names that a file imports, also inside functions."""
  names = set()
  for node in ast.walk(ast.parse(path.read_text())):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f'{path}: relative import'
      names |= {f'{node.module}.{alias.name}' for alias in node.names}
  return names


def room(path: pathlib.Path) -> str:
  return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def layer_of(name: str) -> tuple[int, int]:
  (layer,) = [i for i, names in enumerate(LAYERS) if name in names]
  return layer, LAYERS[layer].index(name)


def test_imports_go_down():
  assert imported(PACKAGE / '__init__.py') == {'importlib'}  # the front door, when it is asked for
  wrong = []
  for path in FILES:
    here = room(path)
    rooms = {name.split('.')[1] for name in imported(path) if name.startswith('vae_jax.')}
    if here != '__init__':
      up = (other for other in rooms - {here} if layer_of(other) >= layer_of(here))
      wrong += [f'{path} imports {other}' for other in up]
  assert not wrong


def test_every_room_is_a_package():
  """A directory without `__init__.py` works in a clone and is missing from the wheel."""
  assert not {path.parent for path in FILES} - {
    path.parent for path in PACKAGE.rglob('__init__.py')
  }


def test_the_library_knows_no_flags_and_nothing_above_it():
  wrong = []
  for path in FILES:
    forbidden = {'launch', 'configs', 'experiments', 'tests', 'pickle'}
    if room(path) != 'commands':
      forbidden |= {'absl'}
      if room(path) != 'config':  # the one page of settings is a ConfigDict
        forbidden |= {'ml_collections'}
    found = {name.split('.')[0] for name in imported(path)} & forbidden
    wrong += [f'{path} imports {name}' for name in found]
  assert not wrong


@pytest.mark.parametrize('path', sorted((ROOT / 'configs').glob('*.py')), ids=lambda p: p.name)
def test_a_config_imports_the_page_of_settings_only(path):
  assert imported(path) == {'vae_jax.config'}


def test_a_test_file_says_what_it_takes():
  for path in (ROOT / 'tests').glob('test_*.py'):
    marks = re.findall(r'^pytestmark = .*', path.read_text(), re.MULTILINE)
    assert len(marks) == 1, path
    assert len(re.findall(r'pytest\.mark\.(math|run|process)\b', marks[0])) == 1, path
