"""Switches of JAX under which nothing runs are named before anything is created."""

import jax
import pytest

from vae_jax import errors, switches
from vae_jax.runs import training

pytestmark = [pytest.mark.run, pytest.mark.usefixtures('no_pictures')]


@pytest.fixture(autouse=True)
def put_back():
  names = ('jax_enable_x64', 'jax_disable_jit', 'jax_numpy_rank_promotion', 'jax_transfer_guard',
           'jax_numpy_dtype_promotion')  # fmt: skip
  before = {name: getattr(jax.config, name) for name in names}
  yield
  for name, value in before.items():
    jax.config.update(name, value)


@pytest.mark.parametrize(
  ('name', 'value', 'words'),
  [
    ('jax_enable_x64', True, 'JAX_ENABLE_X64=True .*set 0'),
    ('jax_disable_jit', True, 'JAX_DISABLE_JIT=True .*set 0'),
    ('jax_numpy_rank_promotion', 'raise', 'JAX_NUMPY_RANK_PROMOTION=raise .*set allow'),
    ('jax_numpy_dtype_promotion', 'strict', 'JAX_NUMPY_DTYPE_PROMOTION=strict .*set standard'),
    ('jax_transfer_guard', 'disallow', 'JAX_TRANSFER_GUARD=disallow .*set allow'),
  ],
)
def test_a_switch_is_named_with_what_to_set(config, tmp_path, name, value, words):
  jax.config.update(name, value)
  with pytest.raises(errors.InputError, match=rf'^{words}$'):
    training.run(config, tmp_path / 'run')
  assert not list(tmp_path.iterdir())


def test_it_is_said_beside_what_is_wrong_with_the_config(config, tmp_path):
  jax.config.update('jax_disable_jit', True)
  config['train']['steps'] = 0
  with pytest.raises(errors.InputError) as caught:
    training.run(config, tmp_path / 'run')
  assert [line.split('=')[0] for line in caught.value.problems] == [
    'train.steps',
    'JAX_DISABLE_JIT',
  ]


def test_nothing_is_said_of_what_changes_nothing():
  jax.config.update('jax_numpy_rank_promotion', 'warn')
  switches.check()
  switches.check_devices()


@pytest.mark.parametrize(
  ('error', 'words'),
  [
    (RuntimeError("Unable to start 'nosuch': why (set JAX_PLATFORMS)"), "'nosuch': why;"),
    (AssertionError(), 'there is no such device;'),
  ],
)
def test_a_platform_that_is_not_here_is_named(config, tmp_path, monkeypatch, error, words):
  def devices():
    raise error

  monkeypatch.setattr(jax, 'devices', devices)
  with pytest.raises(errors.InputError, match=rf'^JAX_PLATFORMS=.*: .*{words} unset it, or name'):
    training.run(config, tmp_path / 'run')
  assert not list(tmp_path.iterdir())
