"""Trains and evaluates lanes of `test_placement` on eight simulated devices and one; prints JSON.

A process of its own: the number of devices is fixed before JAX starts.
"""

import functools
import json
import os
import re
import sys

os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=8'  # conftest adds its own

import haste
import jax
import numpy as np
from conftest import small_config

from vae_jax import evaluation, placement, programs, study

STEPS = 30
PLATFORMS = ('tpu', 'cuda', 'cpu')


def study_of(num_lanes):
  config = small_config()
  config['lanes'] |= dict(beta=(1.0,), latent_size=(3,), seed=tuple(range(num_lanes)))
  return study.from_config(config)


def trained(built, devices, width, begun):
  """What is left of so many lanes of a study that begin with the states `begun`."""
  place = placement.over(devices, width, built.training.schedule.batch_size)
  built = built._replace(training=built.training._replace(placement=place))
  feed = built.feed()
  chunk = programs.compile_chunk(built.training, built.lanes, feed.shape)
  states = placement.on_devices(place, jax.tree.map(lambda leaf: leaf[: len(built.points)], begun))
  for first in range(0, STEPS, 10):
    arguments = (built.training, chunk, states, built.lanes, feed)
    states, metrics = programs.take_chunk(*arguments, first, first + 10)
  return {
    **(evaluated(built, states) if len(devices) in (1, 4 * place.width) else {}),
    'mesh': dict(place.mesh.shape),
    'width': place.width,
    'devices': len(jax.tree.leaves(chunk.output_shardings)[0].device_set),
    'collectives': num_collectives(chunk),
    'elbo': np.asarray(metrics['batch/elbo']).tolist(),
    'params': [
      np.asarray(leaf).tolist() for leaf in jax.tree.leaves(placement.joined(states).params)
    ],
  }


def evaluated(built, states):
  """What lanes are worth by one batch, and how many rows each device multiplies at a time."""
  params, place, images = programs.params_of(states), built.place, built.dataset.test[:30]
  evaluate = programs.make_evaluate(built.training.learner, 255.0, place)
  batches = evaluation.cut(images, 30)  # of which four devices have seven or eight each
  found = evaluate(params, built.lanes, batches, np.int32(STEPS))
  program, batches = programs.make_nll(built.model, images[:8], 255.0, 16, 64, place)
  inputs = placement.on_devices(place, (params, built.lanes)), (batches, np.int32(0))
  compiled = program.lower(*inputs[0], *inputs[1]).compile()
  evidence = compiled(*inputs[0], *jax.device_put(inputs[1], place.everywhere))
  worth = found.metrics | {'variances': found.variances, 'bounds': evidence['curve']}
  return {
    'worth': {name: np.asarray(values).tolist() for name, values in worth.items()},
    'rows': sorted(map(int, re.findall(r'f32\[(\d+),16\]\S* dot\(', compiled.as_text()))),
  }


def exported(built):
  """The training program over eight devices, lowered for machines that are not here."""
  place = placement.over(jax.devices(), len(built.points), built.training.schedule.batch_size)
  training = built.training._replace(placement=place)
  program = programs.make_chunk(training)
  shapes = program.shapes(*programs.chunk_shapes(training, built.lanes, built.rows))
  program = programs.lanewise(functools.partial(programs.run_chunk, training), place).program
  found = jax.export.export(program, platforms=PLATFORMS)(*shapes)
  same = jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), (built.rows, built.feed().shape))
  return {
    'devices': found.nr_devices,
    'platforms': found.platforms,
    'outputs': sorted({leaf.shape[0] for leaf in found.out_avals}),
    'rows': same[0] == same[1],
  }


def num_collectives(compiled):
  collectives = 'all-reduce|all-gather|all-to-all|collective-permute'
  return len(re.findall(collectives, compiled.as_text()))


def main():
  """Each argument: lanes, or lanes:width; the most lanes first, of which the others are the first.

  On one device, the most lanes train at once for all.
  """
  haste.begin(has_one_device=False)
  asked = {argument: tuple(map(int, (argument.split(':') * 2)[:2])) for argument in sys.argv[1:]}
  most = study_of(next(iter(asked.values()))[0])
  begun = jax.device_get(jax.jit(jax.vmap(most.training.learner.init))(most.lanes))
  one = trained(most, jax.devices()[:1], len(most.points), begun)
  result = {'one': one}
  for argument, (count, width) in asked.items():
    result[argument] = trained(most.only(range(count)), jax.devices(), width, begun)
  result['exported'] = exported(most)
  shapes = {width: dict(placement.of_width(width, 32).mesh.shape) for width in (1, 6, 12, 14)}
  print(json.dumps(result | {'shapes': shapes}))


if __name__ == '__main__':
  main()
