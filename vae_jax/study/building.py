"""Unpacks a config, once, into the pieces that train: here the config ends."""

import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from vae_jax import (
  data,
  errors,
  flops,
  lanes,
  networks,
  placement,
  programs,
  switches,
  tracking,
  validation,
)
from vae_jax.config import complete
from vae_jax.study import fitting, lawful
from vae_jax.study.announcing import announce
from vae_jax.study.foresight import foresight_of
from vae_jax.study.meaning import Study, counted
from vae_jax.study.model import (
  check_beside,
  check_bias,
  check_network,
  check_support,
  model_of,
)
from vae_jax.study.objective import check_batch, learner_of
from vae_jax.study.points import check_fit, grid_of, in_nats
from vae_jax.study.settings import EvaluationSettings, ProgramSettings, TrainSettings, unpacked


def from_config(config: Mapping[str, Any], fitted: data.Fitted | None = None) -> Study:
  """Checks a config and builds its study; creates no file but the cache of the data.

  Args:
    config: a ConfigDict, or nested mappings.
    fitted: what a run has learned of its training split, where the data are others; see
      `data.prepare`.

  Raises:
    InputError: all that is wrong with the config.
    DamagedError: the data set's file cannot be read.
  """
  config = complete(config)
  points, stored, dataset, built = _checked(config, fitted)
  announce(built, stored, dataset, is_trained=fitted is None)
  _note_sizes(config, dataset)
  model = model_of(built, dataset)
  largest = max(point['latent_size'] for point in points)
  settings, asked = config['train'], config['program']
  batch_size = settings['batch_size']
  stacked = lanes.stack(points, largest, model.lower_size)
  num_samples = config['bound']['num_samples']
  one_lane = learner_of(built, model, points)
  if lawful.from_outside(built):
    lawful.check_whole(one_lane, stacked, stored.event, batch_size)
  event = dataset.train.shape[1:]
  width = _width(asked['width'], model, stacked, event, batch_size, num_samples)
  training = programs.Training(
    learner=one_lane,
    schedule=data.Schedule(
      config['data']['seed'], batch_size, min(settings['log_every'], settings['steps'])
    ),
    scale=dataset.scale,
    dynamic=dataset.dynamic,
    placement=placement.of_width(width, batch_size),
  )
  return Study(
    name=config['study'],
    points=points,
    names=lanes.names(points),
    lanes=stacked,
    dataset=dataset,
    model=model,
    training=training,
    lower_size=model.lower_size,
    kl=config['bound']['kl'],
    is_density=built.likelihood.is_density,
    train=unpacked(TrainSettings, config['train']),
    evaluation=unpacked(EvaluationSettings, config['evaluation']),
    program=unpacked(ProgramSettings, config['program']),
    wandb=tracking.Settings(**config['wandb']),
    foresight=foresight_of(config, dataset),
    is_settled=lawful.settling(built),
  )


def placed(built: Study, devices: Sequence[jax.Device]) -> Study:
  """Returns a study as `from_config` builds it where there are these devices, attached or not."""
  schedule, num_samples = built.training.schedule, built.num_samples
  sizes = built.event, schedule.batch_size, num_samples
  width = _width(built.program.width, built.model, built.lanes, *sizes, devices)
  return built.at_width(width, devices)


def _width(
  asked: int,
  model: networks.Model,
  stacked: lanes.Lane,
  event: Sequence[int],
  batch_size: int,
  num_samples: int,
  devices: Sequence[jax.Device] | None = None,
) -> int:
  """Returns how many lanes a program has: as many as are asked for, or as many as are fastest."""
  num_lanes = len(stacked.beta)
  if asked:
    return min(asked, num_lanes)
  operations = _operations(model, stacked, event, batch_size, num_samples)
  return placement.lanes_at_once(num_lanes, operations, devices)


