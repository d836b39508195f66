"""What the benchmark measures: the programs of ours, and the same nets in PyTorch."""

import itertools
import math
import pathlib
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from configs import cifar10_resnet, fashion_conv, mnist_per_pixel_beta, mnist_static
from experiments import timing
from vae_jax import data, flops, placement, programs, study
from vae_jax.config import complete
from vae_jax.fast import layouts

_LEAST_STEPS, _FEW_STEPS = 20, 2
_SEED = 0
_IMAGES = 64  # of a convolution by itself


class Case(NamedTuple):
  """One program to measure."""

  name: str
  config: Mapping[str, Any]
  num_samples: int = 0  # of the NLL, where it is that which is measured
  kernel: tuple[int, int] = ()  # pixels along an axis, channels: of a convolution by itself


class Size(NamedTuple):
  """How much is measured."""

  rounds: int
  seconds: float  # of a round, about
  lanes: tuple[int, ...]
  samples: tuple[int, ...]
  few_lanes: tuple[int, ...]  # of small, convolutional and residual nets
  pixels: tuple[int, ...]  # of colour images along an axis, for residual nets
  kernels: tuple[tuple[int, int], ...]  # of their levels: pixels along an axis, channels
  nll_samples: int
  nll_images: int
  matmul: int  # rows of the square matrices


_LEVELS = ((32, 16), (16, 32), (8, 64))  # of the residual nets at 32 pixels

SIZES = {
  'full': Size(15, 0.3, (1, 8, 16, 48, 128), (5, 50), (1, 8), (32, 64), _LEVELS, 5000, 100, 2048),
  'tiny': Size(2, 0.0, (1, 2), (2,), (1,), (8,), ((8, 16),), 20, 10, 64),
}


def make(size: Size, images: pathlib.Path) -> list[Case]:
  """Returns what is measured; `images` is the .npz that all but the residual nets read."""

  def config(module, binarize: str, seeds: int, **sections: Mapping) -> dict[str, Any]:
    result = complete(module.get_config())
    result['data'] |= dict(name='npz', path=str(images), train_split='train', test_split='test')
    result['data'] |= dict(binarize=binarize, validation_split='')
    result['lanes'] |= dict(beta=(1.0,), latent_size=result['lanes']['latent_size'][:1])
    result['lanes'] |= dict(combine='product', seed=tuple(range(seeds)), points=())
    images_of = ('train_images', 'test_images', 'nll_images', 'aggregate_images')
    result['evaluation'] |= dict.fromkeys(images_of, 1)
    for name, changes in sections.items():
      result[name] |= changes
    return result

  def mlp(seeds: int, **sections: Mapping) -> dict[str, Any]:
    return config(mnist_static, 'dynamic', seeds, **sections)

  result = [Case(f'{n} lanes, 784-500-20', mlp(n)) for n in size.lanes]
  result += [Case(f'L = {n}, 784-500-20', mlp(1, bound=dict(num_samples=n))) for n in size.samples]
  for n in size.few_lanes:
    small = config(mnist_per_pixel_beta, 'none', n, lanes=dict(beta=(0.784,)))
    result.append(Case(f'{n} lanes, 784-100-100-10, batch 64', small))
  for n in size.few_lanes:
    result.append(Case(f'{n} lanes, convolutional', config(fashion_conv, 'none', n)))
  result += [
    Case(f'a convolution, {p} pixels, {c} channels', {}, kernel=(p, c)) for p, c in size.kernels
  ]
  for pixels, n in itertools.product(size.pixels, size.few_lanes):
    residual = config(
      cifar10_resnet,
      'none',
      n,
      data=dict(path=str(coloured(images, pixels)), scale_to_unit=True),
      likelihood=dict(name='gaussian'),
      decoder=dict(output_bias='zeros'),
      train=dict(log_every=_FEW_STEPS),  # twenty of eight lanes would take a minute
    )
    result.append(Case(f'{n} lanes, residual, {pixels} pixels, batch 64', residual))
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
  setup, feed = built.training, built.feed()
  lanes = placement.on_devices(built.place, built.lanes)
  state = programs.init(setup.learner, lanes, built.place)
  began = time.perf_counter()
  chunk = programs.compile_chunk(setup, built.lanes, feed.shape)
  compiled = time.perf_counter() - began
  memory = chunk.memory_analysis()

  def run(count: int) -> None:
    nonlocal state
    for first in range(0, count, setup.schedule.chunk_steps):
      stop = min(first + setup.schedule.chunk_steps, count)
      state, _ = programs.take_chunk(setup, chunk, state, lanes, feed, first, stop)

  batch_size, models = setup.schedule.batch_size, len(built.points)
  states = placement.joined(state)
  return timing.Subject(
    run,
    models * built.operations_of_step(),
    models,
    batch_size,
    {
      'compile_seconds': compiled,
      'state_bytes': sum(leaf.nbytes for leaf in jax.tree.leaves(states)),
      'temporary_bytes': memory.temp_size_in_bytes,
    },
    # A study takes the steps between two log points at once, not one at a time.
    least=min(_LEAST_STEPS, setup.schedule.chunk_steps),
    library=library_of(chunk, built.place),
    wanted=_wanted(built.place, batch_size * built.num_samples),
  )


