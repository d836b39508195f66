"""Launches as tasks of a Ray cluster, each a process on one of its nodes.

Ray places them and tells when a node is lost; a launch that was on it goes on from its checkpoint
on another one. Every node sees the workdir, and has this package.
"""

import contextlib
import logging
import os
import pathlib
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

from vae_jax import errors, launches
from vae_jax.launches import Study
from vae_jax.sweeps.local import command

_MANY = 1000  # tasks that may wait: which of them run, Ray decides by their resources
_POLL_SECONDS = 0.1
_LOST = -signal.SIGKILL  # the exit code of a launch whose node or worker is gone


@contextlib.contextmanager
def cluster(directory: pathlib.Path, study: Study, slots: int) -> Iterator['Cluster']:
  """Connects with the cluster of RAY_ADDRESS, or with one of this machine alone, for the block.

  Args:
    directory: of the study.
    study: its launches have one `resources`.
    slots: how many launches may run at a time; 0 for as many as there is room for.

  Raises:
    InputError: Ray is not installed, cannot be reached, or no node has what a launch asks for.
  """
  try:
    import ray
    from ray import init  # a directory named ray, which may lie in the current one, has none
  except ImportError as error:
    raise errors.InputError(
      "--executor=ray: Ray is not installed; pip install 'vae_jax[ray]', or give --executor=local"
    ) from error
  try:
    init(log_to_driver=False, logging_level='ERROR')
  except (ConnectionError, ValueError) as error:
    raise errors.InputError(f'--executor=ray: {error}') from error
  try:
    asked = study.launches[0].config['resources']
    _check_room(ray.nodes(), asked)
    yield Cluster(ray, directory, asked, slots or _MANY)
  finally:
    ray.shutdown()


def _check_room(nodes: list[Mapping[str, Any]], asked: Mapping[str, Any]) -> None:
  """Refuses what no node has: Ray would wait for it for ever. Says where GPUs would have no use."""
  wanted = {
    'CPU': asked['cpus'],
    'GPU': asked['gpus'],
    'memory': asked['memory_gib'] * 2**30,
  }
  keys = {'CPU': 'cpus', 'GPU': 'gpus', 'memory': 'memory_gib'}
  alive = [node['Resources'] for node in nodes if node['Alive']]
  problems = errors.Problems()
  for name, number in wanted.items():
    most = max((node.get(name, 0) for node in alive), default=0)
    if number > most:
      unit = 2**30 if name == 'memory' else 1
      problems.add(
        [
          f'resources.{keys[name]}={number / unit:g}: no node of the Ray cluster has more than '
          f'{most / unit:g}; the nearest valid value is {most / unit:g}'
        ]
      )
  problems.refuse()
  if not asked['gpus'] and any(node.get('GPU') for node in alive):
    logging.warning(
      'resources.gpus=0: launches train on cores, though the cluster has GPUs; 1 is one for each'
    )


class Cluster:
  """The nodes of a Ray cluster."""

  def __init__(self, ray: Any, directory: pathlib.Path, asked: Mapping[str, Any], slots: int):
    self.slots = slots
    self._ray, self._directory = ray, directory
    self._environment = _environment(asked)
    options = {
      'num_cpus': _cores(asked),
      'num_gpus': asked['gpus'],
      'memory': int(asked['memory_gib'] * 2**30) or None,
      'max_retries': 0,  # see `supervise`
    }
    self._launch = ray.remote(**options)(_launch)

  def submit(self, index: int, name: str) -> '_Task':
    """Hands a launch to Ray."""
    launches.open_log(self._directory, name).close()  # or it cannot be written: said here, at once
    line = command(self._directory, index, '--log', '--with_parent')
    return _Task(self._ray, self._launch.remote(line, self._environment))


def _cores(asked: Mapping[str, Any]) -> int:
  """Returns how many cores Ray sets aside for a launch."""
  return asked['cpus'] or 1


def _environment(asked: Mapping[str, Any]) -> dict[str, str]:
  """Returns what a launch sees beside the variables of its node: those of this process, its share.

  Ray says in CUDA_VISIBLE_DEVICES which GPUs are a task's; that of one which asked for none it
  leaves as it is, and such a task would take all of its node's. Of the cores it only keeps count.
  """
  prefixes = ('VAE_JAX_', 'JAX_', 'XLA_', 'WANDB_', 'TFDS_', 'PYTHON')
  share = {'JAX_NUM_CPU_DEVICES': str(_cores(asked))}
  if not asked['gpus']:
    share['CUDA_VISIBLE_DEVICES'] = ''
  return share | {name: text for name, text in os.environ.items() if name.startswith(prefixes)}


def _launch(line: list[str], environment: dict[str, str]) -> int:
  """Runs on a node: the launch as a process of its own, which ends with this worker."""
  process = subprocess.Popen(
    line, stdin=subprocess.PIPE, env=os.environ | environment, start_new_session=True
  )
  try:
    while process.poll() is None:
      time.sleep(_POLL_SECONDS)  # Ray cancels by an exception, which no process.wait() sees
    return process.returncode
  except BaseException:  # cancelled
    process.terminate()
    process.wait()
    raise


class _Task:
  """A launch that Ray has."""

  def __init__(self, ray: Any, reference: Any):
    self._ray, self._reference = ray, reference
    self._code: int | None = None
    self._asked = False

  def exit_code(self) -> int | None:
    if self._code is None:
      done, _ = self._ray.wait([self._reference], timeout=0)
      if done:
        self._code = self._result()
    return self._code

  def _result(self) -> int:
    try:
      return self._ray.get(self._reference)
    except self._ray.exceptions.TaskCancelledError:
      return 128 + signal.SIGTERM
    except self._ray.exceptions.RayError:  # the worker or its node is gone
      return 128 + signal.SIGTERM if self._asked else _LOST

  def cancel(self) -> None:
    self._asked = True
    self._ray.cancel(self._reference)
