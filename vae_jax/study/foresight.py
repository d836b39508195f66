"""What a study knows before its first step."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae_jax import data, forecast, lanes
from vae_jax.study.collapse import forecast_of
from vae_jax.study.lengths import cut_short
from vae_jax.study.start import Start, start_of


class Foresight(NamedTuple):
  """What can be said before the first step; each takes a second at most, and is asked for once.

  Attributes:
    start: images [n, *event] of the split by which choosing goes, as stored, and what is known of
      them -> where the decoders start.
    forecast: () -> the forecast of collapse, None where it has nothing to say.
    cut_short: (names of lanes, lanes [G]) -> what the training is too short for; '' for nothing.
  """

  start: Callable[[np.ndarray, data.Beside], Start]
  forecast: Callable[[], forecast.Forecast | None]
  cut_short: Callable[[Sequence[str], lanes.Lane], str]


def foresight_of(config: Mapping[str, Any], dataset: data.Dataset) -> Foresight:
  """Returns what a config, complete, knows of itself and of its data."""
  return Foresight(
    start=functools.partial(start_of, config, dataset),
    forecast=functools.partial(forecast_of, config, dataset),
    cut_short=functools.partial(cut_short, config),
  )
