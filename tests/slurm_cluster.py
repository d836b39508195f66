"""A Slurm of two nodes on the loopback: what the tests of --executor=slurm submit to.

  with slurm_cluster.running(tmp_path) as environment:
    subprocess.run(['sbatch', '--parsable', 'job.sh'], env=environment)

The daemons are those of the PATH, or of Debian packages unpacked below SLURM_PREFIX; see
CONTRIBUTING.md. They run as the user who tests, on free ports, and speak without authentication.
A node has CORES, the same of this machine as the other one; a step runs on those that it asks for.
A job of the partition `urgent` takes a node from one of `normal`, which is queued again.
"""

import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping

NODES = ('node1', 'node2')
CORES = min(2, len(os.sched_getaffinity(0)))
GRACE_SECONDS = 20  # between the signal of a preemption and the kill
_START_SECONDS, _STOP_SECONDS = 30.0, 60.0
_LIBRARIES = 'usr/lib/x86_64-linux-gnu', 'lib/x86_64-linux-gnu'


def why_not() -> str:
  """Returns why no Slurm can be started here, '' where one can."""
  missing = [name for name in ('slurmctld', 'slurmd', 'sbatch') if not _program(name)]
  return f'no {missing[0]} on the PATH or below SLURM_PREFIX' if missing else ''


@contextlib.contextmanager
def running(directory: pathlib.Path) -> Iterator[dict[str, str]]:
  """Runs a Slurm for the block, and yields the environment in which its commands find it.

  Args:
    directory: an empty one, for its configuration, its state and its logs.

  Raises:
    TimeoutError: it does not come up; the logs say why.
  """
  for name in ('state', *NODES):
    (directory / name).mkdir(parents=True)
  environment = os.environ | _paths() | {'SLURM_CONF': f'{directory}/slurm.conf'}
  (directory / 'slurm.conf').write_text(_configuration(directory))
  (directory / 'cgroup.conf').touch()  # or that of the machine is read
  daemons = [subprocess.Popen([_program('slurmctld'), '-D', '-i'], env=environment, **_QUIET)]
  try:
    # Beside a name of its own, a node needs the slurmstepd of its version.
    steps = ['-d', _program('slurmstepd')]
    for node in NODES:
      line = [_program('slurmd'), '-D', '-N', node, *steps]
      daemons.append(subprocess.Popen(line, env=environment, **_QUIET))
    _wait(lambda: _said(environment, 'sinfo', '-hN', '-o%T') == {'idle'}, _START_SECONDS, directory)
    yield environment
  finally:
    _stop(daemons, environment, directory)


_QUIET = dict(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _configuration(directory: pathlib.Path) -> str:
  user, host = pwd.getpwuid(os.getuid()).pw_name, socket.gethostname()
  controller, *ports = _free_ports(1 + len(NODES))
  nodes = '\n'.join(
    f'NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CoresPerSocket={CORES}'
    ' RealMemory=4096'
    for node, port in zip(NODES, ports, strict=True)
  )
  prefix = os.environ.get('SLURM_PREFIX')
  plugins = f'PluginDir={prefix}/{_LIBRARIES[0]}/slurm-wlm' if prefix else ''
  return f"""
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser={user}
SlurmdUser={user}
{plugins}
AuthType=auth/none
CredType=cred/none
# What is queued again waits for as long as a credential is valid, two minutes if nothing is said.
AuthInfo=cred_expire=5
StateSaveLocation={directory}/state
SlurmdSpoolDir={directory}/%n
SlurmctldPidFile={directory}/slurmctld.pid
SlurmdPidFile={directory}/%n.pid
SlurmctldLogFile={directory}/slurmctld.log
SlurmdLogFile={directory}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
TaskPluginParam=cores
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=10
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
SchedulerParameters=bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0
{nodes}
PartitionName=normal Nodes=ALL Default=YES PriorityTier=1 GraceTime={GRACE_SECONDS}
PartitionName=urgent Nodes=ALL PriorityTier=2 PreemptMode=OFF
"""


def _paths() -> Mapping[str, str]:
  """Returns where programs and libraries lie that are unpacked and not installed."""
  prefix = os.environ.get('SLURM_PREFIX')
  if not prefix:
    return {}
  libraries = [f'{prefix}/{path}' for path in _LIBRARIES]
  return {
    'PATH': f'{prefix}/usr/bin:{os.environ["PATH"]}',
    'LD_LIBRARY_PATH': ':'.join([*libraries, f'{libraries[0]}/slurm-wlm']),
  }


def _program(name: str) -> str | None:
  """Returns the path of a program; only what is installed has lost Debian's suffix."""
  prefix = os.environ.get('SLURM_PREFIX')
  path = f'{prefix}/usr/bin:{prefix}/usr/sbin' if prefix else f'{os.environ["PATH"]}:/usr/sbin'
  return shutil.which(name, path=path) or shutil.which(f'{name}-wlm', path=path)


def _free_ports(number: int) -> list[int]:
  with contextlib.ExitStack() as stack:
    sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
    for each in sockets:
      each.bind(('127.0.0.1', 0))
    return [each.getsockname()[1] for each in sockets]


def _said(environment: Mapping[str, str], *line: str) -> set[str]:
  answer = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=30)
  return set(answer.stdout.split('\n')) - {''} if not answer.returncode else {answer.stderr}


def _wait(condition, seconds: float, directory: pathlib.Path) -> None:
  deadline = time.monotonic() + seconds
  while not condition():
    if time.monotonic() > deadline:
      raise TimeoutError(f'see the logs in {directory}')
    time.sleep(0.1)


def _stop(daemons, environment: Mapping[str, str], directory: pathlib.Path) -> None:
  """Ends all jobs, then the nodes, then what controls them."""

  def none_is_left() -> bool:
    _said(environment, 'scancel', '--user', str(os.getuid()))
    return not _said(environment, 'squeue', '-h', '-o%i')

  try:
    for partition in ('normal', 'urgent'):  # or a job that is queued again would start again
      _said(environment, 'scontrol', 'update', f'partitionname={partition}', 'state=down')
    _wait(none_is_left, _STOP_SECONDS, directory)
  finally:
    for daemon in reversed(daemons):
      daemon.terminate()
    for daemon in daemons:
      try:
        daemon.wait(10)
      except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
