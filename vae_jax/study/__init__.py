"""Unpacks a config, once, into the pieces that train: here the config ends."""

import contextlib
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vae_jax import (
  data,
  flops,
  lanes,
  networks,
  placement,
  programs,
  switches,
  validation,
)
from vae_jax.config import complete
from vae_jax.study import fitting, lawful
from vae_jax.study.announcing import announce
from vae_jax.study.collapse import forecast_of as forecast_of  # for who trains
from vae_jax.study.collapse import foretold as foretold
from vae_jax.study.lengths import cut_short as cut_short
from vae_jax.study.model import check_bias, check_network, check_support, model_of
from vae_jax.study.objective import check_batch, learner_of
from vae_jax.study.points import check_fit, grid_of, in_nats
from vae_jax.study.points import points_of as points_of  # for who reads the lanes alone
from vae_jax.study.settings import EvaluationSettings, ProgramSettings, unpacked
from vae_jax.study.settings import TrainSettings as TrainSettings
from vae_jax.study.start import Start as Start  # for who asks where training starts
from vae_jax.study.start import start_of as start_of
from vae_jax.study.trained import Trained as Trained
from vae_jax.study.trained import dataset_of as dataset_of  # for who loads a run
from vae_jax.study.trained import trained_of as trained_of

# The splits whose images each of these settings of the evaluation counts.
_COUNTED = {
  'train_images': ('train',),
  'validation_images': ('validation',),
  'test_images': ('test',),
  'nll_images': ('test', 'validation'),
  'aggregate_images': ('test',),
  'factor_images': ('test',),
}
_NUM_BETAS = 13  # of a curve over all that a bound trains


class Study(NamedTuple):
  """What a config means."""

  name: str
  points: list[lanes.Point]
  names: list[str]  # of the lanes
  lanes: lanes.Lane  # [G]
  dataset: data.Dataset
  model: networks.Model
  training: programs.Training
  lower_size: int  # of the lower of two layers of latents; 0 for one layer
  kl: str  # 'analytic' or 'sampled': how the rate is estimated
  is_density: bool  # whether the likelihood is one: else there is no NLL
  train: TrainSettings
  evaluation: EvaluationSettings
  program: ProgramSettings

  @property
  def event(self) -> tuple[int, ...]:
    """The shape of one example."""
    return self.dataset.train.shape[1:]

  @property
  def place(self) -> placement.Placement:
    """Where the lanes are computed."""
    return self.training.placement

  @property
  def num_samples(self) -> int:
    """L."""
    return self.training.learner.num_samples

  @property
  def betas(self) -> list[float]:
    """Where the lanes are evaluated beside their own beta; none of lanes trained for one beta."""
    beta_range = self.model.beta_range
    if not beta_range:
      return []
    return list(self.evaluation.betas) or np.geomspace(*beta_range, _NUM_BETAS).tolist()

  @property
  def chosen_on(self) -> str:
    """The split by which all choosing goes: 'validation', or 'test' where there is none."""
    return self.dataset.chosen_on

  def sample(self, split: str, count: int) -> np.ndarray:
    """Returns the indices of the images of a split that are evaluated; 0 takes all.

    Args:
      split: 'train', 'validation' or 'test'.
      count: how many are asked for.
    """
    return data.subset(len(self.dataset.split(split)), count, self.training.schedule.seed)

  def sampling(self) -> dict[str, Any]:
    """Returns which images the evaluation takes: seed, counts, sha256 of the indices.

    The sha256 is that of the indices as little-endian int64.
    """
    record: dict[str, Any] = {'seed': self.training.schedule.seed}
    for key, split in _counted(self.dataset):
      chosen = self.sample(split, getattr(self.evaluation, key))
      digest = hashlib.sha256(chosen.astype('<i8')).hexdigest()
      size = len(self.dataset.split(split))
      name = key if split == _COUNTED[key][0] else f'{split}/{key}'
      record[name] = {'split': split, 'count': len(chosen), 'of': size, 'sha256': digest}
    return record

  def at_width(self, width: int) -> 'Study':
    """Returns the same study in programs of `width` lanes, or as many as the devices make of it."""
    place = placement.of_width(width, self.training.schedule.batch_size)
    return self._replace(training=self.training._replace(placement=place))

  def only(self, chosen: Sequence[int]) -> 'Study':
    """Returns the study of some of its lanes, as they are beside the others: padded as there."""
    return self._replace(
      points=[self.points[i] for i in chosen],
      names=[self.names[i] for i in chosen],
      lanes=jax.tree.map(lambda leaf: leaf[np.array(chosen, int)], self.lanes),
    )

  def feed(self) -> data.Feed:
    """Returns what the training program reads."""
    images = self.dataset.train
    # The cores of a CPU hold a copy each in the same memory.
    copies = len(self.place.mesh.local_devices) if self.place.is_cpu else 1
    is_resident = copies * images.nbytes <= self.program.resident_gib * 2**30
    make = data.resident if is_resident else data.streamed
    return make(images, self.training.schedule, self.place.everywhere)