def _checked(
  config: Mapping[str, Any], fitted: data.Fitted | None
) -> tuple[list[lanes.Point], data.Stored, data.Dataset, validation.Built]:
  """Returns lanes, data set and parts of a config once nothing is wrong with any of it.

  What depends on a wrong key is not looked at: its problems would be no news.

  Raises:
    InputError: all that is wrong with the config.
  """
  problems = validation.problems(config)
  attempt = problems.attempt
  attempt(switches.check)
  points = attempt(grid_of, config, needs=('lanes',))
  source = attempt(data.open_source, config['data'], needs=('data',))
  stored = None
  if source is not None:
    stored = attempt(_read, problems, source, fitting.reading(config['data']))
  given = {}
  if stored is not None:
    given = dict(event=stored.event, num_examples=len(stored.train), columns=stored.columns)
  built = validation.Built(config, problems.keys, **given)

  def ask(check: Callable[..., None], *arguments: Any) -> None:
    """Adds what `check` refuses, unless it needs what is not known."""
    with contextlib.suppress(validation.UnknownError):
      attempt(check, *arguments)

  if points is not None:
    ask(check_fit, points, built)
  dataset = None
  if stored is not None:
    known = len(problems.lines)
    ask(fitting.check_values, built, stored)
    if len(problems.lines) == known:
      settings = fitting.preparing(config, built)
      dataset = attempt(lambda: data.prepare(stored, **settings, fitted=fitted))
  if dataset is not None:
    built = built.knowing(support=dataset.support)
    ask(check_support, built, dataset)
    ask(check_beside, built, dataset)
  if stored is not None:
    for part in ('encoder', 'decoder'):
      ask(check_network, part, built, stored)
    ask(check_bias, built)
    ask(check_batch, built, len(stored.train))
    for section in lawful.from_outside(built):
      ask(lawful.check_part, section, built, stored.event, points or ())
    validation.add_disagreements(problems, built)
  problems.refuse()
  switches.check_devices()
  return in_nats(points, config, stored.event), stored, dataset, built


def _read(
  problems: errors.Problems, source: data.Source, settings: Mapping[str, Any]
) -> data.Stored:
  """Returns what is stored; of a table that has no such splits, all its rows.

  A table is in memory, and what its columns are decides half of a config: then all else that is
  wrong is said at once, too.
  """
  try:
    return data.read(source, **settings)
  except data.AbsentError as error:
    if not source.columns:
      raise
    problems.add(error.problems)
    rows = '+'.join(source.splits)
    whole = dict(train_split=rows, validation_split='', test_split=rows, split_order='stored')
    return data.read(source, **{**settings, **whole})


def _operations(
  model: networks.Model,
  stacked: lanes.Lane,
  event: Sequence[int],
  batch_size: int,
  num_samples: int,
) -> int:
  """Returns the operations of a step of one lane, about: three passes forward, of one example each.

  Tracing the step itself would take half a second of every start.
  """

  def shape(*sizes: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(sizes, jnp.float32)

  mask = shape(*stacked.mask.shape[1:])

  def init(key: jax.Array, mask: jax.Array) -> Any:
    params = model.at_beta(model.init(key, mask), jnp.ones(()))
    return model.knowing(params, model.anything())

  params = jax.eval_shape(init, jax.random.key(0), mask)
  encoding = flops.count(lambda *inputs: model.encode(*inputs).loc, params, shape(*event), mask)
  decoding = flops.count(lambda *inputs: model.decode(*inputs).mean(), params, mask, mask)
  return 3 * batch_size * (encoding + num_samples * decoding)


def _note_sizes(config: Mapping, dataset: data.Dataset) -> None:
  """Says which evaluations ask for more images than there are: they take all."""
  has_factors, asked = dataset.factors is not None, config['evaluation']
  pairs = [pair for pair in counted(dataset) if pair[0] != 'factor_images' or has_factors]
  for split in dict.fromkeys(split for _, split in pairs):
    size = len(dataset.split(split))
    keys = [key for key, of in pairs if of == split and asked[key] > size]
    if keys:
      more = ', '.join(f'evaluation.{key}={asked[key]}' for key in keys)
      logging.info('all %d examples of the %s split are taken for %s', size, split, more)
