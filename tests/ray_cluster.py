"""A Ray of two nodes on the loopback: what the tests of --executor=ray hand launches to.

  with ray_cluster.running() as cluster:
    subprocess.Popen([sys.executable, '-m', 'launch.sweep', ...], env=cluster.environment)
    cluster.kill(0)

A node has one core if nothing else is said. What leads the cluster is a node of its own, which has
none.
"""

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from typing import Any, NamedTuple

NODES = 2


class Running(NamedTuple):
  """A cluster that runs.

  Attributes:
    environment: in which ray.init() finds it.
    cluster: of `ray.cluster_utils`.
    nodes: of it.
  """

  environment: dict[str, str]
  cluster: Any
  nodes: list[Any]

  def kill(self, index: int) -> None:
    """Ends a node as a power cut would: nobody is told, its tasks are lost."""
    self.cluster.remove_node(self.nodes[index], allow_graceful=False)


def why_not() -> str:
  """Returns why no Ray can be started here, '' where one can."""
  return '' if importlib.util.find_spec('ray') else 'Ray is not installed'


@contextlib.contextmanager
def running(cpus: int = 1, gpus: int = 0) -> Iterator[Running]:
  """Runs a Ray for the block, whose nodes say that they have so many cores and GPUs."""
  os.environ['RAY_USAGE_STATS_ENABLED'] = '0'  # it would tell its makers
  from ray.cluster_utils import Cluster

  cluster = Cluster(initialize_head=True, head_node_args=dict(num_cpus=0, include_dashboard=False))
  try:
    nodes = [cluster.add_node(num_cpus=cpus, num_gpus=gpus) for _ in range(NODES)]
    yield Running(os.environ | {'RAY_ADDRESS': cluster.address}, cluster, nodes)
  finally:
    cluster.shutdown()
