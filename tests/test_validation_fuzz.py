"""Configs with anything in them: each is accepted or an InputError, never another exception."""

import copy
import datetime
import fractions
import json
import pathlib
import random

import jax.numpy as jnp
import numpy as np
import pytest
from conftest import small_config

from vae_jax import config as settings
from vae_jax import errors, lanes, study, validation
from vae_jax.runs import workdir
from vae_jax.study import points

pytestmark = pytest.mark.math

DEEP = []
for _ in range(5000):
  DEEP = [DEEP]
CIRCLE = []
CIRCLE.append(CIRCLE)


class Unruly:
  """Cannot be printed, compared, hashed, counted or asked whether it is true."""

  def __eq__(self, other):
    raise RuntimeError('eq')

  __repr__ = __str__ = __len__ = __bool__ = __hash__ = __float__ = __iter__ = __eq__


def odd_values() -> list:
  """What nobody should write, and some that are right here or there."""
  return [
    None, True, False, 0, 1, -1, 2, 7, 2**31, 2**32, 2**63, 2**64, 2**70, -(2**70), 10**399,
    -(10**399), 10**5000, 0.0, -0.0, 0.5, 1e-40, 1e39, 1e308, 5e-324, float('nan'), float('inf'),
    -float('inf'), 1j, fractions.Fraction(1, 3), '', ' ', 'elbo', 'conv', 'flow', 'two_layer',
    'a' * 1_000_000, 'ü', '\ud800', 'a\nb', '\0', '../..', b'bytes', bytearray(3), (), [], {},
    set(), {1}, frozenset(), {'a': 1}, {1: {2: 3}}, {'name': 'mlp'}, (1,), (1, 2), (0,), (-1,),
    (2**70,), (10**399,), (1.5, 'x'), (None,), ((1,),), ((1.0, 2, 0, 1e-3),), ((1.0, 2),),
    (('a', 'b', 'c', 'd'),), ('linear', 'cosine'), [1] * 3000, tuple(range(1000)), range(3),
    DEEP, (DEEP,), CIRCLE, Unruly(), (Unruly(),), object(), print, int, Unruly, lambda: 0,
    iter([1]), slice(1), NotImplemented, ..., datetime.date(2026, 1, 1), pathlib.Path('x'),
    np.int64(3), np.float32(0.5), np.float64('nan'), np.bool_(True), np.str_('relu'),
    np.array(3), np.array([1, 2]), np.array([0.5]), np.array([]), np.zeros((0, 4)),
    np.array([[1.0, 2.0, 0.0, 1e-3]]), np.array(['a']), np.array([None, {}], object),
    np.array('2026-01-01', 'datetime64[D]'), np.zeros(3, [('a', int)]), np.ones((2, 2, 2)),
    np.array([1], '>i2'), np.float16(0.1), np.longdouble(2), np.complex64(1), np.void(b'x'),
    np.ma.masked, jnp.ones(2), jnp.float32(1),
  ]  # fmt: skip


def mutant(rng: random.Random) -> dict:
  """The small study with one to three things in it changed, removed, added or moved."""
  config = {key: dict(of) if isinstance(of, dict) else of for key, of in BASE.items()}
  for _ in range(rng.choice((1, 1, 2, 3))):
    key = rng.choice(KEYS)
    section, _, name = key.rpartition('.')
    target = config.get(section) if section else config
    target = target if isinstance(target, dict) else config
    value = rng.choice(ODD)
    kind = rng.random()
    if kind < 0.75:
      target[name] = value
    elif kind < 0.8:
      target.pop(name, None)
    elif kind < 0.85:
      config[section or name] = value
    elif kind < 0.9:
      target[rng.choice(('', 'lanes.beta', 'x.y.z', 'é' * 300, 3, None, (1, 2), 1.5))] = value
    elif section == 'lanes' and name != 'combine':
      target[name] = tuple(rng.choice(ODD) for _ in range(rng.randrange(4)))
    else:
      target[name] = (value, value)
  return config


BASE = small_config()
KEYS = validation.keys.every()
ODD = odd_values()


def test_every_mutant_is_accepted_or_refused_in_short_lines():
  rng = random.Random(0)
  accepted = 0
  for _ in range(2000):
    given = mutant(rng)
    try:
      completed = settings.complete(given)
      validation.check(completed)
      grid = points.points_of(completed)
    except errors.InputError as error:
      assert error.problems
      for line in error.problems:
        assert line == line.strip()
        assert len(line) < 600
        assert len(line.splitlines()) == 1
    else:
      accepted += 1
      assert len(grid) <= lanes.MAX_LANES
      assert workdir.plain(json.loads(json.dumps(completed))) == workdir.plain(completed)
  assert 50 < accepted < 1000


@pytest.mark.parametrize('name', ['npz', 'csv', None])
@pytest.mark.parametrize('value', [v for v in ODD if isinstance(v, str)], ids=lambda v: v[:10])
def test_any_text_as_a_data_set_or_its_path_is_refused_in_short_lines(name, value):
  given = copy.deepcopy(BASE)
  given['data'] |= dict(name=name, path=value) if name else dict(name=value)
  with pytest.raises(errors.InputError) as caught:
    study.from_config(given)
  assert max(map(len, caught.value.problems)) < 600


def test_any_value_is_shown_in_one_short_line():
  for text in map(errors.shown, ODD):
    assert len(text) <= 60
    assert len(text.splitlines()) <= 1


def test_a_value_that_is_short_is_shown_as_it_is():
  for value in (0.1, 'relu', (1, 2.5), None, ((1.0, 2, 0, 0.001),), {'a': [1]}):
    assert errors.shown(value) == repr(value)
  assert errors.shown('a' * 1_000_000) == "'" + 'a' * 27 + '...' + 'a' * 28 + "'"
