"""Checkpoints come back bit for bit, or not at all."""

import contextlib
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import checkpoint, errors

RECORD = {'seconds': 1.5, 'evaluated': {'test/elbo': [-1.25, None]}}


def state_of(step):
  return {
    'kernel': jnp.arange(12, dtype=jnp.float32).reshape(3, 4) / 7 + step,
    'more': (jnp.asarray([step, -1], jnp.int32), ()),
  }


@pytest.fixture
def manager(tmp_path):
  with contextlib.closing(checkpoint.open_manager(tmp_path / 'checkpoints')) as manager:
    yield manager


def flip_a_bit(directory: pathlib.Path):
  """Flips one bit in the middle of the largest data file of a step."""
  path = max((p for p in directory.rglob('*') if p.is_file()), key=lambda p: p.stat().st_size)
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 1
  path.write_bytes(content)


def test_round_trip_is_bit_equal(manager):
  checkpoint.save(manager, 20, state_of(20), RECORD)
  restored = checkpoint.restore_newest(manager, state_of(0))
  assert restored.step == 20
  assert restored.record == RECORD
  np.testing.assert_array_equal(restored.state['kernel'], state_of(20)['kernel'])
  np.testing.assert_array_equal(restored.state['more'][0], [20, -1])
  assert restored.state['more'][1] == ()


def test_nothing_to_restore_is_none(manager):
  assert checkpoint.restore_newest(manager, state_of(0)) is None


def test_the_newest_two_are_kept(manager):
  for step in (0, 10, 20):
    checkpoint.save(manager, step, state_of(step), RECORD)
  assert sorted(manager.all_steps()) == [10, 20]


@pytest.mark.parametrize('value', [jnp.float32(0.1), jnp.int32(3)])
def test_a_changed_leaf_is_found_by_its_digest(manager, monkeypatch, value):
  """The stored digest is of other bytes: what a flipped bit that still decodes looks like."""
  true_digest = checkpoint._digest
  monkeypatch.setattr(checkpoint, '_digest', lambda leaf: true_digest(leaf + 1))
  checkpoint.save(manager, 10, {'leaf': value}, RECORD)
  monkeypatch.undo()
  with pytest.raises(errors.DamagedError, match='none of the steps'):
    checkpoint.restore_newest(manager, {'leaf': value})


def test_a_damaged_step_falls_back_to_the_good_one(manager, caplog):
  for step in (10, 20):
    checkpoint.save(manager, step, state_of(step), RECORD)
  flip_a_bit(pathlib.Path(manager.directory) / '20' / 'state')
  restored = checkpoint.restore_newest(manager, state_of(0))
  assert restored.step == 10
  np.testing.assert_array_equal(restored.state['kernel'], state_of(10)['kernel'])
  assert 'checkpoint 20' in caplog.text
  checkpoint.forget_after(manager, 10)
  checkpoint.save(manager, 20, state_of(20), RECORD)
  assert checkpoint.restore_newest(manager, state_of(0)).step == 20


def test_all_damaged_is_an_error(manager):
  for step in (10, 20):
    checkpoint.save(manager, step, state_of(step), RECORD)
    flip_a_bit(pathlib.Path(manager.directory) / str(step) / 'state')
  with pytest.raises(errors.DamagedError):
    checkpoint.restore_newest(manager, state_of(0))


@pytest.mark.parametrize(
  'like',
  [
    {'kernel': jnp.zeros((4, 3)), 'more': (jnp.zeros(2, jnp.int32), ())},
    {'kernel': jnp.zeros((3, 4), jnp.int32), 'more': (jnp.zeros(2, jnp.int32), ())},
    {'kernel': jnp.zeros((3, 4)), 'more': (jnp.zeros(2, jnp.int32), jnp.zeros(1))},
    {'kernel': jnp.zeros((3, 4))},
  ],
  ids=['shape', 'dtype', 'one leaf more', 'one leaf less'],
)
def test_another_structure_is_refused(manager, like):
  checkpoint.save(manager, 10, state_of(10), RECORD)
  with pytest.raises(errors.DamagedError):
    checkpoint.restore_newest(manager, like)
