"""How fast the programs are, beside the matmul rate of the machine and, if asked, PyTorch.

  python -m experiments.benchmark --workdir=runs/benchmark --peer=torch

Trains on random images of MNIST's shape, so it needs no data. Every row is a program of the same
code as `launch.train`: model-steps per second (steps x lanes), images per second, FLOP/s of its
matrix products and convolutions, and their share of the rate of one large product of the same
precision, measured in the same run. The rounds of ours, of the peer and of the product alternate,
so that what else the machine does meets them all; figures are medians, in brackets the lowest and
highest ratio of a round. The peer trains one model at a time, eager and compiled; the faster
counts.
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
import jax.numpy as jnp
import numpy as np
from absl import flags

from configs import fashion_conv, mnist_per_pixel_beta, mnist_static
from experiments import table, timing
from launch import command
from vae_jax import data, files, flops, placement, programs, study

_IMAGES = 60_000
_CHUNK_STEPS = 50
_TURN_STEPS = 20
_SEED = 0


class Case(NamedTuple):
  """One program to measure."""

  name: str
  config: Mapping[str, Any]
  num_samples: int = 0  # of the NLL, where it is that which is measured


class Size(NamedTuple):
  """How much is measured."""

  rounds: int
  seconds: float  # of a round, about
  lanes: tuple[int, ...]
  samples: tuple[int, ...]
  conv_lanes: tuple[int, ...]
  nll_samples: int
  nll_images: int
  matmul: int  # rows of the square matrices


SIZES = {
  'full': Size(5, 1.0, (1, 8, 16, 48, 128), (5, 50), (1, 8), 5000, 100, 2048),
  'tiny': Size(2, 0.0, (1, 2), (2,), (1,), 20, 10, 64),
}


def cases(size: Size, images: pathlib.Path) -> list[Case]:
  """Returns what is measured; `images` is the .npz that all of it reads."""

  def config(module, binarize: str, seeds: int, **sections: Mapping) -> dict[str, Any]:
    result = module.get_config().to_dict()
    result['data'] |= dict(name='npz', path=str(images), train_split='train', test_split='test')
    result['data'] |= dict(binarize=binarize)
    result['lanes'] |= dict(beta=(1.0,), latent_size=result['lanes']['latent_size'][:1])
    result['lanes'] |= dict(combine='product', seed=tuple(range(seeds)), points=())
    images_of = ('train_images', 'test_images', 'nll_images', 'aggregate_images')
    result['evaluation'] |= dict.fromkeys(images_of, 1)
    every = ('log_every', 'evaluate_every', 'checkpoint_every')
    result['train'] |= dict.fromkeys(every, _CHUNK_STEPS)
    for name, changes in sections.items():
      result[name] |= changes
    return result

  def mlp(seeds: int, **sections: Mapping) -> dict[str, Any]:
    return config(mnist_static, 'dynamic', seeds, **sections)

  result = [Case(f'{n} lanes, 784-500-20', mlp(n)) for n in size.lanes]
  result += [Case(f'L = {n}, 784-500-20', mlp(1, bound=dict(num_samples=n))) for n in size.samples]
  small = config(mnist_per_pixel_beta, 'none', 1, lanes=dict(beta=(0.784,), latent_size=(10,)))
  result.append(Case('784-100-100-10, batch 64', small))
  for n in size.conv_lanes:
    result.append(Case(f'{n} lanes, convolutional', config(fashion_conv, 'none', n)))
  result.append(
    Case(
      f'NLL, K = {size.nll_samples}',
      mlp(1, evaluation=dict(nll_images=size.nll_images)),
      size.nll_samples,
    )
  )
  return result


def training(built: study.Study) -> timing.Subject:
  """Returns the program that trains a study."""
  setup, lanes, feed = built.training, built.lanes, built.feed()
  state = programs.init(setup.learner, lanes, built.place)
  began = time.perf_counter()
  chunk = programs.compile_chunk(setup, lanes, feed.shape)
  compiled = time.perf_counter() - began
  memory = chunk.memory_analysis()

  def run(count: int) -> None:
    nonlocal state
    for first in range(0, count, setup.schedule.chunk_steps):
      stop = min(first + setup.schedule.chunk_steps, count)
      state, _ = programs.take_chunk(setup, chunk, state, lanes, feed, first, stop)

  batch_size, models = setup.schedule.batch_size, len(built.points)
  batch = jax.ShapeDtypeStruct((batch_size, *built.event), jnp.float32)
  states = placement.joined(state)
  inputs = (*_one_lane(states, lanes), batch, jax.ShapeDtypeStruct((), jnp.int32))
  return timing.Subject(
    run,
    models * flops.count(setup.learner.step, *inputs),
    models,
    batch_size,
    {
      'compile_seconds': compiled,
      'state_bytes': sum(leaf.nbytes for leaf in jax.tree.leaves(states)),
      'temporary_bytes': memory.temp_size_in_bytes,
    },
    # Lanes in turn take the steps between two log points each, not one at a time.
    least=min(_TURN_STEPS, setup.schedule.chunk_steps) if models > built.place.width else 1,
  )


def _one_lane(*stacked: Any) -> tuple:
  """Returns the shapes of one lane of trees with a leading axis [G]."""
  return jax.eval_shape(lambda: jax.tree.map(lambda leaf: leaf[0], stacked))


def importance_sampling(
  built: study.Study, settings: Mapping[str, Any], num_samples: int
) -> timing.Subject:
  """Returns the program of the NLL; one step of it is the whole evaluation."""
  model, lanes = built.model, built.lanes
  images = built.dataset.test[: settings['nll_images']]
  batches, chunk = programs.nll_batches(images, num_samples, settings['batch_size'])
  params = programs.init(built.training.learner, lanes, built.place).params
  program = programs.make_nll(model, built.dataset.fixed_scale, num_samples, chunk, built.place)
  began = time.perf_counter()
  compiled = program.lower(params, lanes, batches).compile()
  seconds = time.perf_counter() - began

  def run(count: int) -> None:
    for _ in range(count):
      jax.block_until_ready(compiled(params, lanes, batches))

  def decode(params, lane, z):
    return model.decode(params, z, lane.mask).mean()

  def encode(params, lane, x):
    return model.encode(params, x, lane.mask).loc

  one = _one_lane(params, lanes)
  z = jax.ShapeDtypeStruct(lanes.mask.shape[1:], jnp.float32)
  x = jax.ShapeDtypeStruct(built.event, jnp.float32)
  each = flops.count(encode, *one, x) + num_samples * flops.count(decode, *one, z)
  memory = compiled.memory_analysis()
  facts = {'compile_seconds': seconds, 'temporary_bytes': memory.temp_size_in_bytes}
  return timing.Subject(run, len(images) * each, 1, len(images), facts)


def peers_of(config: Mapping[str, Any], dataset: data.Dataset) -> list[timing.Subject]:
  """Returns the training step of one such model in PyTorch, eager and, if it can be, compiled."""
  from experiments import torch_peer  # PyTorch is not installed with the project

  eager, compiled = (
    torch_peer.make(config, dataset.train, dataset.dynamic, compiled) for compiled in (False, True)
  )
  runs = [eager, compiled]
  try:
    compiled(1)
  except Exception as error:  # whatever its compiler lacks on this machine
    print(f'PyTorch compiled: {str(error).splitlines()[0]}; eager alone counts', flush=True)
    runs = [eager]
  return [timing.Subject(run, 0.0, 1, config['train']['batch_size'], {}) for run in runs]


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


def write_images(path: pathlib.Path, count: int) -> None:
  """Writes random images of MNIST's shape: `count` to train on, a sixth of that to test."""
  generator = np.random.default_rng(_SEED)
  shapes = {'train': (count, 28, 28, 1), 'test': (count // 6, 28, 28, 1)}
  np.savez(path, **{k: generator.integers(0, 256, v, np.uint8) for k, v in shapes.items()})


class Report(NamedTuple):
  """What the command leaves; `launch.command` exits with its code."""

  rows: list[timing.Measured]
  text: str
  exit_code: int = 0


def run(directory: pathlib.Path, size_name: str, with_peer: bool) -> Report:
  """Measures every case, prints the table, and writes it with benchmark.json."""
  size = SIZES[size_name]
  directory.mkdir(parents=True, exist_ok=True)
  images = directory / 'images.npz'
  write_images(images, _IMAGES)
  product = timing.matrix_product(size.matmul)
  rows, made = [], {}
  for case in cases(size, images):
    built, peers = study.from_config(case.config), []
    if case.num_samples:
      subject = importance_sampling(built, case.config['evaluation'], case.num_samples)
    else:
      subject = training(built)
      if with_peer:
        # The peer trains one model at a time: the same one for all numbers of lanes.
        alone = json.dumps(case.config | {'lanes': None})
        if alone not in made:
          made[alone] = peers_of(case.config, built.dataset)
        peers = made[alone]
    rounds = (size.rounds, size.seconds)
    rows.append(timing.measure(case.name, subject, product, peers, *rounds))
    print(' | '.join(filter(None, _cells(rows[-1]))), flush=True)
  with tempfile.TemporaryDirectory(dir=directory) as temporary:
    root = pathlib.Path(temporary)
    starts = [first_step_seconds(root / name, root / 'cache') for name in ('cold', 'cached')]
  images.unlink()
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
  return Report(rows, text)


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
    f'{row.facts["compile_seconds"]:.1f}',
    megabytes('state_bytes'),
    megabytes('temporary_bytes'),
    '' if row.peer is None else f'{row.peer:,.1f}',
    '' if row.ratio is None else '{:.2f} ({:.2f} to {:.2f})'.format(*row.ratio),
  )


if __name__ == '__main__':
  workdir = flags.DEFINE_string('workdir', 'runs/benchmark', 'Where the table goes.')
  size_flag = flags.DEFINE_enum('size', 'full', tuple(SIZES), 'tiny only shows that it runs.')
  peer = flags.DEFINE_enum('peer', 'none', ('none', 'torch'), 'What to run side by side.')
  command.start(lambda: run(pathlib.Path(workdir.value), size_flag.value, peer.value == 'torch'))
