"""Nats of single images, by the noise of a run's own evaluation."""

import functools
import math
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from vae_jax import errors, evaluation, learner
from vae_jax.data import Beside
from vae_jax.front import functions


def terms(
  lane: Any, x: np.ndarray, beside: Beside, num_samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
  """Returns distortion [N] and rate [N] of every image.

  Args:
    lane: a `front.Lane`.
    x: prepared images [N, *event].
    beside: [N, ...], what is known of them.
    num_samples: L.
    seed: beside the lane's own; 0 has the noise of the run's evaluations.
  """
  shared = lane.shared
  # The batches of an evaluation, whose noise this is; see `outcome.make_evaluate`.
  limits = shared.facts.smallest_batch, shared.facts.largest_batch
  most = shared.batch_size // num_samples
  size = evaluation.fitting_size(len(x), most, *limits)
  of_rows = functools.partial(shared.functions.terms, lane.params, lane.arrays)
  found = []
  for index, batch in enumerate(_cut(x, beside, size)):
    noise = noise_of(lane, num_samples, size, seed, index)[: len(batch[0])]
    found.append(functions.in_rows(of_rows, most, *batch, noise))
  distortion, rate = (np.concatenate(part) for part in zip(*found, strict=True))
  return distortion.astype(np.float64), rate.astype(np.float64)


def noise_of(lane: Any, num_samples: int, size: int, seed: int, index: int = 0) -> np.ndarray:
  """Returns the noise [N, L, Z] of one batch of an evaluation."""
  # Pairs e and -e need an even number.
  draw = lane.shared.draw if num_samples % 2 == 0 else learner.draw_noise
  return jax.device_get(
    functions.evaluation_noise(lane.seeded(seed), index, draw, size, num_samples)
  )


def log_likelihood(
  lane: Any, x: np.ndarray, beside: Beside, num_samples: int, seed: int
) -> np.ndarray:
  """Returns the importance-sampled log p(x) [N] of every image; arguments as of `terms`.

  Raises:
    InputError: the likelihood is no density.
  """
  shared = lane.shared
  if not shared.is_density:
    raise errors.InputError(f'likelihood.name={shared.likelihood!r} is no density: it has no log p')
  # The batches of `programs.make_nll`, whose noise this is.
  chunk = min(num_samples, math.isqrt(shared.batch_size))
  most = max(1, shared.batch_size // chunk)
  size, num_chunks = min(len(x), most), math.ceil(num_samples / chunk)
  of_rows = functools.partial(shared.functions.log_weights, lane.params, lane.arrays)
  seeded, found = lane.seeded(seed), []
  for index, batch in enumerate(_cut(x, beside, size)):
    noise = jax.device_get(functions.nll_noise(seeded, index, num_chunks, size, chunk))
    log_w = functions.in_rows(of_rows, most, *batch, noise[: len(batch[0])])
    log_w = log_w[:, :num_samples].astype(np.float64)
    found.append(np.logaddexp.reduce(log_w, axis=1) - math.log(num_samples))
  return np.concatenate(found)


def _cut(x: np.ndarray, beside: Beside, size: int) -> Iterator[tuple[np.ndarray, Beside]]:
  parts = (slice(first, first + size) for first in range(0, len(x), size))
  return ((x[part], beside.take(part)) for part in parts)
