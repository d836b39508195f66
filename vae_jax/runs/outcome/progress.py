"""Where a run stands, and which of its lanes have collapsed."""

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vae_jax import programs, records
from vae_jax.runs.outcome.numbers import nats
from vae_jax.study import Start


class Progress(NamedTuple):
  """Where a run stands: all that a checkpoint holds."""

  step: int
  state: programs.States  # [G]
  evaluated: Mapping[str, list[float]]  # the newest evaluation, name -> [G]
  collapsed_at: list[int | None]  # [G] the evaluation since which a lane has no active unit
  reasons: list[str | None]  # [G] why a lane diverged
  seconds: float  # wall time so far, of all attempts, compilation included
  training_seconds: float  # the part of it inside the training program
  logged: records.Ranges | None = ()  # log points passed; None where an earlier version kept none


def collapsed(
  names: Sequence[str],
  start: Start,
  before: Sequence[int | None],
  step: int,
  evaluated: Mapping[str, Sequence],
  reasons: Sequence[str | None],
  last: bool,
  split: str = 'test',
) -> list[int | None]:
  """Returns `Progress.collapsed_at` after an evaluation, and warns of the lanes that are new.

  A lane has collapsed when no unit is active though its decoder has learned what it can without
  them; see `Start.has_learned`. A number that is not known (None) raises no alarm.

  Args:
    names: of the lanes.
    start: where their decoders started.
    before: what this function returned at the evaluation before.
    step: of the evaluation.
    evaluated: its metrics, name -> [G].
    reasons: why a lane diverged, None where it did not: of one that did nothing is said.
    last: whether it is the last one, at which it is said which lanes have not begun to learn.
    split: by which choosing goes.
  """
  result = []
  units, distortions = evaluated[f'{split}/active_units'], evaluated[f'{split}/distortion']
  lanes = zip(names, units, distortions, reasons, before, strict=True)
  for name, active, distortion, reason, since in lanes:
    known = distortion is not None and reason is None
    learned = known and start.has_learned(distortion)
    gone = learned and active == 0
    if gone and since is None:
      logging.warning('%s: posterior collapse at step %d, no unit is active', name, step)
    if last and known and not start.has_started(distortion):
      _warn_of_no_start(name, step, start, distortion)
    result.append((step if since is None else since) if gone else None)
  return result


def _warn_of_no_start(name: str, step: int, start: Start, distortion: float) -> None:
  beside = f'{nats(start.given)} of its initial biases'
  if start.best is not None:
    beside = f'{nats(start.best)} of the best decoder that ignores z'
  logging.warning(
    '%s: has not started to learn at step %d: a distortion of %s nats beside the %s',
    *(name, step, nats(distortion), beside),
  )
