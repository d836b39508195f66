"""The programs of a study through the compiler of a topology, and what is read of them."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import jax

from vae_jax import placement, study
from vae_jax.ahead.parts import Part, parts_of
from vae_jax.ahead.topologies import Topology, topology

_COLLECTIVES = (
  'all-gather|all-reduce|all-to-all|collective-broadcast|collective-permute|reduce-scatter'
)


class Compiled(NamedTuple):
  """What a compiler says of one program, of one device.

  None stands for what it does not say: a program that it refuses for its size has no bytes, and the
  compilers of GPUs count no operations.

  Attributes:
    program: 'init', 'training', 'evaluation' or 'NLL'.
    width: lanes of the program.
    lanes: of them on one device.
    arguments, outputs, temporaries, aliases: bytes; the last are of outputs that take the place of
      arguments.
    padding: the arguments as the compiler lays them out, over what they hold, less 1; None of
      'init', which reads a few of its arguments alone.
    operations: of one pass through the loops as the mathematics has them, see `parts.Part`: exact,
      of matrix products and convolutions alone.
    flops: of the same as compiled, elementwise work and padding included.
    traffic: bytes of memory that the same reads and writes, as the compiler counts: an array of
      which a few rows are gathered counts whole.
    collectives: how often each kind stands in the program; none where lanes alone are spread.
    memory: bytes that a program may take.
    seconds: that one pass takes by these counts, were the device never idle: the larger of
      operations over its peak and traffic over its bandwidth; of a GPU the first alone.
  """

  program: str
  width: int
  lanes: int
  arguments: int | None
  outputs: int | None
  temporaries: int | None
  aliases: int | None
  padding: float | None
  operations: float
  flops: float | None
  traffic: float | None
  collectives: Mapping[str, int]
  memory: float
  seconds: float | None

  @property
  def bytes(self) -> int | None:
    """What the program takes while it runs, its own arguments included."""
    if self.arguments is None:
      return None
    return self.arguments + self.outputs + self.temporaries - self.aliases

  @property
  def fits(self) -> bool:
    """Whether it takes no more than it may."""
    return self.bytes is not None and self.bytes <= self.memory


def compiled_for(built: study.Study, name: str) -> list[Compiled]:
  """Returns what the compiler of a topology says of each program of a study.

  Args:
    built: the study; where it is placed now does not matter.
    name: of the topology, such as 'v5e:2x4', see `topology`.

  Raises:
    InputError: there is no such topology, or the package that compiles for it is missing.
  """
  there = topology(name)
  built = study.placed(built, there.devices)
  return [_compiled(part, built, there) for part in parts_of(built)]


def _compiled(part: Part, built: study.Study, there: Topology) -> Compiled:
  place = built.place
  shared = place.lanes_of_device / place.mesh.shape['data']
  known = dict.fromkeys(
    ('arguments', 'outputs', 'temporaries', 'aliases', 'padding', 'flops', 'traffic', 'seconds')
  )
  known |= {
    'program': part.name,
    'width': place.width,
    'lanes': place.lanes_of_device,
    'operations': shared * part.operations,
    'collectives': {},
    'memory': _memory(there),
  }
  try:
    compiled = part.lower().compile()
  except jax.errors.JaxRuntimeError as error:
    if not placement.is_out_of_memory(error):
      raise
    return Compiled(**known)
  sizes, costs = compiled.memory_analysis(), compiled.cost_analysis() or {}
  of_arguments = part.argument_bytes()
  known |= {
    'arguments': sizes.argument_size_in_bytes,
    'outputs': sizes.output_size_in_bytes,
    'temporaries': sizes.temp_size_in_bytes,
    'aliases': sizes.alias_size_in_bytes,
    'padding': None if part.name == 'init' else sizes.argument_size_in_bytes / of_arguments - 1,
    'flops': costs.get('flops'),
    'traffic': costs.get('bytes accessed'),
    'collectives': collectives_of(compiled.as_text()),
  }
  found = Compiled(**known)
  return found._replace(seconds=_seconds(found, built, there))


def collectives_of(text: str) -> dict[str, int]:
  """Returns how often each kind of collective stands in the text of a compiled program."""
  return dict(Counter(re.findall(rf' ({_COLLECTIVES})(?:-start)?\(', text)))


def _memory(there: Topology) -> float:
  """Returns the bytes of one device that a program may take, by the share that a run plans with."""
  if there.kind is None:
    return placement.free_bytes() / len(there.devices)
  return placement.FREE * there.kind.memory


def _seconds(found: Compiled, built: study.Study, there: Topology) -> float | None:
  kind = there.kind
  if kind is None:
    return None
  peak = kind.bfloat16 if built.program.compute_dtype == 'bfloat16' else kind.float32
  return max(found.operations / peak, (found.traffic or 0) / kind.bandwidth)
