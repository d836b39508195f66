"""Unpacks a config, once, into the pieces that train: here the config ends."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from vae_jax import data, errors, lanes, networks, programs, validation
from vae_jax.study.model import likelihood_of, lower_size_of, model_of
from vae_jax.study.objective import learner_of
from vae_jax.study.points import points_of


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
  lower_size: int  # of the lower of two layers of latents; 0 for one layer
  is_density: bool  # whether the likelihood is one: else there is no NLL

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
  points = points_of(config)
  dataset = data.load(**config['data'])
  _check_sizes(config, dataset)
  likelihood = likelihood_of(config, dataset)
  model = model_of(config, dataset, likelihood)
  width = max(point.latent_size for point in points)
  training = programs.Training(
    learner=learner_of(config, len(dataset.train), model),
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
    lanes=lanes.stack(points, width, lower_size_of(config)),
    dataset=dataset,
    model=model,
    training=training,
    num_samples=config['bound']['num_samples'],
    lower_size=lower_size_of(config),
    is_density=likelihood.is_density,
  )


def _check_sizes(config: Mapping, dataset: data.Dataset) -> None:
  sizes = {
    'train_images': ('train', len(dataset.train)),
    'test_images': ('test', len(dataset.test)),
    'nll_images': ('test', len(dataset.test)),
    'aggregate_images': ('test', len(dataset.test)),
    **({'factor_images': ('test', len(dataset.test))} if dataset.factors else {}),
  }
  for key, (split, size) in sizes.items():
    asked = config['evaluation'][key]
    if asked > size:
      raise errors.InputError(
        f'evaluation.{key}={asked} is more than the {size} images of the {split} split of '
        f'data.name={dataset.name!r}; the nearest valid value is {size}'
      )
