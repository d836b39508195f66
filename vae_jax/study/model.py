"""From a config to its model: networks, latents, likelihood."""

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from vae_jax import data, densities, errors, networks, parts, validation

_ADVICE = {
  'unit': (
    "data.binarize='dynamic' (or 'static', 'threshold'); or likelihood.name='continuous_bernoulli' "
    "(or 'gaussian', a density on the line, a part of which lies outside of [0, 1])"
  ),
  'uint8': (
    "data.binarize='dynamic'; or likelihood.name='discretized_logistic'; or "
    "data.scale_to_unit=True, likelihood.name='continuous_bernoulli'"
  ),
  'real': "likelihood.name='gaussian', likelihood.mean='identity'",
  'binary': "likelihood.name='bernoulli'",
  'count': "likelihood.name='negative_binomial' (or 'poisson'), or data.kind='real'",
}


def check_support(built: validation.Built, dataset: data.Dataset) -> None:
  """Raises InputError where the likelihood is no density on the values of the data set."""
  likelihood, support = built.likelihood, dataset.support
  if support in likelihood.supports:
    return
  advice = _ADVICE[support]
  if 'count' in likelihood.supports:
    advice = "data.kind='count', data.binarize='none', data.standardize='none'"
  elif support == 'uint8' and 'unit' in likelihood.supports:
    advice = 'data.scale_to_unit=True'
  elif support == 'unit' and dataset.scale != 1 and 'uint8' in likelihood.supports:
    ranged = 'data.range=(), ' if len(built.config['data']['range']) else ''
    advice = f'{ranged}data.scale_to_unit=False'
  raise errors.InputError(
    f'likelihood.name={built.name("likelihood")!r} is no density on the {support} values of '
    f'data.name={dataset.name!r}; set {advice}'
  )


def check_beside(built: validation.Built, dataset: data.Dataset) -> None:
  """Checks whether the parts go with what is known beside the examples, and with what is missing.

  Raises:
    InputError: one does not; one line.
  """
  settings = built.config['data']
  if settings['conditions'] and built.prior.reads_encoder:
    raise errors.InputError(
      f'prior.name={built.name("prior")!r} is made by the encoder, which data.conditions='
      f"{tuple(settings['conditions'])!r} change from example to example; set prior.name='mixture'"
    )
  likelihood, name = built.likelihood, built.name('likelihood')
  if settings['size_factor'] and likelihood.sized is None:
    raise errors.InputError(
      f'data.size_factor={settings["size_factor"]!r}: likelihood.name={name!r} has no rate that a '
      "size multiplies; set likelihood.name='negative_binomial' or 'poisson', or "
      "data.size_factor=''"
    )
  if not dataset.has_missing:
    return
  shape = likelihood.num_heads + likelihood.num_shared, math.prod(dataset.train.shape[1:])
  if likelihood.refit is not None or not densities.is_product(likelihood.make(np.zeros(shape))):
    raise errors.InputError(
      f"data.missing='left_out': likelihood.name={name!r} has no part for single values: its "
      "numbers are fitted to, or shared by, all of an example; set data.missing='refused'"
    )


def check_network(part: str, built: validation.Built, stored: data.Stored) -> None:
  """Checks whether a network goes with the data.

  Args:
    part: 'encoder' or 'decoder'.

  Raises:
    InputError: the data set has no images to convolve.
  """
  name, event = built.name(part), stored.event
  if len(event) not in getattr(parts.resolve(part, name), 'EVENT_RANKS', (len(event),)):
    raise errors.InputError(
      f"{part}.name={name!r} needs images [H, W, C], or signals [T, C] (data.kind='signal'); "
      f"{stored.where} has examples of shape {event}; set {part}.name='mlp'"
    )


def check_bias(built: validation.Built) -> None:
  """Raises InputError where no bias gives the first outputs the mean of the training set."""
  if built.value('decoder.output_bias') != 'train_mean':
    return
  why = ''
  if built.likelihood.output_of_mean is None:
    why = f'no bias gives likelihood.name={built.name("likelihood")!r} a mean'
  elif not any(built.asks_for('decoder', key) for key in ('pixel_bias', 'channel_bias')):
    why = f'decoder.name={built.name("decoder")!r} takes neither pixel_bias nor channel_bias'
  if why:
    raise errors.InputError(
      f"decoder.output_bias='train_mean': {why}; set decoder.output_bias='zeros'"
    )


def mean_of_bias(built: validation.Built, mean: np.ndarray) -> np.ndarray:
  """Returns the means that the biases of a decoder can begin at: by pixel, or by channel."""
  return mean if built.asks_for('decoder', 'pixel_bias') else mean.mean(axis=(0, 1))


def model_of(built: validation.Built, dataset: data.Dataset) -> networks.Model:
  """Returns encoder, latents, decoder and likelihood of a config as one model."""
  likelihood = built.likelihood
  decoder = built.part(
    'decoder', num_heads=likelihood.num_heads, **_output_bias(built, dataset, likelihood)
  )
  return networks.make_model(
    encoder=built.part('encoder'),
    posterior=built.posterior,
    prior=built.prior,
    decoder=decoder,
    likelihood=likelihood,
    event=dataset.train.shape[1:],
    input_scale=255.0 if dataset.support == 'uint8' else 1.0,
    standard=dataset.standard,
    lower_size=built.posterior.lower_size,
    compute_dtype=jnp.dtype(built.config['program']['compute_dtype']),
    beta_range=built.bound.beta_range,
    condition_size=sum(condition.size for condition in dataset.conditions),
    has_sizes=built.config['data']['size_factor'] != '',
    has_missing=dataset.has_missing,
  )


def _output_bias(
  built: validation.Built, dataset: data.Dataset, likelihood: densities.Likelihood
) -> Mapping[str, Any]:
  """Returns the initial bias of the first output, as a decoder takes it."""
  none = {'pixel_bias': (), 'channel_bias': ()}
  if built.config['decoder']['output_bias'] == 'zeros':
    return none
  mean = data.blocks.mean(dataset.train, 0) / dataset.scale
  if dataset.standard is not None:
    mean = (mean - dataset.standard.shift) / dataset.standard.spread
  bias = likelihood.output_of_mean(mean_of_bias(built, mean))
  key = 'pixel_bias' if built.asks_for('decoder', 'pixel_bias') else 'channel_bias'
  return none | {key: tuple(np.ravel(bias).tolist())}
