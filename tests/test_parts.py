"""A section is a constructor call: names, keys, checks, completion, where a part comes from."""

import hashlib
import subprocess
import sys

import jax.numpy as jnp
import optax
import pytest
from conftest import ROOT

from vae_jax import errors, networks, parts

pytestmark = pytest.mark.run

MODULE = """
from collections.abc import Sequence
from typing import Annotated, Literal

from flax import linen as nn

from vae_jax import checks


class ResNet(nn.Module):
  depth: Annotated[int, checks.whole(1, 8)]
  widths: Sequence[int] = (16,)
  rate: float = 0.0
  event: tuple[int, ...] = ()

  def __call__(self, x):
    return x


def load(path: str, seed: int, shape: 'tuple[int, int]' = (2, 2), how: Literal['a', 'b'] = 'a',
         mean: float | None = None, table=None, dtype=object()):
  return path, seed, shape


def refuses(much: int = 0):
  raise KeyError(much)


number = 7
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
  """A user's file, on the path under a name that no other test has."""
  name = f'own_{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]}'
  (tmp_path / f'{name}.py').write_text(MODULE)
  monkeypatch.syspath_prepend(tmp_path)
  yield name
  sys.modules.pop(name, None)


def test_nothing_is_imported_before_it_is_asked_for():
  code = (
    "import sys; from vae_jax import parts; assert not {'jax', 'flax', 'optax'} & {*sys.modules}"
  )
  subprocess.run([sys.executable, '-c', code], cwd=ROOT, check=True)


def test_a_name_is_a_built_in_one_or_an_import_path(own):
  assert parts.resolve('encoder', 'mlp') is networks.MlpEncoder
  assert parts.resolve('optimizer', 'optax:lion') is optax.lion
  assert parts.resolve('encoder', f'{own}:ResNet').__name__ == 'ResNet'
  assert parts.is_from_outside('optax:lion')
  for name in ('mlp', 'mnist:3.0.1', 'a/b', 'a.b', 'a:b:c', ':b', 'a:', '', None, 7):
    assert not parts.is_from_outside(name)


@pytest.mark.parametrize(
  ('name', 'words'),
  [
    ('mpl', "did you mean 'mlp'"),
    ('mine.ResNet', "or your own 'package.module:attribute'"),
    (None, 'it is one of mlp, conv'),
    (['mlp'], 'it is one of mlp, conv'),
    ('no_such_module_anywhere:ResNet', "there is no module 'no_such_module_anywhere'"),
    ('optax.no_such:lion', "there is no module 'optax.no_such'"),
    ('optax:lionn', r"optax/__init__.py has no lionn; did you mean 'lion'"),
    ('optax:__version__', 'name a class, or a function'),
  ],
)
def test_what_is_no_part_is_refused_in_a_line(name, words):
  with pytest.raises(errors.InputError, match=words) as caught:
    parts.resolve('encoder', name)
  assert len(caught.value.problems) == 1
  assert str(caught.value).startswith('encoder.name=')


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('import os\n\nos.nothing\n', r"AttributeError: .*'nothing'.* \(.*broken_.*\.py, line 3\)"),
    ('import no_such_module\n', r"ModuleNotFoundError: .*'no_such_module'.*line 1\)"),
    ('x = (\n', r"SyntaxError: '\(' was never closed \(broken_.*\.py, line 1\)"),
    ('\n\nraise SystemExit(3)\n', r'SystemExit: 3 \(.*broken_.*\.py, line 3\)'),
    ('def f():\n  1 / 0\n\nf()\n', r'ZeroDivisionError.*line 2\)'),
  ],
)
def test_a_module_that_cannot_be_imported_is_said_with_its_line(text, words, tmp_path, monkeypatch):
  name = f'broken_{hashlib.sha256(text.encode()).hexdigest()[:12]}'
  (tmp_path / f'{name}.py').write_text(text)
  monkeypatch.syspath_prepend(tmp_path)
  with pytest.raises(errors.InputError, match=words) as caught:
    parts.resolve('prior', f'{name}:Mine')
  assert len(caught.value.problems) == 1
  assert str(caught.value).startswith(f"prior.name='{name}:Mine' cannot be imported: ")


