"""Where a decoder starts, beside the best that it could do without its latents."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from vae_jax import data, densities, evaluation, validation
from vae_jax.study.model import mean_of_bias

_FOR_MEAN, _FOR_DISTORTION = 10_000, 1000  # images are enough
_FAR = 0.75  # nats per dimension to gain, from which on it is said
_MISFIT = 10.0  # how far the spread of real data is from 1 where they want standardising
_LEARNED = 0.1  # nats per dimension above the best constant decoder
_AS_GOOD = 0.01  # the same, where training begins at it


class Start(NamedTuple):
  """Distortions of decoders that ignore z, over images that are evaluated; nats, lower is better.

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
  """Constant decoders over a sample of the images, compiled once.

  Attributes:
    x: the images, as the likelihood sees them.
    output_of_mean: (scale, mean) -> the first output; see `distortion` for the scale.
  """

  def __init__(
    self,
    given: densities.Likelihood,
    dataset: data.Dataset,
    images: np.ndarray,
    seed: int,
    beside: data.Beside,
  ):
    def likelihood(scale: Any) -> densities.Likelihood:
      return given if scale is None else given.at_scale(scale)

    chosen = data.subset(len(images), _FOR_DISTORTION, seed)
    self.x = _seen(images[chosen] / np.float32(dataset.fixed_scale), dataset)
    # The likelihood is over standardised values, and distortions are of those as stored.
    standard, sizes, has_missing = dataset.standard, beside.take(chosen).size, dataset.has_missing
    self._volume = 0.0
    if standard is not None:
      logs = np.log(standard.spread, dtype=float)
      self._volume = float(
        (logs * ~np.isnan(self.x)).sum() / len(self.x) if has_missing else logs.sum()
      )
    self._distortion = jax.jit(
      lambda scale, first, x: evaluation.constant_distortion(
        likelihood(scale), first, x, sizes, has_missing
      )
    )
    self.output_of_mean = jax.jit(lambda scale, mean: likelihood(scale).output_of_mean(mean))

  def distortion(self, scale: float | None, first: Any) -> float:
    """Returns nats per example, at a learned scale or, where it is None, at that of the config."""
    return float(self._distortion(scale, first, self.x)) + self._volume

  def best(self, mean: np.ndarray, lowest: float, unit: float) -> tuple[float, float]:
    """Returns the best scale above `lowest`, and the distortion at it; `unit` is that of scales."""
    spread = max(math.sqrt(np.nanmean(np.square(self.x - mean))) / unit, lowest)
    first = self.output_of_mean(spread, mean)
    scale = evaluation.best_scale(lambda s: self.distortion(s, first), spread, lowest)
    return scale, self.distortion(scale, self.output_of_mean(scale, mean))


def start_of(
  config: Mapping[str, Any],
  dataset: data.Dataset,
  images: np.ndarray,
  beside: data.Beside = data.NOTHING,
) -> Start:
  """Returns where the decoders of a config start.

  Args:
    config: complete, see `vae_jax.config.complete`.
    dataset: of the config.
    images: of the split by which choosing goes, as stored, [n, *event].
    beside: what is known of these.
  """
  seed, size = config['data']['seed'], math.prod(images.shape[1:])
  built = validation.Built(
    config, event=images.shape[1:], support=dataset.support, columns=dataset.columns
  )
  mean, likelihood = _mean(dataset, seed), built.likelihood
  constants = _Constants(likelihood, dataset, images, seed, beside)
  if likelihood.output_of_mean is None:
    return Start(constants.distortion(None, np.zeros(mean.shape, np.float32)), None, size, '')
  given = constants.distortion(None, _first(built, mean, constants))
  if likelihood.at_scale is not None:
    unit = 255.0 if dataset.support == 'uint8' else 1.0  # from black to white
    scale, best = constants.best(mean, likelihood.min_scale, unit)
  else:
    scale, best = None, constants.distortion(None, constants.output_of_mean(None, mean))
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
  mean = np.nanmean(dataset.train[chosen], axis=0, dtype=np.float64)
  return _seen(mean / dataset.scale, dataset)


def _seen(values: np.ndarray, dataset: data.Dataset) -> np.ndarray:
  """Returns values as the likelihood sees them."""
  if dataset.standard is not None:
    values = (values - dataset.standard.shift) / dataset.standard.spread
  return values.astype(np.float32)


def _first(built: validation.Built, mean: np.ndarray, constants: _Constants) -> Any:
  """Returns the first output of a decoder whose kernels are 0, [*event]."""
  if built.config['decoder']['output_bias'] == 'zeros':
    return np.zeros(mean.shape, np.float32)
  return constants.output_of_mean(None, np.broadcast_to(mean_of_bias(built, mean), mean.shape))


def _changes(
  config: Mapping, dataset: data.Dataset, scale: float | None, x: np.ndarray
) -> list[str]:
  """Returns what to set so that training starts at the best constant decoder."""
  if dataset.support == 'real' and not 1 / _MISFIT < np.nanstd(x) < _MISFIT:
    mode = 'per_pixel' if x.ndim == 2 else 'all'  # a table, or pictures and signals
    return [f'data.standardize={mode!r}']
  changes = []
  if scale is not None and 'initial_scale' in config['likelihood']:
    changes.append(f'likelihood.initial_scale={scale:.2g}')
  if config['decoder']['output_bias'] == 'zeros':
    changes.append("decoder.output_bias='train_mean'")
  return changes
