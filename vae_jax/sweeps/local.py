"""Launches as processes of this machine."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vae_jax import errors, launches, switches

# Asked of a process of its own: whoever starts JAX on an accelerator holds it.
_ASK = 'import jax; d = jax.local_devices(); print(d[0].platform, len(d))'
_ASK_SECONDS = 120.0


class Devices(NamedTuple):
  """What this machine has: 'cpu', 'gpu' or 'tpu', and how many; of a CPU its cores."""

  platform: str
  count: int


def devices() -> Devices:
  """Returns the devices of this machine, which this process does not start.

  Raises:
    InputError: there is no such platform here as the environment asks for.
  """
  found = subprocess.run(
    [sys.executable, '-c', _ASK], capture_output=True, text=True, timeout=_ASK_SECONDS
  )
  if found.returncode:
    lines = found.stderr.strip().splitlines() or ['no reason']
    raise errors.InputError(f'JAX finds no devices: {lines[-1]}')
  platform, count = found.stdout.split()[-2:]
  return Devices(platform, len(switches.cores()) if platform == 'cpu' else int(count))


def slots(asked: int, lanes: Sequence[int], here: Devices) -> int:
  """Returns how many launches run side by side.

  Lanes lie over the devices first: while a launch has as many of them as there are devices, one at
  a time has them all.

  Args:
    asked: --slots; 0 for what is best.
    lanes: of each launch.
    here: the devices.

  Raises:
    InputError: a slot would have no device.
  """
  most = 1 if here.platform == 'tpu' else here.count
  if asked > most:
    raise errors.InputError(
      f'--slots={asked}: there are {here.count} devices ({here.platform}); the nearest valid '
      f'value is {most}'
    )
  if asked:
    return asked
  return max(1, min(most // max(1, *lanes), len(lanes)))


class Local:
  """Processes of this machine, each with its share of the devices.

  A launch stops, with its state saved, when this process ends, however that ends.
  """

  def __init__(self, directory: pathlib.Path, slots: int, here: Devices):
    self.slots = slots
    self._directory, self._here = directory, here
    self._jobs: list[_Process | None] = [None] * slots

  def submit(self, index: int, name: str) -> '_Process':
    """Starts a launch on the devices of the first slot that is free."""
    slot = next(i for i, job in enumerate(self._jobs) if not job or job.exit_code() is not None)
    with launches.open_log(self._directory, name) as log:
      process = subprocess.Popen(
        command(self._directory, index, '--with_parent'),
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        env=os.environ | self._environment(slot),
        start_new_session=True,  # Ctrl-C of a terminal comes to this process, which passes it on
      )
    if self._here.platform == 'cpu' and self.slots > 1 and hasattr(os, 'sched_setaffinity'):
      os.sched_setaffinity(process.pid, _share(sorted(switches.cores()), slot, self.slots))
    self._jobs[slot] = _Process(process)
    return self._jobs[slot]

  def _environment(self, slot: int) -> Mapping[str, str]:
    """Returns by which variables a process sees the devices of a slot alone."""
    if self.slots == 1 or self._here.platform != 'gpu':
      return {}
    visible = os.environ.get('CUDA_VISIBLE_DEVICES') or ','.join(map(str, range(self._here.count)))
    return {'CUDA_VISIBLE_DEVICES': ','.join(_share(visible.split(','), slot, self.slots))}


class _Process:
  """A launch in a process of its own."""

  def __init__(self, process: subprocess.Popen):
    self._process = process

  def exit_code(self) -> int | None:
    code = self._process.poll()
    if code is not None:
      self._process.stdin.close()
    return code

  def cancel(self) -> None:
    self._process.terminate()


def command(directory: pathlib.Path, index: int, *flags: str) -> list[str]:
  """Returns the command line that runs one launch."""
  own = [f'--study={directory}', f'--index={index}', *flags]
  return [sys.executable, '-m', 'vae_jax.commands', 'run', *own]


def _share(items: Sequence, slot: int, slots: int) -> Sequence:
  """Returns the part of a sequence that is a slot's."""
  return items[slot * len(items) // slots : (slot + 1) * len(items) // slots]
