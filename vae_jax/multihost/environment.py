"""What the launcher of several processes says in the environment: --processes=auto.

  srun, one task a process        SLURM_STEP_NUM_TASKS, SLURM_PROCID, first of SLURM_STEP_NODELIST
  the workers of a TPU slice      TPU_WORKER_HOSTNAMES, TPU_WORKER_ID (GKE), or the metadata server
  mpirun, of OpenMPI or MPICH     OMPI_COMM_WORLD_SIZE, ..._RANK, or PMI_SIZE, PMI_RANK

Where the launcher does not name process 0's host, --coordinator does.
"""

import os
import re
import urllib.request
from collections.abc import Mapping
from typing import NamedTuple

from vae_jax import errors

_PORTS = 20_000, 12_000  # the first and how many: below 32,768, from where Linux hands out its own
_PORT = 12_321  # of a TPU slice, which one job has for itself
_METADATA_SECONDS = 2.0
_MPI = (('OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_RANK'), ('PMI_SIZE', 'PMI_RANK'))


class Found(NamedTuple):
  """One process among several.

  Attributes:
    launcher: what started them.
    coordinator: HOST:PORT of process 0; '' where the launcher does not say.
    count, index: how many there are, and which this is.
  """

  launcher: str
  coordinator: str
  count: int
  index: int


def found(environment: Mapping[str, str] | None = None) -> Found:
  """Returns what the environment says of this process.

  Args:
    environment: that of this process by default.

  Raises:
    InputError: there is no launcher, or it says something that cannot be.
  """
  environment = os.environ if environment is None else environment
  for ask in (_slurm, _mpi, _tpu):
    if (here := ask(environment)) is not None:
      return _checked(here)
  raise errors.InputError(
    '--processes=auto: neither Slurm (srun), nor MPI, nor a TPU slice has started this process; '
    'give --coordinator, --processes and --process'
  )


def _checked(here: Found) -> Found:
  if not 0 <= here.index < here.count:
    raise errors.InputError(
      f'--processes=auto: {here.launcher} says process {here.index} of {here.count}; '
      'give --coordinator, --processes and --process'
    )
  return here


def _slurm(environment: Mapping[str, str]) -> Found | None:
  # In the batch script itself, outside of srun, there is one process whatever was asked for.
  if 'SLURM_STEP_ID' not in environment:
    return None
  count, index = _numbers(environment, 'SLURM_STEP_NUM_TASKS', 'SLURM_PROCID')
  (job,) = _numbers(environment, 'SLURM_JOB_ID')
  first, size = _PORTS
  host = first_host(environment.get('SLURM_STEP_NODELIST', ''))
  return Found('Slurm', f'{host}:{first + job % size}', count, index)


def first_host(nodes: str) -> str:
  """Returns the first of the hosts of a Slurm list: 'gpu[08-11,17],cpu1' is gpu08 first.

  Raises:
    InputError: it is none.
  """
  match = re.match(r'([^,\[\]]+)(?:\[(\w+)[^\]]*\]([^,\[]*))?', nodes)
  if match is None:
    raise errors.InputError(
      f'--processes=auto: SLURM_STEP_NODELIST={errors.shown(nodes)} names no host; give '
      '--coordinator, --processes and --process'
    )
  return ''.join(part or '' for part in match.groups())


def _mpi(environment: Mapping[str, str]) -> Found | None:
  for names in _MPI:
    if names[0] in environment:
      return Found('MPI', '', *_numbers(environment, *names))
  return None


def _tpu(environment: Mapping[str, str]) -> Found | None:
  if 'TPU_WORKER_HOSTNAMES' in environment and 'TPU_WORKER_ID' in environment:
    hosts = [host.strip() for host in environment['TPU_WORKER_HOSTNAMES'].split(',')]
    (index,) = _numbers(environment, 'TPU_WORKER_ID')
    return Found('the TPU slice', f'{hosts[0]}:{_PORT}', len(hosts), index)
  # On a Cloud TPU VM every worker is told by the server of its host's metadata.
  index = _metadata(environment, 'agent-worker-number')
  hosts = _metadata(environment, 'worker-network-endpoints')
  if index is None or hosts is None:
    return None
  addresses = [host.split(':')[2] for host in hosts.split(',')]
  return Found('the TPU slice', f'{addresses[0]}:{_PORT}', len(addresses), int(index))


def _metadata(environment: Mapping[str, str], attribute: str) -> str | None:
  host = environment.get('GCE_METADATA_HOST', 'metadata.google.internal')
  url = f'http://{host}/computeMetadata/v1/instance/attributes/{attribute}'
  request = urllib.request.Request(url, headers={'Metadata-Flavor': 'Google'})
  try:
    with urllib.request.urlopen(request, timeout=_METADATA_SECONDS) as answer:
      return answer.read().decode()
  except (OSError, ValueError):
    return None


def _numbers(environment: Mapping[str, str], *names: str) -> list[int]:
  for name in names:
    if not environment.get(name, '').isdecimal():
      raise errors.InputError(
        f'--processes=auto: {name}={errors.shown(environment.get(name))} is no number; give '
        '--coordinator, --processes and --process'
      )
  return [int(environment[name]) for name in names]
