"""Where a run stands, and which of its lanes have collapsed."""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vae_jax import programs
from vae_jax.study import Study


class Progress(NamedTuple):
  """Where a run stands: all that a checkpoint holds."""

  step: int
  state: programs.States  # [G]
  evaluated: Mapping[str, list[float]]  # the newest evaluation, name -> [G]
  collapsed_at: list[int | None]  # [G] the evaluation since which a lane has no active unit
  seconds: float  # wall time so far, of all attempts, compilation included
  training_seconds: float  # the part of it inside the training program


def collapsed(study: Study, progress: Progress, step: int, active_units: Sequence) -> list:
  """Returns `Progress.collapsed_at` after an evaluation, and warns of the lanes that are new."""
  result = []
  for name, active, since in zip(study.names, active_units, progress.collapsed_at, strict=True):
    gone = active == 0
    if gone and since is None:
      logging.warning('%s: posterior collapse at step %d, no unit is active', name, step)
    result.append((step if since is None else since) if gone else None)
  return result
