"""Switches of JAX, from its environment variables or its config, under which nothing here runs."""

import contextlib
import os
from typing import Any

import jax

from vae_jax import errors

_NEEDED = {
  'jax_enable_x64': (False,),  # what is computed, drawn and stored is of 32 bits
  'jax_disable_jit': (False,),  # lanes are laid over devices inside one compiled program
  'jax_numpy_rank_promotion': ('allow', 'warn'),
  'jax_numpy_dtype_promotion': ('standard',),
  'jax_transfer_guard': (None, 'allow', 'log'),
  'jax_transfer_guard_host_to_device': (None, 'allow', 'log'),
  'jax_transfer_guard_device_to_device': (None, 'allow', 'log'),
  'jax_transfer_guard_device_to_host': (None, 'allow', 'log'),
}


def check() -> None:
  """Checks the switches that this JAX has.

  Raises:
    InputError: those under which the program, or a library below it, cannot run.
  """
  wrong = {}
  for name, valid in _NEEDED.items():
    value = getattr(jax.config, name, valid[0])
    # The guard of all transfers sets those of its three directions.
    is_said = name.startswith('jax_transfer_guard') and 'jax_transfer_guard' in wrong
    if value not in valid and not is_said:
      wrong[name] = value
  if wrong:
    raise errors.InputError(*(_problem(name, value) for name, value in wrong.items()))


def _problem(name: str, value: Any) -> str:
  needed = next(value for value in _NEEDED[name] if value is not None)
  return (
    f'{name.upper()}={value} is a switch of JAX under which vae_jax cannot run; unset it, or set '
    f'{0 if needed is False else needed}'
  )


def use_cores() -> None:
  """Makes each core a device, so that lanes lie side by side; a number that is set already wins.

  Where JAX has its devices already, they stay as they are.
  """
  flag = '--xla_force_host_platform_device_count'
  if jax.config.jax_num_cpu_devices >= 0 or flag in os.environ.get('XLA_FLAGS', ''):
    return
  with contextlib.suppress(RuntimeError):
    jax.config.update('jax_num_cpu_devices', len(cores()))


def cores() -> set[int]:
  """Returns the cores that this process may use."""
  may_use = getattr(os, 'sched_getaffinity', lambda _: range(os.cpu_count()))  # of Linux
  return set(may_use(0))


def check_devices() -> None:
  """Checks whether there is a device; it starts the platform that was asked for.

  Raises:
    InputError: there is no such platform here.
  """
  try:
    jax.devices()
  except (RuntimeError, AssertionError) as error:  # JAX has no class for it, and of CUDA no word
    reason = str(error).split(' (')[0] or 'there is no such device'
    raise errors.InputError(
      f'JAX_PLATFORMS={jax.config.jax_platforms}: {reason}; unset it, or name one that is here, '
      'such as cpu'
    ) from error