def test_the_module_that_was_meant_is_named(own, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(errors.InputError, match=rf"did you mean '{own}'"):
    parts.resolve('encoder', f'{own}s:ResNet')


def test_keys_are_the_parameters_less_what_is_given(own):
  keys = parts.parameters('encoder', f'{own}:ResNet')
  assert list(keys) == ['depth', 'widths', 'rate']  # of Flax's own, neither `name` nor `parent`
  assert keys['depth'].default is parts.REQUIRED
  assert keys['widths'].default == (16,)
  assert parts.asked('encoder', f'{own}:ResNet') == {'event'}
  keys = parts.parameters('data', f'{own}:load')
  assert list(keys) == ['path', 'shape', 'how', 'mean', 'table']  # seed is common; dtype no JSON
  lion = parts.parameters('optimizer', 'optax:lion')
  assert lion['b2'].default == 0.99
  assert parts.asked('optimizer', 'optax:lion') == {'learning_rate'}


@pytest.mark.parametrize(
  ('part', 'key', 'good', 'bad'),
  [
    (
      'ResNet',
      'depth',
      [1, 8],
      {0: 'nearest valid value is 1', 2.0: 'whole', True: 'whole'},
    ),
    ('ResNet', 'widths', [(), (1, 2), [3]], {3: 'a tuple', (1, 2.5): r'widths\[1\]=2\.5'}),
    (
      'ResNet',
      'rate',
      [1, 0.5],
      {'1': 'a finite number', float('nan'): 'finite', None: 'finite', False: 'finite'},
    ),
    ('load', 'path', ['', 'x'], {3: 'it is a text', None: 'a text'}),
    ('load', 'shape', [(1, 2)], {(1, 'x'): 'whole number'}),
    ('load', 'how', ['a', 'b'], {'c': 'one of a, b'}),
    ('load', 'mean', [None, 1, 0.5], {'x': 'it is a finite number or None'}),
    ('load', 'table', [None, 1, {'a': (1, [2.0, 'x'])}], {object: 'it is a number, a text, True'}),
  ],
)
def test_a_value_is_checked_by_annotation_or_type(own, part, key, good, bad):
  check = parts.parameters('data', f'{own}:{part}')[key].check
  for value in good:
    check(f'data.{key}', value)
  for value, words in bad.items():
    with pytest.raises(errors.InputError, match=words) as caught:
      check(f'data.{key}', value)
    assert str(caught.value).startswith(f'data.{key}')


def test_a_flag_has_the_type_of_its_parameter(own):
  for name, kinds in {
    f'{own}:ResNet': dict(depth=int, widths=tuple, rate=float),
    f'{own}:load': dict(path=str, shape=tuple, how=str, mean=object, table=object),
    'optax:lion': dict(b1=float, weight_decay=float, mask=object),
  }.items():
    section = 'optimizer' if name.startswith('optax') else 'data'
    for key, kind in kinds.items():
      assert parts.parameters(section, name)[key].kind is kind, key


def test_the_default_of_a_signature_is_valid_whatever_its_annotation():
  keys = parts.parameters('optimizer', 'optax:adafactor')
  for key, parameter in keys.items():
    parameter.check(key, parameter.default)
  with pytest.raises(errors.InputError, match='finite number'):
    keys['decay_rate'].check('optimizer.decay_rate', 'fast')


PAGE = dict(
  name='mlp', hidden=(), activation='relu', kernel_init='lecun', norm='none', residual=False
)


def test_a_section_is_completed_from_the_page_and_the_signature(own):
  assert parts.complete('encoder', {}, PAGE) == PAGE
  given = dict(name='mlp', hidden=(3,))
  assert parts.complete('encoder', given, PAGE) == PAGE | given
  # The keys of another built-in part are those of an earlier version, or of before a switch.
  assert parts.complete('encoder', given | dict(strides=(2,)), PAGE) == PAGE | given
  mine = parts.complete('encoder', {**PAGE, 'name': f'{own}:ResNet', 'depth': 3}, PAGE)
  assert mine == dict(name=f'{own}:ResNet', depth=3, widths=(16,), rate=0.0)


def test_what_nobody_knows_stays_to_be_refused(own):
  for name in (f'{own}:ResNet', 'mlp'):
    assert parts.complete('encoder', dict(name=name, dept=3), PAGE)['dept'] == 3
  assert 'depth' not in parts.complete('encoder', dict(name=f'{own}:ResNet'), PAGE)
  assert parts.complete('encoder', dict(name='no:where', dept=3), PAGE) == dict(
    name='no:where', dept=3
  )


def test_common_keys_are_in_every_part_and_given_to_who_asks(own):
  page = {key: key for key in parts.SECTIONS['data'].common} | {'name': ''}
  settings = parts.complete('data', dict(name=f'{own}:load', path='p', seed=4), page)
  assert settings['train_split'] == 'train_split'
  assert parts.build('data', settings) == ('p', 4, (2, 2))


def test_a_part_is_built_of_its_keys_and_of_what_it_asks_for(own):
  built = parts.build(
    'encoder', dict(name=f'{own}:ResNet', depth=2, widths=[4, 4], rate=0.0), event=(8, 8), other=1
  )
  assert (built.depth, built.widths, built.event) == (2, (4, 4), (8, 8))
  hash(built)
  rates = []
  optimizer = parts.build(
    'optimizer',
    dict(name='optax:sgd', momentum=None, nesterov=False),
    learning_rate=lambda count: rates.append(count) or 0.5,  # not called to build
  )
  assert not rates
  updates, _ = optimizer.update(jnp.float32(2), optimizer.init(jnp.float32(1)))
  assert updates == -1.0


def test_what_a_part_from_outside_raises_is_one_line(own):
  with pytest.raises(errors.InputError, match=r'refuses\(much=3\) raises KeyError: 3 .*line 26\)'):
    parts.build('prior', dict(name=f'{own}:refuses', much=3))


def test_where_a_part_comes_from(own, tmp_path):
  assert parts.origin('encoder', 'mlp') is None
  file = tmp_path / f'{own}.py'
  sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
  for name in ('ResNet', 'load'):
    assert parts.origin('encoder', f'{own}:{name}') == {
      'import': f'{own}:{name}',
      'file': str(file),
      'sha256': sha256,
    }
  assert parts.origin('optimizer', 'optax:lion')['file'].endswith('alias.py')