def library_of(program: jax.stages.Compiled, place: placement.Placement) -> str:
  """Returns by which library a compiled program multiplies matrices: see `timing.Subject`.

  XLA takes YNNPACK for a fusion with a product where it likes, and Eigen for all other products; it
  says so in the program alone, whose text is that of jaxlib 0.10 and 0.11.
  """
  if not place.is_cpu:
    return ''
  text = program.as_text()
  bodies = dict(re.findall(r'^(%\S+) \([^\n]* \{\n(.*?)^\}', text, re.DOTALL | re.MULTILINE))
  called = re.findall(r' fusion\(.* calls=(%[\w.]+).*__ynn_fusion', text)
  return 'YNNPACK' if any(' dot(' in bodies[name] for name in called) else 'Eigen'


def _wanted(place: placement.Placement, num_rows: int) -> str:
  left = place.compiler_options(num_rows).get('xla_cpu_experimental_ynn_fusion_type', 'DOT')
  return '' if 'DOT' in left else 'Eigen'


def _one_lane(*stacked: Any) -> tuple:
  """Returns the shapes of one lane of trees with a leading axis [G]."""
  return jax.eval_shape(lambda: jax.tree.map(lambda leaf: leaf[0], stacked))


def importance_sampling(built: study.Study, num_samples: int) -> timing.Subject:
  """Returns the program of the NLL; one step of it is the whole evaluation."""
  model, lanes = built.model, built.lanes
  images = built.dataset.test[built.sample('test', built.evaluation.nll_images)]
  params = programs.params_of(programs.init(built.training.learner, lanes, built.place))
  program, batches = programs.make_nll(
    model, images, built.dataset.fixed_scale, num_samples, built.evaluation.batch_size, built.place
  )
  began = time.perf_counter()
  compiled = program.program.lower(params, lanes, batches.part(0), np.int32(0)).compile()
  seconds = time.perf_counter() - began

  def run(count: int) -> None:
    for _ in range(count):
      for i in range(len(batches.weights)):
        jax.block_until_ready(compiled(params, lanes, batches.part(i), np.int32(i)))

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
  at_once = min(num_samples, math.isqrt(built.evaluation.batch_size))  # see `programs.make_nll`
  rows = batches.weights.shape[1] * at_once
  libraries = dict(library=library_of(compiled, built.place), wanted=_wanted(built.place, rows))
  return timing.Subject(run, len(images) * each, 1, len(images), facts, **libraries)


def convolution(pixels: int, channels: int) -> timing.Subject:
  """Returns 3 x 3 convolutions of 64 images in a loop: each the value and both gradients."""
  x = jnp.ones((_IMAGES, pixels, pixels, channels))
  kernel = jnp.full((3, 3, channels, channels), 0.01)
  mapped = jax.vmap(layouts.conv, (0, None))

  def step(_, carry):
    y, backward = jax.vjp(mapped, *carry)
    return jax.tree.map(lambda old, new: old - 1e-9 * new, carry, backward(y))

  began = time.perf_counter()
  options = placement.of_width(1, _IMAGES).compiler_options(_IMAGES)
  program = jax.jit(
    lambda x, kernel, count: jax.lax.fori_loop(0, count, step, (x, kernel)),
    compiler_options=options,
  )
  program(x, kernel, 1)
  return timing.Subject(
    lambda count: jax.block_until_ready(program(x, kernel, count)),
    3 * 2 * x.size * 9 * channels,
    1,
    _IMAGES,
    {'compile_seconds': time.perf_counter() - began},
  )


def peer_of_convolution(pixels: int, channels: int) -> list[timing.Subject]:
  """Returns the same in PyTorch, channels last."""
  from experiments import torch_peer  # PyTorch is not installed with the project

  run = torch_peer.convolution(_IMAGES, pixels, channels)
  return [timing.Subject(run, 0.0, 1, _IMAGES, {})]


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


def coloured(images: pathlib.Path, pixels: int) -> pathlib.Path:
  """Returns where colour images of so many pixels along an axis lie, beside the others."""
  return images.with_name(f'colour_{pixels}.npz')


def write_images(path: pathlib.Path, count: int, event: tuple[int, int, int] = (28, 28, 1)) -> None:
  """Writes random images, of MNIST's shape or another: `count` to train on, a sixth to test."""
  generator = np.random.default_rng(_SEED)
  shapes = {'train': (count, *event), 'test': (count // 6, *event)}
  np.savez(path, **{k: generator.integers(0, 256, v, np.uint8) for k, v in shapes.items()})
