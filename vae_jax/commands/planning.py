"""The tables of `vae-jax plan`."""

from collections.abc import Sequence

from vae_jax import ahead, standing
from vae_jax.launches import Study
from vae_jax.sweeps import Size
from vae_jax.verdict.words import counted

_SIZES = (
  'launch',
  'lanes',
  'programs',
  'width',
  'parameters',
  'MFLOP a step',
  'steps',
  'MiB a device',
  'MiB on disk',
)
_COMPILED = (
  'launch',
  'program',
  'lanes a device',
  'MiB a device',
  'fits',
  'padding',
  'MFLOP',
  'compiled',
  'MB moved',
  'collectives',
  'us at least',
)


def sizes(plan: Study, found: Sequence[Size]) -> list[str]:
  """Returns a row for each launch, and what all of them come to."""
  rows = [
    (
      launch.name,
      str(size.lanes),
      str(size.programs),
      str(size.width),
      f'{size.parameters:,}',
      f'{size.flops / 1e6:,.4g}',
      f'{size.steps:,}',
      f'{size.device_bytes / 2**20:,.1f}',
      f'{size.checkpoint_bytes / 2**20:,.1f}',
    )
    for launch, size in zip(plan.launches, found, strict=True)
  ]
  total = sum(size.lanes * size.flops * size.steps for size in found)
  disk = sum(size.checkpoint_bytes for size in found)
  lanes = sum(size.lanes for size in found)
  return [
    *standing.aligned([_SIZES, *rows], left=1),
    '',
    f'{counted(len(found), "launch")}, {lanes} lanes: '
    f'{total / 1e12:,.3g} TFLOP of training in matrix products and convolutions, '
    f'{disk / 2**20:,.0f} MiB of checkpoints; a lane leaves a row of results.csv, one of each log '
    'point in metrics.jsonl, and pictures',
  ]


def compiled(plan: Study, found: Sequence[Sequence[ahead.Compiled]]) -> list[str]:
  """Returns a row for each program of each launch, as a compiler of other devices has it."""
  rows = [
    (
      launch.name,
      part.program,
      str(part.lanes),
      '' if part.bytes is None else f'{part.bytes / 2**20:,.1f}',
      'yes' if part.fits else 'no',
      # Below 0 where a program does not read all of its arguments.
      '' if part.padding is None else f'{max(0.0, part.padding):.1%}',
      f'{part.operations / 1e6:,.4g}',
      '' if part.flops is None else f'{part.flops / 1e6:,.4g}',
      '' if part.traffic is None else f'{part.traffic / 1e6:,.4g}',
      ', '.join(f'{count} {kind}' for kind, count in part.collectives.items()) or 'none',
      '' if part.seconds is None else f'{1e6 * part.seconds:,.3g}',
    )
    for launch, parts in zip(plan.launches, found, strict=True)
    for part in parts
  ]
  return standing.aligned([_COMPILED, *rows], left=1)
