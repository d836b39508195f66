"""The programs of a study before they are compiled, and the operations that they stand for."""

import functools
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import numpy as np

from vae_jax import data, evaluation, flops, programs
from vae_jax.study import Study

_STEP = np.int32(0)


class Part(NamedTuple):
  """One of the programs.

  Attributes:
    name: 'init', 'training', 'evaluation' or 'NLL'.
    program: of all lanes.
    shapes: of its arguments, on the devices.
    operations: of one lane in one pass through the loops, as the mathematics has them, see
      `flops.count`: a step, a batch of an evaluation, a chunk of the samples of a batch of the NLL.
  """

  name: str
  program: programs.Lanewise
  shapes: tuple[Any, ...]
  operations: int

  def lower(self) -> jax.stages.Lowered:
    """Returns the program as the compiler of its devices takes it."""
    return self.program.program.lower(*self.shapes)

  def argument_bytes(self) -> int:
    """Returns what its arguments have on one device, without any padding."""
    leaves = jax.tree.leaves(self.shapes)
    return sum(math.prod(a.sharding.shard_shape(a.shape)) * a.dtype.itemsize for a in leaves)


def parts_of(built: Study) -> Iterator[Part]:
  """Yields the programs of a study, each as it would run; no NLL where there is none."""
  yield _init(built)
  yield _training(built)
  yield _evaluation(built)
  if built.is_density:
    yield _nll(built)


def _init(built: Study) -> Part:
  learner = built.training.learner
  program = programs.make_init(learner, built.place)
  return Part('init', program, program.shapes(built.lanes), flops.count(learner.init, _lane(built)))


def _training(built: Study) -> Part:
  program = programs.make_chunk(built.training)
  shapes = programs.chunk_shapes(built.training, built.lanes, built.rows)
  operations = built.operations_of_step(platform='')
  return Part('training', program, program.shapes(*shapes), operations)


def _evaluation(built: Study) -> Part:
  learner, scale, batches = built.training.learner, built.dataset.fixed_scale, built.batches('test')
  one = jax.tree.map(lambda leaf: leaf[0], batches)
  x = jax.eval_shape(lambda images: data.to_values(images, scale), one.images)
  inputs = _params(built), _lane(built), x, _STEP, one.weights, one.beside
  operations = flops.count(learner.evaluate, *inputs, platform='')
  program = programs.make_evaluate(learner, scale, built.place)
  shapes = program.shapes(_all_params(built), built.lanes, batches, _STEP)
  return Part('evaluation', program, shapes, operations)


def _nll(built: Study) -> Part:
  dataset, settings = built.dataset, built.evaluation
  chosen = built.sample('test', settings.nll_images)
  images, beside = dataset.test[chosen], dataset.beside_of('test', chosen)
  given = (
    images,
    dataset.fixed_scale,
    settings.nll_samples,
    settings.batch_size,
    built.place,
    beside,
  )
  program, batches = programs.make_nll(built.model, *given)
  # As many samples at a time as there, see `programs.make_nll`, and no more.
  chunk = min(settings.nll_samples, math.isqrt(settings.batch_size))
  sizes = dict(scale=dataset.fixed_scale, num_samples=chunk, chunk=chunk)
  of_chunk = functools.partial(evaluation.evidence, built.model, **sizes)
  one = batches.part(0)
  operations = flops.count(of_chunk, _params(built), _lane(built), one, platform='')
  shapes = program.shapes(_all_params(built), built.lanes, one, _STEP)
  return Part('NLL', program, shapes, operations)


def _all_params(built: Study) -> Any:
  """Returns the shapes [G] of the parameters that are evaluated."""
  return programs.state_shapes(built.training.learner, built.lanes).evaluated


def _params(built: Study) -> Any:
  return jax.eval_shape(built.training.learner.init, _lane(built)).evaluated


def _lane(built: Study) -> Any:
  """Returns the shapes of one lane."""
  return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), built.lanes)
