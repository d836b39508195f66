"""The forecast of collapse of a study, and what is said of it before the first step."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax import data, densities, forecast, lanes, validation

_HOLD = ('free_bits', 'capacity', 'target_rate')  # fields of a lane that hold its rate at any beta
_SAID = 8  # betas in one line


def forecast_of(config: Mapping[str, Any], dataset: data.Dataset) -> forecast.Forecast | None:
  """Returns the forecast for a config and its training data, see `vae_jax.forecast`.

  None where it has nothing to say: where the likelihood has no variance of its own at a mean, beta
  weighs something else than the rate, the prior is learned, values are missing, or more than x is
  known.

  Args:
    config: complete, see `vae_jax.config.complete`.
    dataset: of the config.
  """
  images, event = dataset.train_fixed, dataset.train.shape[1:]
  built = validation.Built(
    config,
    event=event,
    support=dataset.support,
    num_examples=len(dataset.train),
    columns=dataset.columns,
  )
  likelihood = built.likelihood
  is_standard = issubclass(built.prior.density, densities.StandardNormal)
  if dataset.has_missing or dataset.beside is not None:
    return None
  if likelihood.variance is None or not (built.bound.weighs_rate and is_standard):
    return None
  count = forecast.num_examples(math.prod(event))
  chosen = data.subset(len(images), count, config['data']['seed'])
  x = images[chosen] / np.float32(dataset.fixed_scale)
  if dataset.standard is not None:
    x = (x - dataset.standard.shift) / dataset.standard.spread
  min_scale = None if likelihood.at_scale is None else likelihood.min_scale
  x, is_sample = x.reshape(len(x), -1), len(x) < len(images)
  return forecast.forecast(x, likelihood.variance, min_scale, is_sample)


def foretold(found: forecast.Forecast, points: Sequence[lanes.Point]) -> str:
  """Returns the forecast at the betas of these lanes as a line; '' where it concerns none of them.

  A lane whose rate is held in another way than by its beta is none of them.
  """
  free = [point for point in points if not any(point[field] for field in _HOLD)]
  betas = sorted({point['beta'] for point in free if point['beta'] > 0})
  if not betas:
    return ''
  largest = max(point['latent_size'] for point in free)
  shown = betas if len(betas) <= _SAID else [betas[round(i)] for i in _evenly(len(betas))]
  counts = ', '.join(str(found.active(beta, largest)) for beta in shown)
  first = found.onsets[0] if len(found.onsets) else 0.0
  return (
    f'forecast from the spectrum of the training data: of {largest} latents {counts} can be active '
    f'at beta {", ".join(f"{beta:g}" for beta in shown)}; none from beta {first:.3g} on'
  )


def _evenly(count: int) -> np.ndarray:
  return np.linspace(0, count - 1, _SAID)
