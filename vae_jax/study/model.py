"""From a config to its model: networks, latents, likelihood."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from vae_jax import data, densities, errors, networks

ENCODERS = {'mlp': networks.MlpEncoder, 'conv': networks.ConvEncoder}
DECODERS = {'mlp': networks.MlpDecoder, 'conv': networks.ConvDecoder}

_LIKELIHOODS: Mapping[str, tuple[Callable[..., densities.Likelihood], tuple[str, ...]]] = {
  'bernoulli': (densities.bernoulli, ()),
  'continuous_bernoulli': (densities.continuous_bernoulli, ()),
  'cross_entropy': (densities.cross_entropy, ()),
  'gaussian': (densities.gaussian, ('scale', 'initial_scale', 'min_scale', 'mean')),
  'discretized_logistic': (
    densities.discretized_logistic,
    ('num_components', 'initial_scale', 'min_scale'),
  ),
  'categorical': (densities.categorical, ()),
}

_ADVICE = {
  'unit': (
    "data.binarize='dynamic' (or 'static', 'threshold'); or likelihood.name='continuous_bernoulli' "
    "(or 'gaussian', a density on the line, a part of which lies outside of [0, 1])"
  ),
  'uint8': (
    "data.binarize='dynamic'; or likelihood.name='discretized_logistic'; or "
    "data.scale_to_unit=True, likelihood.name='continuous_bernoulli'"
  ),
  'real': "likelihood.name='gaussian'",
  'binary': "likelihood.name='bernoulli'",
}


def likelihood_of(config: Mapping, dataset: data.Dataset) -> densities.Likelihood:
  """Returns the likelihood of a config.

  Raises:
    InputError: it is no density on the values of the data set.
  """
  settings = config['likelihood']
  make, keys = _LIKELIHOODS[settings['name']]
  likelihood = make(**{key: settings[key] for key in keys})
  if dataset.support not in likelihood.supports:
    advice = _ADVICE[dataset.support]
    if dataset.support == 'uint8' and 'unit' in likelihood.supports:
      advice = 'data.scale_to_unit=True'
    elif dataset.support == 'unit' and dataset.scale != 1 and 'uint8' in likelihood.supports:
      ranged = 'data.range=(), ' if len(config['data']['range']) else ''
      advice = f'{ranged}data.scale_to_unit=False'
    raise errors.InputError(
      f'likelihood.name={settings["name"]!r} is no density on the {dataset.support} values of '
      f'data.name={dataset.name!r}; set {advice}'
    )
  is_gaussian = settings['name'] == 'gaussian'
  if is_gaussian and settings['mean'] == 'sigmoid' and dataset.support != 'unit':
    raise errors.InputError(
      f"likelihood.mean='sigmoid' lies in (0, 1), data.name={dataset.name!r} has {dataset.support} "
      "values; set likelihood.mean='identity'"
    )
  return likelihood


def check_network(
  part: str, config: Mapping, stored: data.Stored, likelihood: densities.Likelihood | None
) -> None:
  """Checks whether a network goes with the data and, where there is one, the likelihood.

  Args:
    part: 'encoder' or 'decoder'.

  Raises:
    InputError: the data set has no images to convolve, or no mean to begin at.
  """
  event, settings = stored.event, config[part]
  if settings['name'] == 'conv' and len(event) != 3:
    raise errors.InputError(
      f"{part}.name='conv' needs images [H, W, C]; {stored.where} has examples of shape {event}; "
      f"set {part}.name='mlp', {part}.channels=(), {part}.kernels=(), {part}.strides=()"
    )
  from_mean = part == 'decoder' and settings['output_bias'] == 'train_mean'
  if from_mean and likelihood is not None and likelihood.output_of_mean is None:
    raise errors.InputError(
      "decoder.output_bias='train_mean': no bias gives likelihood.name="
      f"{config['likelihood']['name']!r} a mean; set decoder.output_bias='zeros'"
    )


def model_of(
  config: Mapping, dataset: data.Dataset, likelihood: densities.Likelihood
) -> networks.Model:
  """Returns encoder, latents, decoder and likelihood of a config as one model."""
  event = dataset.train.shape[1:]
  bias = _output_bias(config, dataset, likelihood)
  extra = {'event': event, 'num_heads': likelihood.num_heads, 'output_bias': bias}
  return networks.make_model(
    encoder=_network(ENCODERS, config['encoder']),
    posterior=_posterior(config['posterior'], config['encoder']),
    prior=_prior(config, event, unit=dataset.support != 'real'),
    decoder=_network(DECODERS, config['decoder'] | extra),
    likelihood=likelihood,
    event=event,
    input_scale=255.0 if dataset.support == 'uint8' else 1.0,
    standard=dataset.standard,
    lower_size=lower_size_of(config),
    compute_dtype=jnp.dtype(config['program']['compute_dtype']),
  )


def _network(classes: Mapping[str, type[nn.Module]], settings: Mapping[str, Any]) -> nn.Module:
  """Builds a network from the settings that its class has as attributes."""
  network = classes[settings['name']]
  fields = set(network.__dataclass_fields__) - {'name', 'parent'}
  return network(**{key: value for key, value in settings.items() if key in fields})


def _posterior(settings: Mapping, encoder: Mapping) -> networks.PosteriorNetwork:
  init = encoder['kernel_init']
  if settings['name'] == 'flow':
    flow = networks.CouplingFlow(settings['num_layers'], tuple(settings['hidden']))
    return networks.flow_posterior(init, flow)
  if settings['name'] == 'two_layer':
    return networks.two_layer_posterior(
      settings['lower_size'], settings['hidden'], encoder['activation'], init
    )
  simple = {'diagonal': networks.diagonal, 'full_covariance': networks.full_covariance}
  return simple[settings['name']](init)


def _prior(config: Mapping, event: Sequence[int], unit: bool) -> networks.PriorNetwork:
  settings, decoder = config['prior'], config['decoder']
  makers = {
    'standard_normal': networks.standard_normal,
    'mixture': lambda: networks.mixture(settings['num_components']),
    'vamp': lambda: networks.vamp(settings['num_components'], event, unit),
    'flow': lambda: networks.flow_prior(
      networks.CouplingFlow(settings['num_layers'], tuple(settings['hidden']))
    ),
    'two_layer': lambda: networks.two_layer_prior(
      config['posterior']['lower_size'],
      settings['hidden'],
      decoder['activation'],
      decoder['kernel_init'],
    ),
  }
  return makers[settings['name']]()


def lower_size_of(config: Mapping) -> int:
  """Returns the size of the lower of two layers of latents, 0 where there is one."""
  settings = config['posterior']
  return settings['lower_size'] if settings['name'] == 'two_layer' else 0


def _output_bias(
  config: Mapping, dataset: data.Dataset, likelihood: densities.Likelihood
) -> Sequence[float]:
  decoder = config['decoder']
  if decoder['output_bias'] == 'zeros':
    return ()
  mean = dataset.train.mean(axis=0, dtype=np.float64) / dataset.scale
  if dataset.standard is not None:
    mean = (mean - dataset.standard.shift) / dataset.standard.spread
  if decoder['name'] == 'conv':
    mean = mean.mean(axis=(0, 1))  # a convolution has one bias per channel
  return tuple(np.ravel(likelihood.output_of_mean(mean)).tolist())
