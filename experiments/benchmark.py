"""How fast the programs are, beside the matmul rate of the machine and, if asked, PyTorch.

  python -m experiments.benchmark --workdir=runs/benchmark --peer=torch

Trains on random images of MNIST's shape, so it needs no data. Every row is a program of the same
code as `launch.train`: model-steps per second (steps x lanes), images per second, FLOP/s of its
matrix products and convolutions, and their share of the rate of one large product of the same
precision, measured in the same run. The rounds of ours, of the peer and of the product alternate,
so that what else the machine does meets them all; figures are medians, in brackets the lowest and
highest ratio of a round. The peer trains one model at a time, eager and compiled; the faster
counts. Of a CPU the table says by which library a program multiplies, read from the compiled
program: where that is not the one that XLA was told to take, the command ends with 1.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
from absl import flags

from experiments import cases, table, timing
from vae_jax import files, study
from vae_jax.commands import command

_IMAGES, _COLOURED = 60_000, 3000


def first_step_seconds(directory: pathlib.Path, cache: pathlib.Path) -> float:
  """Returns the time from the start of a process to the row of the first step of the digits study.

  Raises:
    RuntimeError: the process ended before it.
  """
  arguments = ['--config=configs/digits.py', f'--workdir={directory}']
  counts = {'steps': 2, 'log_every': 1, 'evaluate_every': 2, 'checkpoint_every': 2}
  arguments += [f'--config.train.{key}={count}' for key, count in counts.items()]
  began = time.time()
  process = subprocess.Popen(
    [sys.executable, '-m', 'launch.train', *arguments],
    env=os.environ | {'VAE_JAX_CACHE': str(cache)},
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
  journal = directory / 'metrics.jsonl'
  while not (journal.exists() and journal.stat().st_size):
    if process.poll() is not None:
      raise RuntimeError(f'launch.train ended with {process.returncode} before its first step')
    time.sleep(0.01)
  seconds = time.time() - began
  process.terminate()
  process.wait()
  return seconds


class Report(NamedTuple):
  """What the command leaves; `command.start` exits with its code."""

  rows: list[timing.Measured]
  text: str
  exit_code: int = 0


def run(directory: pathlib.Path, size_name: str, with_peer: bool, only: str = '') -> Report:
  """Measures the cases whose names have `only` in them, prints the table, and writes it as JSON."""
  size = cases.SIZES[size_name]
  directory.mkdir(parents=True, exist_ok=True)
  images = directory / 'images.npz'
  cases.write_images(images, _IMAGES)
  for pixels in size.pixels:
    cases.write_images(cases.coloured(images, pixels), _COLOURED, (pixels, pixels, 3))
  product = timing.matrix_product(size.matmul)
  rows, made = [], {}
  for case in (case for case in cases.make(size, images) if only in case.name):
    built, peers = study.from_config(case.config) if case.config else None, []
    if case.kernel:
      subject = cases.convolution(*case.kernel)
      peers = cases.peer_of_convolution(*case.kernel) if with_peer else []
    elif case.num_samples:
      subject = cases.importance_sampling(built, case.num_samples)
    else:
      subject = cases.training(built)
      if with_peer:
        # The peer trains one model at a time: the same one for all numbers of lanes.
        alone = json.dumps(case.config | {'lanes': None})
        if alone not in made:
          made[alone] = cases.peers_of(case.config, built.dataset)
        peers = made[alone]
    rounds = (size.rounds, size.seconds)
    rows.append(timing.measure(case.name, subject, product, peers, *rounds))
    print(' | '.join(filter(None, _cells(rows[-1]))), flush=True)
  with tempfile.TemporaryDirectory(dir=directory) as temporary:
    root = pathlib.Path(temporary)
    starts = [first_step_seconds(root / name, root / 'cache') for name in ('cold', 'cached')]
  for path in (images, *(cases.coloured(images, pixels) for pixels in size.pixels)):
    path.unlink()
  device = jax.devices()[0]
  facts = {
    'device': f'{len(jax.devices())} x {device.device_kind}',
    'jax': jax.__version__,
    'matmul_flops_per_second': product.flops / timing.seconds_a_step(product, 10),
    'first_step_seconds': dict(zip(('cold', 'cached'), starts, strict=True)),
  }
  text = '\n'.join([_statement(facts), '', *_lines(rows)]) + '\n'
  record = facts | {'rows': [row._asdict() for row in rows]}
  files.write_text(directory / 'benchmark.json', json.dumps(record, indent=2) + '\n')
  files.write_text(directory / 'table.md', text)
  print(text, flush=True)
  wrong = [row.name for row in rows if row.wanted not in ('', row.library)]
  if wrong:
    print(f'not multiplied as XLA was told, see placement: {"; ".join(wrong)}', flush=True)
  return Report(rows, text, exit_code=int(bool(wrong)))


def _statement(facts: Mapping[str, Any]) -> str:
  starts = facts['first_step_seconds']
  return (
    f'{facts["device"]}, jax {facts["jax"]}; one matrix product runs at '
    f'{facts["matmul_flops_per_second"] / 1e9:.0f} GFLOP/s. From the start of the process to the '
    f'first step of the digits study: {starts["cold"]:.1f} s, with the compiled programs cached '
    f'{starts["cached"]:.1f} s.'
  )


_HEADER = (
  'program',
  'model-steps/s',
  'images/s',
  'GFLOP/s',
  'of matmul',
  'products by',
  'compiled in, s',
  'state, MB',
  'temporary, MB',
  'PyTorch',
  'ratio',
)


def _lines(rows: Sequence[timing.Measured]) -> list[str]:
  return table.markdown([_HEADER, *map(_cells, rows)], left=1)


def _cells(row: timing.Measured) -> tuple[str, ...]:
  def megabytes(name: str) -> str:
    return f'{row.facts[name] / 1e6:.1f}' if name in row.facts else ''

  return (
    row.name,
    f'{row.steps_per_second:,.1f}',
    f'{row.images_per_second:,.0f}',
    f'{row.flops_per_second / 1e9:.1f}',
    f'{row.share_of_matmul:.0%}',
    row.library,
    f'{row.facts["compile_seconds"]:.1f}',
    megabytes('state_bytes'),
    megabytes('temporary_bytes'),
    '' if row.peer is None else f'{row.peer:,.1f}',
    '' if row.ratio is None else '{:.2f} ({:.2f} to {:.2f})'.format(*row.ratio),
  )


if __name__ == '__main__':
  own = flags.FlagValues()
  flags.DEFINE_string('workdir', 'runs/benchmark', 'Where the table goes.', own)
  flags.DEFINE_enum('size', 'full', tuple(cases.SIZES), 'tiny only shows that it runs.', own)
  flags.DEFINE_string('only', '', 'A part of the names of what is measured.', own)
  flags.DEFINE_enum('peer', 'none', ('none', 'torch'), 'What to run side by side.', own)

  def main(given: flags.FlagValues) -> int:
    with_peer = given.peer == 'torch'
    return run(pathlib.Path(given.workdir), given.size, with_peer, given.only).exit_code

  command.start(command.Command(__doc__, own, main))