def from_config(config: Mapping[str, Any]) -> Study:
  """Checks a config and builds its study; creates no file but the cache of the data.

  Args:
    config: a ConfigDict, or nested mappings.

  Raises:
    InputError: all that is wrong with the config.
    DamagedError: the data set's file cannot be read.
  """
  config = complete(config)
  points, stored, dataset, built = _checked(config)
  announce(built, stored, dataset)
  _note_sizes(config, dataset)
  model = model_of(built, dataset)
  largest = max(point['latent_size'] for point in points)
  settings, asked = config['train'], config['program']
  batch_size = settings['batch_size']
  stacked = lanes.stack(points, largest, model.lower_size)
  num_samples = config['bound']['num_samples']
  one_lane = learner_of(built, model, any(point['target_rate'] for point in points))
  if lawful.from_outside(built):
    lawful.check_whole(one_lane, stacked, stored.event, batch_size)
  operations = _operations(model, stacked, dataset.train.shape[1:], batch_size, num_samples)
  width = min(asked['width'], len(points)) or placement.lanes_at_once(len(points), operations)
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
  )


def _checked(
  config: Mapping[str, Any],
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
    stored = attempt(lambda: data.read(source, **fitting.reading(config['data'])))
  given = {} if stored is None else {'event': stored.event, 'num_examples': len(stored.train)}
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
      dataset = attempt(lambda: data.prepare(stored, **fitting.preparing(config['data'])))
  if dataset is not None:
    built = built.knowing(support=dataset.support)
    ask(check_support, built, dataset)
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
  init = lambda key, mask: model.at_beta(model.init(key, mask), jnp.ones(()))  # noqa: E731
  params = jax.eval_shape(init, jax.random.key(0), mask)
  encoding = flops.count(lambda *inputs: model.encode(*inputs).loc, params, shape(*event), mask)
  decoding = flops.count(lambda *inputs: model.decode(*inputs).mean(), params, mask, mask)
  return 3 * batch_size * (encoding + num_samples * decoding)


def _counted(dataset: data.Dataset) -> list[tuple[str, str]]:
  """Returns the settings that count images, each with a split of which there are some."""
  pairs = [(key, split) for key, splits in _COUNTED.items() for split in splits]
  return [(key, split) for key, split in pairs if len(dataset.split(split))]


def _note_sizes(config: Mapping, dataset: data.Dataset) -> None:
  """Says which evaluations ask for more images than there are: they take all."""
  has_factors, asked = dataset.factors is not None, config['evaluation']
  counted = [pair for pair in _counted(dataset) if pair[0] != 'factor_images' or has_factors]
  for split in dict.fromkeys(split for _, split in counted):
    size = len(dataset.split(split))
    keys = [key for key, of in counted if of == split and asked[key] > size]
    if keys:
      more = ', '.join(f'evaluation.{key}={asked[key]}' for key in keys)
      logging.info('all %d images of the %s split are taken for %s', size, split, more)
