"""Trains the lanes of `test_placement` on eight simulated devices and on one; prints JSON.

A process of its own: the number of devices is fixed before JAX starts.
"""

import json
import os
import re
import sys

os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=8'  # conftest adds its own

import jax
import numpy as np
from conftest import small_config

from vae_jax import placement, programs, study

STEPS = 50


def trained(config, devices, width):
  built = study.from_config(config)
  place = placement.of_width(width, config['train']['batch_size'], devices)
  built = built._replace(training=built.training._replace(placement=place))
  feed = built.feed()
  chunk = programs.compile_chunk(built.training, built.lanes, feed.shape)
  states = programs.init(built.training.learner, built.lanes, place)
  for first in range(0, STEPS, 10):
    arguments = (built.training, chunk, states, built.lanes, feed)
    states, metrics = programs.take_chunk(*arguments, first, first + 10)
  collectives = re.findall(r'all-reduce|all-gather|all-to-all|collective-permute', chunk.as_text())
  return {
    'mesh': dict(place.mesh.shape),
    'width': place.width,
    'devices': len(jax.tree.leaves(chunk.output_shardings)[0].device_set),
    'collectives': len(collectives),
    'elbo': np.asarray(metrics['batch/elbo']).tolist(),
    'params': [
      np.asarray(leaf).ravel().tolist() for leaf in jax.tree.leaves(placement.joined(states).params)
    ],
  }


def main():
  result = {}
  for argument in sys.argv[1:]:  # lanes, or lanes:width
    seeds, width = map(int, (argument.split(':') * 2)[:2])
    config = small_config()
    config['lanes'] |= dict(beta=(1.0,), latent_size=(3,), seed=tuple(range(seeds)))
    all_devices = jax.devices()
    result[argument] = [trained(config, d, width) for d in (all_devices, all_devices[:1])]
  shapes = {width: dict(placement.of_width(width, 32).mesh.shape) for width in (1, 6, 12, 14)}
  print(json.dumps(result | {'shapes': shapes}))


if __name__ == '__main__':
  main()
