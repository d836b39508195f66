"""Kinds of devices: what they hold, and the most that they do in a second."""

from typing import NamedTuple


class Kind(NamedTuple):
  """What a device of one kind is capable of.

  TPUs multiply in bfloat16: at the precision 'highest', at which all is trained and evaluated, a
  product of float32 takes six passes, so that their peak is a sixth of that of bfloat16. A GPU has
  units of their own for it.

  Attributes:
    platform: 'tpu' or 'cuda', as JAX lowers for it.
    memory: bytes.
    bandwidth: bytes of that memory a second.
    bfloat16, float32: operations of matrix products a second.
  """

  platform: str
  memory: float
  bandwidth: float
  bfloat16: float
  float32: float


def _tpu(gibibytes: float, gigabytes_a_second: float, teraflops: float) -> Kind:
  peak = teraflops * 1e12
  return Kind('tpu', gibibytes * 2**30, gigabytes_a_second * 1e9, peak, peak / 6)


# TPUs by docs.cloud.google.com/tpu/docs/v4, /v5e, /v5p and /v6e; the H100 by the column SXM of
# NVIDIA's data sheet, nvidia.com/en-us/data-center/h100, without sparsity.
KINDS = {
  'v4': _tpu(32, 1228, 275),
  'v5e': _tpu(16, 819, 197),
  'v5p': _tpu(95, 2765, 459),
  'v6e': _tpu(32, 1638, 918),
  'h100': Kind('cuda', 80e9, 3.35e12, 989e12, 67e12),
}
