"""Programs of one config traced once: for tests that take the same run up again and again.

A run in a new process traces and compiles its programs anew, which takes nearly all of its time;
`tests/test_stops.py` has such runs. In one process the same config means the same programs, in
whichever test file: what is here is kept until the process of the suite ends.
"""

import contextlib
import functools
import json
import pathlib
import sys
from collections.abc import Hashable
from typing import Any

import jax
import pytest
from haste import identity
from jax._src import compiler

from vae_jax import config as settings
from vae_jax import lane_fields, lanes, placement, study, tracking, validation
from vae_jax.programs import chunks, importance, reviews
from vae_jax.runs import workdir
from vae_jax.study import building
from vae_jax.study.points import in_nats
from vae_jax.study.settings import EvaluationSettings, ProgramSettings, unpacked

_STUDIES, _OPERATIONS, _PROGRAMS = {}, {}, {}


class Program:
  """A jitted function that is also lowered and compiled ahead of time once for the same shapes."""

  def __init__(self, jitted):
    self.jitted, self.lowered = jitted, {}

  def __call__(self, *arguments):
    return self.jitted(*arguments)

  def lower(self, *shapes):
    key = jax.tree.structure(shapes), tuple(jax.tree.leaves(shapes))
    if key not in self.lowered:
      self.lowered[key] = Lowered(self.jitted.lower(*shapes))
    return self.lowered[key]


class Lowered:
  """A lowered program that is compiled once."""

  def __init__(self, lowered):
    self.compile = functools.cache(lowered.compile)


@contextlib.contextmanager
def programs():
  """Within it what a config says of programs is built once, and so is each program of it.

  Lanes, cadences, and what is evaluated are data of the programs: they are of each config. So is
  how many lanes a program has, which makes another program of the same functions.
  """
  from_config, make = study.from_config, chunks.lanewise

  def build(config, fitted=None):
    config = settings.complete(config)
    if fitted or validation.problems(config).lines:
      return from_config(config, fitted)
    points = study.points_of(config)
    largest = max(point['latent_size'] for point in points)
    key = _content(config, largest, _used(points))
    if key not in _STUDIES:
      _STUDIES[key] = from_config(config)
    one, train, program = _STUDIES[key], config['train'], config['program']
    points = in_nats(points, config, one.event)
    steps = min(train['log_every'], train['steps'])
    stacked = lanes.stack(points, largest, one.lower_size)
    if key not in _OPERATIONS and not program['width']:
      of_one = one.model, stacked, one.event, train['batch_size'], config['bound']['num_samples']
      _OPERATIONS[key] = building._operations(*of_one)
    count = len(points)
    width = min(program['width'], count) or placement.lanes_at_once(count, _OPERATIONS[key])
    return one._replace(
      name=config['study'],
      points=points,
      names=lanes.names(points),
      lanes=stacked,
      training=one.training._replace(
        schedule=one.training.schedule._replace(chunk_steps=steps),
        placement=placement.of_width(width, train['batch_size']),
      ),
      train=unpacked(study.TrainSettings, train),
      evaluation=unpacked(EvaluationSettings, config['evaluation']),
      program=unpacked(ProgramSettings, program),
      wandb=tracking.Settings(**config['wandb']),
      foresight=study.foresight_of(config, one.dataset),
    )

  def lanewise_once(function, place, per_lane=2, **options):
    compiled_by = compiler._DISABLE_MOST_OPTIMIZATIONS.value, compiler.get_compile_options
    key = (identity(function), place, per_lane, repr(options), compiled_by)
    if key not in _PROGRAMS:  # with the function, so that no other has its identity meanwhile
      made = make(function, place, per_lane, **options)
      _PROGRAMS[key] = made._replace(program=Program(made.program)), function
    return _PROGRAMS[key][0]

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(study, 'from_config', build)
    for module in (chunks, importance, reviews):
      patch.setattr(module, 'lanewise', lanewise_once)
    yield


def _used(points: list[dict[str, Any]]) -> list[str]:
  """Returns the lane fields that are on in any lane, but those that every lane has."""
  always = ('beta', 'latent_size', 'seed', 'learning_rate')
  fields = (field for field in lane_fields.FIELDS if field.name not in always)
  return [f.name for f in fields if any(point[f.name] != f.default for point in points)]


def _content(config: dict[str, Any], *others: Any) -> Hashable:
  """Returns what the programs of a config are made of, with the bytes of its data and own parts."""
  kept = {
    name: config[name] for name in config if name not in ('study', 'lanes', 'evaluation', 'wandb')
  }
  kept['train'] = config['train']['batch_size']
  kept['program'] = config['program'] | dict(width=0, memory_gib=0, resident_gib=0)
  text = json.dumps([workdir.plain(kept), *others], sort_keys=True)
  path = pathlib.Path(config['data'].get('path') or 'none')
  own = (module for name, module in sys.modules.items() if f'"{name}.' in text)
  return text, path.read_bytes() if path.is_file() else b'', tuple(own)
