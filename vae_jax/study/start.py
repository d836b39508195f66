"""Where a decoder starts, beside the best that it could do without its latents."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from vae_jax import data, densities, evaluation
from vae_jax.study.model import likelihood_of

_FOR_MEAN, _FOR_DISTORTION = 10_000, 1000  # images are enough
_FAR = 0.75  # nats per dimension to gain, from which on it is said
_MISFIT = 10.0  # how far the spread of real data is from 1 where they want standardising
_LEARNED = 0.1  # nats per dimension above the best constant decoder
_AS_GOOD = 0.01  # the same, where training begins at it


class Start(NamedTuple):
  """Distortions of decoders that ignore z over the test images; nats per example, lower is better.

  Attributes:
    given: of the initial biases of the config. The initial kernels are left aside: they differ from
      lane to lane, and add what z does to an untrained decoder.
    best: of the training mean at the best scale, see `evaluation.constant_distortion`; None where
      the likelihood's first output does not set its mean.
    size: D.
    advice: what to set so that training starts at the best; '' where there is little to gain.
  """

  given: float
  best: float | None
  size: int
  advice: str

  def has_started(self, distortion: float) -> bool:
    """Tells whether a decoder has come half the way to the best that ignores z, or is as good."""
    if self.best is None:
      return distortion < self.given - _LEARNED * self.size
    return distortion - self.best <= max(_AS_GOOD * self.size, (self.given - self.best) / 2)

  def has_learned(self, distortion: float) -> bool:
    """Tells whether a decoder has learned what there is to learn without z, or more.

    It has started, and is within a tenth of a nat per dimension of the best decoder that ignores z.
    Before, latents that carry nothing are no collapse: there was nothing yet for which a rate could
    have been paid.
    """
    near = self.best is None or distortion - self.best <= _LEARNED * self.size
    return near and self.has_started(distortion)


class _Constants:
  """Constant decoders of a config over a sample of the test images, compiled once."""

  def __init__(self, config: Mapping, dataset: data.Dataset, images: np.ndarray):
    def likelihood(scale: Any) -> densities.Likelihood:
      settings = {**config['likelihood'], 'initial_scale': scale}
      return likelihood_of({**config, 'likelihood': settings}, dataset)

    chosen = data.subset(len(images), _FOR_DISTORTION, config['data']['seed'])
    self.x = _seen(images[chosen] / np.float32(dataset.fixed_scale), dataset)
    # The likelihood is over standardised values, and distortions are of those as stored.
    standard = dataset.standard
    self._volume = 0.0 if standard is None else float(np.log(standard.spread, dtype=float).sum())
    self._distortion = jax.jit(
      lambda scale, first, x: evaluation.constant_distortion(likelihood(scale), first, x)
    )
    self.output_of_mean = jax.jit(lambda scale, mean: likelihood(scale).output_of_mean(mean))

  def distortion(self, scale: float, first: Any) -> float:
    """Returns nats per example."""
    return float(self._distortion(scale, first, self.x)) + self._volume

  def best(self, mean: np.ndarray, lowest: float, unit: float) -> tuple[float, float]:
    """Returns the best scale above `lowest`, and the distortion at it; `unit` is that of scales."""
    spread = max(math.sqrt(np.mean(np.square(self.x - mean))) / unit, lowest)
    first = self.output_of_mean(spread, mean)
    scale = evaluation.best_scale(lambda s: self.distortion(s, first), spread, lowest)
    return scale, self.distortion(scale, self.output_of_mean(scale, mean))


def start_of(config: Mapping[str, Any], dataset: data.Dataset, images: np.ndarray) -> Start:
  """Returns where the decoders of a config start.

  Args:
    config: every key of `validation.CHECKS`.
    dataset: of the config.
    images: of the test set, as stored, [n, *event].
  """
  settings, size = config['likelihood'], math.prod(images.shape[1:])
  scale, mean = float(settings['initial_scale']), _mean(dataset, config['data']['seed'])
  constants = _Constants(config, dataset, images)
  if likelihood_of(config, dataset).output_of_mean is None:
    return Start(constants.distortion(scale, np.zeros(mean.shape, np.float32)), None, size, '')
  given = constants.distortion(scale, _first(config, mean, scale, constants))
  if _learns_scale(settings):
    unit = 255.0 if dataset.support == 'uint8' else 1.0  # from black to white
    scale, best = constants.best(mean, settings['min_scale'], unit)
  else:
    best = constants.distortion(scale, constants.output_of_mean(scale, mean))
  advice = ''
  if given - best >= _FAR * size and (changes := _changes(config, dataset, scale, constants.x)):
    advice = (
      f'training starts at a distortion of {_whole(given)} nats per example, where a decoder that '
      f'ignores z can have {_whole(best)}: set {" and ".join(changes)}'
    )
  return Start(given, best, size, advice)


def _whole(nats: float) -> str:
  return f'{nats:,.0f}' if abs(nats) >= 0.5 else '0'  # and never -0


def _mean(dataset: data.Dataset, seed: int) -> np.ndarray:
  chosen = data.subset(len(dataset.train), _FOR_MEAN, seed)
  return _seen(dataset.train[chosen].mean(axis=0, dtype=np.float64) / dataset.scale, dataset)


def _seen(values: np.ndarray, dataset: data.Dataset) -> np.ndarray:
  """Returns values as the likelihood sees them."""
  if dataset.standard is not None:
    values = (values - dataset.standard.shift) / dataset.standard.spread
  return values.astype(np.float32)


def _first(config: Mapping, mean: np.ndarray, scale: float, constants: _Constants) -> Any:
  """Returns the first output of a decoder whose kernels are 0, [*event]."""
  if config['decoder']['output_bias'] == 'zeros':
    return np.zeros(mean.shape, np.float32)
  if config['decoder']['name'] == 'conv':
    mean = np.broadcast_to(mean.mean(axis=(0, 1)), mean.shape)  # a bias for each channel
  return constants.output_of_mean(scale, mean)


def _learns_scale(settings: Mapping) -> bool:
  is_learned_gaussian = settings['name'] == 'gaussian' and settings['scale'] != 'fixed'
  return settings['name'] == 'discretized_logistic' or is_learned_gaussian


def _changes(config: Mapping, dataset: data.Dataset, scale: float, x: np.ndarray) -> list[str]:
  """Returns what to set so that training starts at the best constant decoder."""
  if dataset.support == 'real' and not 1 / _MISFIT < x.std() < _MISFIT:
    mode = 'all' if x.ndim == 4 else 'per_pixel'  # pictures, or a table
    return [f'data.standardize={mode!r}']
  changes = []
  if _learns_scale(config['likelihood']):
    changes.append(f'likelihood.initial_scale={scale:.2g}')
  if config['decoder']['output_bias'] == 'zeros':
    changes.append("decoder.output_bias='train_mean'")
  return changes
