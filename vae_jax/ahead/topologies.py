"""Devices that this machine does not have, by name: compilers know them all the same."""

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
from jax.experimental import topologies

from vae_jax import errors
from vae_jax.ahead.kinds import KINDS, Kind

_EXAMPLES = 'v5e:2x4, v6e:2x4, v4:2x2x1, v5p:2x2x2, h100:8 and cpu:8'
# libtpu asks the network which TPU it is on, and for the other hosts of its slice, unless it is
# told; and it serves one process of a host alone, which a compiler need not be.
_WITHOUT_TPU = {
  'TPU_SKIP_MDS_QUERY': '1',
  'TPU_WORKER_HOSTNAMES': 'localhost',
  'ALLOW_MULTIPLE_LIBTPU_LOAD': 'true',
}
# What XLA reads of a GPU that is not there: NVIDIA's tuning guide and white paper of the H100, and
# the limits of compute capability 9.0 in the CUDA C++ programming guide.
_H100 = """
device_description_str: "NVIDIA H100 80GB HBM3"
platform_name: "CUDA"
gpu_device_info {
  cuda_compute_capability { major: 9 }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  device_memory_size: 84942979072
  memory_bandwidth: 3352320000000
  l2_cache_size: 52428800
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  thread_dim_limit_x: 1024
  thread_dim_limit_y: 1024
  thread_dim_limit_z: 64
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  shared_memory_per_core: 233472
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  runtime_version: "12.8.0"
  driver_version: "12.8.0"
  dnn_version: "9.8.0"
}
runtime_version { major: 12 minor: 8 }
dnn_version_info { major: 9 minor: 8 }
"""


class Topology(NamedTuple):
  """Devices to compile for.

  Attributes:
    name: as it was asked for.
    devices: of JAX; those of a CPU are this machine's, the others compile and cannot compute.
    kind: of each; None of a CPU, whose memory and speed are this machine's.
  """

  name: str
  devices: Sequence[jax.Device]
  kind: Kind | None


def topology(name: str) -> Topology:
  """Returns the devices that a name stands for.

  Args:
    name: the kind of a TPU and the shape of its slice, or 'h100' or 'cpu' and a number of devices.

  Raises:
    InputError: there is no such topology, or the package that compiles for it is missing.
  """
  kind, _, shape = name.partition(':')
  if kind not in (*KINDS, 'cpu'):
    near = errors.nearest(kind, (*KINDS, 'cpu'))
    raise errors.InputError(f'topology={name}: there are {_EXAMPLES} and the like{near}')
  wanted = r'\d+(x\d+)+' if kind in KINDS and KINDS[kind].platform == 'tpu' else r'\d+'
  if not re.fullmatch(wanted, shape) or '0' in shape.split('x'):
    raise errors.InputError(
      f'topology={name}: {shape!r} is no shape of {kind}; set it as in {_EXAMPLES}'
    )
  if kind == 'cpu':
    return Topology(name, _cores(int(shape)), None)
  find = _tpus if KINDS[kind].platform == 'tpu' else _gpus
  return Topology(name, find(name, shape), KINDS[kind])


def prepare(name: str) -> None:
  """Keeps JAX on the CPU, with as many devices as a name such as cpu:8 asks for.

  To be called before JAX has its devices: a plan needs none, and libtpu would look for one.
  """
  os.environ.update(_WITHOUT_TPU)
  jax.config.update('jax_platforms', 'cpu')
  kind, _, shape = name.partition(':')
  if kind == 'cpu' and shape.isdigit():
    jax.config.update('jax_num_cpu_devices', int(shape))


def _cores(count: int) -> Sequence[jax.Device]:
  cores = jax.devices('cpu')
  if len(cores) < count:
    raise errors.InputError(
      f'topology=cpu:{count}: JAX has {len(cores)} devices; set JAX_NUM_CPU_DEVICES={count}'
    )
  return cores[:count]


def _tpus(name: str, shape: str) -> Sequence[jax.Device]:
  del shape
  os.environ.update(_WITHOUT_TPU)
  with _named(name, 'plan-tpu', 'libtpu'):
    return topologies.get_topology_desc(name, 'tpu').devices


def _gpus(name: str, shape: str) -> Sequence[jax.Device]:
  with _named(name, 'plan-cuda', 'jax-cuda12-plugin'):
    shape = f'1x1x{shape}'
    described = dict(topology=shape, target_config=_H100)
    return topologies.get_topology_desc(name, 'cuda', **described).devices


@contextlib.contextmanager
def _named(name: str, extra: str, package: str) -> Iterator[None]:
  """Turns what JAX raises into a line that names the topology, and what is missing."""
  try:
    yield
  except (RuntimeError, NotImplementedError) as error:  # JaxRuntimeError is one
    if isinstance(error, jax.errors.JaxRuntimeError):
      raise errors.InputError(f'topology={name}: {error}; set it as in {_EXAMPLES}') from error
    raise errors.InputError(
      f"topology={name} needs {package}; pip install 'vae_jax[{extra}]'"
    ) from error
