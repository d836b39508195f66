"""What a trained study needs of its config: the model, without its optimiser, and its data."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from vae_jax import bounds, data, networks, validation
from vae_jax.study import fitting
from vae_jax.study.model import model_of
from vae_jax.study.objective import NOISES, RATES


class Trained(NamedTuple):
  """The model of a config as it is evaluated.

  Attributes:
    model: encoder, posterior, prior, decoder, likelihood.
    rate: the form of the KL that is reported.
    draw: (key, N, L, Z) -> the noise [N, L, Z] of an evaluation.
    lower_size: of the lower of two layers of latents; 0 for one.
    is_density: whether the likelihood is one.
    beta_range: the lowest and the highest beta of lanes that were trained for all; () for one.
  """

  model: networks.Model
  rate: bounds.Rate
  draw: Callable[..., Any]
  lower_size: int
  is_density: bool
  beta_range: Sequence[float]


def trained_of(config: Mapping[str, Any], dataset: data.Dataset, num_examples: int) -> Trained:
  """Returns what a config has trained.

  Args:
    config: of a run, complete.
    dataset: of the config, or what stands for it; of its images the shape alone matters.
    num_examples: of the training split.

  Raises:
    InputError: a part cannot be imported.
  """
  event = dataset.train.shape[1:]
  # The first biases are stored with the others.
  config = {**config, 'decoder': {**config['decoder'], 'output_bias': 'zeros'}}
  built = validation.Built(config, event=event, num_examples=num_examples, columns=dataset.columns)
  built = built.knowing(support=dataset.support)
  model = model_of(built, dataset)
  return Trained(
    model=model,
    rate=RATES[config['bound']['kl']],
    draw=NOISES[config['bound']['noise']],
    lower_size=model.lower_size,
    is_density=built.likelihood.is_density,
    beta_range=model.beta_range,
  )


def dataset_of(config: Mapping[str, Any]) -> data.Dataset:
  """Returns the data set of a config.

  Raises:
    InputError, DamagedError: it is not there, or cannot be read.
  """
  stored = data.read(data.open_source(config['data']), **fitting.reading(config['data']))
  built = validation.Built(config, event=stored.event, columns=stored.columns)
  return data.prepare(stored, **fitting.preparing(config, built))
