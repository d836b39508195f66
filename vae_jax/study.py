"""Unpacks a config, once, into the pieces that train: here the config ends."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from flax import linen as nn

from vae_jax import (
  bounds,
  data,
  densities,
  errors,
  lanes,
  learner,
  networks,
  optimizers,
  programs,
  validation,
)

ENCODERS = {'mlp': networks.MlpEncoder, 'conv': networks.ConvEncoder}
DECODERS = {'mlp': networks.MlpDecoder, 'conv': networks.ConvDecoder}
RATES = {'analytic': bounds.analytic_kl, 'sampled': bounds.sampled_kl}


class Study(NamedTuple):
  """What a config means."""

  name: str
  points: list[lanes.Point]
  names: list[str]  # of the lanes
  lanes: lanes.Lane  # [G]
  dataset: data.Dataset
  model: networks.Model
  training: programs.Training
  num_samples: int  # L

  @property
  def event(self) -> tuple[int, ...]:
    """The shape of one example."""
    return self.dataset.train.shape[1:]


def from_config(config: Mapping[str, Any]) -> Study:
  """Checks a config and builds its study; creates no file but the cache of the data.

  Args:
    config: nested mappings of plain values, every key of `validation.CHECKS`.

  Raises:
    InputError: the first thing that is wrong with the config.
    DamagedError: the data set's file cannot be read.
  """
  validation.check(config)
  points = _points(config)
  dataset = data.load(**config['data'])
  _check_sizes(config, dataset)
  likelihood = _likelihood(config, dataset)
  model = _model(config, dataset, likelihood)
  width = max(point.latent_size for point in points)
  training = programs.Training(
    learner=_learner(config, model),
    batch_size=config['train']['batch_size'],
    chunk_steps=min(config['train']['log_every'], config['train']['steps']),
    data_seed=config['data']['seed'],
    scale=dataset.scale,
    dynamic=dataset.dynamic,
  )
  return Study(
    name=config['study'],
    points=points,
    names=lanes.names(points),
    lanes=lanes.stack(points, width),
    dataset=dataset,
    model=model,
    training=training,
    num_samples=config['bound']['num_samples'],
  )


def _points(config: Mapping) -> list[lanes.Point]:
  axes = config['lanes']
  points = lanes.from_axes(axes['combine'], axes, axes['points'])
  if config['bound']['name'] == 'iwae' and any(point.beta != 1 for point in points):
    raise errors.InputError("lanes.beta: bound.name='iwae' has no beta; set lanes.beta=(1.0,)")
  return points


def _check_sizes(config: Mapping, dataset: data.Dataset) -> None:
  sizes = {
    'train_images': ('train', len(dataset.train)),
    'test_images': ('test', len(dataset.test)),
    'nll_images': ('test', len(dataset.test)),
  }
  for key, (split, size) in sizes.items():
    asked = config['evaluation'][key]
    if asked > size:
      raise errors.InputError(
        f'evaluation.{key}={asked} is more than the {size} images of the {split} split of '
        f'data.name={dataset.name!r}; the nearest valid value is {size}'
      )


def _likelihood(config: Mapping, dataset: data.Dataset) -> densities.Likelihood:
  settings = dict(config['likelihood'])
  name = settings.pop('name')
  likelihood = densities.bernoulli() if name == 'bernoulli' else densities.gaussian(**settings)
  if dataset.support not in likelihood.supports:
    advice = {
      'unit': "data.binarize='dynamic' (or 'static', 'threshold'), or likelihood.name='gaussian'",
      'uint8': "data.binarize='dynamic', or data.scale_to_unit=True and likelihood.name='gaussian'",
      'real': "likelihood.name='gaussian'",
      'binary': "likelihood.name='bernoulli'",
    }[dataset.support]
    if name == 'gaussian' and dataset.support == 'uint8':
      advice = 'data.scale_to_unit=True'
    raise errors.InputError(
      f'likelihood.name={name!r} is no density on the {dataset.support} values of '
      f'data.name={dataset.name!r}; set {advice}'
    )
  if settings['mean'] == 'sigmoid' and name == 'gaussian' and dataset.support != 'unit':
    raise errors.InputError(
      f"likelihood.mean='sigmoid' lies in (0, 1), data.name={dataset.name!r} has {dataset.support} "
      "values; set likelihood.mean='identity'"
    )
  return likelihood


def _model(
  config: Mapping, dataset: data.Dataset, likelihood: densities.Likelihood
) -> networks.Model:
  event = dataset.train.shape[1:]
  for part in ('encoder', 'decoder'):
    if config[part]['name'] == 'conv' and len(event) != 3:
      raise errors.InputError(
        f"{part}.name='conv' needs images [H, W, C]; data.name={dataset.name!r} has examples of "
        f"shape {event}; set {part}.name='mlp'"
      )
  encoder = _network(ENCODERS, config['encoder'])
  settings = dict(config['decoder'])
  bias = _output_bias(settings, dataset, likelihood)
  extra = {'event': event, 'num_heads': likelihood.num_heads, 'output_bias': bias}
  return networks.make_model(encoder, _network(DECODERS, settings | extra), likelihood, event)


def _network(classes: Mapping[str, type[nn.Module]], settings: Mapping[str, Any]) -> nn.Module:
  """Builds a network from the settings that its class has as attributes."""
  network = classes[settings['name']]
  fields = set(network.__dataclass_fields__) - {'name', 'parent'}
  return network(**{key: value for key, value in settings.items() if key in fields})


def _output_bias(
  decoder: Mapping, dataset: data.Dataset, likelihood: densities.Likelihood
) -> Sequence[float]:
  if decoder['output_bias'] == 'zeros':
    return ()
  mean = dataset.train.mean(axis=0, dtype=np.float64) / dataset.scale
  if decoder['name'] == 'conv':
    mean = mean.mean(axis=(0, 1))  # a convolution has one bias per channel
  return tuple(np.ravel(likelihood.output_of_mean(mean)).tolist())


def _learner(config: Mapping, model: networks.Model) -> learner.Learner:
  rate = RATES[config['bound']['kl']]

  def bound(terms, beta):
    if config['bound']['name'] == 'iwae':
      return bounds.iwae_bound(terms)
    return bounds.beta_elbo(terms, beta, rate)

  schedule = optimizers.make_schedule(**config['schedule'])
  optimizer = optimizers.make_optimizer(**config['optimizer'], schedule=schedule)
  return learner.make_learner(model, bound, rate, config['bound']['num_samples'], optimizer)
