"""Where a run stands, and which of its lanes have collapsed."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from vae_jax import placement, programs, records
from vae_jax.runs.outcome.choice import Choice, nothing_chosen
from vae_jax.standing import nats
from vae_jax.study import Start


class Progress(NamedTuple):
  """Where a run stands: all that a checkpoint holds."""

  step: int
  state: programs.States  # of `lanes`
  # The newest evaluation of each lane, name -> [G]; with train.keep='best' the best one.
  evaluated: Mapping[str, list[float]]
  collapsed_at: list[int | None]  # [G] the evaluation since which a lane has no active unit
  reasons: list[str | None]  # [G] why a lane diverged
  seconds: float  # wall time so far, of all attempts, compilation included
  training_seconds: float  # the part of it inside the training program
  logged: records.Ranges | None  # log points passed; None where an earlier version kept none
  choice: Choice  # [G]
  lanes: list[int]  # that train, in the order of the state
  resting: Any = None  # [G] on the host, the states of the others; None while all lanes train
  best: Any = None  # [G] on the host, with train.keep='best': the parameters that count


def begun(state: programs.States, num_lanes: int) -> Progress:
  """Returns where a run stands at step 0, [G]."""
  nothing, all_lanes = [None] * num_lanes, list(range(num_lanes))
  choice = nothing_chosen(num_lanes)
  return Progress(0, state, {}, nothing, nothing, 0.0, 0.0, (), choice, all_lanes)


def whole(progress: Progress) -> programs.States:
  """Returns the states of all lanes, [G]: of those that train, and of those that stopped."""
  if progress.resting is None:
    return progress.state
  return scattered(progress.resting, progress.lanes, placement.joined(progress.state))


def of_states(progress: Progress, get: Callable[[Any], Any]) -> Any:
  """Returns what `get` reads off a state, of all lanes, [G]."""
  values = placement.map_turns(get, progress.state)
  if progress.resting is not None:
    values = whole(progress._replace(state=values, resting=get(progress.resting)))
  return placement.joined(values)


def regrouped(progress: Progress) -> Progress:
  """Returns the progress where the state is of the lanes alone that have not stopped."""
  resting, lanes = jax.device_get(placement.joined(whole(progress))), progress.choice.training
  return progress._replace(state=picked(resting, lanes), lanes=lanes, resting=resting)


def picked(all_lanes: Any, lanes: Sequence[int]) -> Any:
  """Returns of a tree [G] some lanes, a tree [n] on the host."""
  indices = np.array(lanes, int)
  return jax.tree.map(lambda leaf: np.asarray(leaf)[indices], all_lanes)


def scattered(all_lanes: Any, lanes: Sequence[int], values: Any) -> Any:
  """Returns a tree [G] on the host with the values [n] of some lanes in their places."""

  indices = np.array(lanes, int)

  def put(old: Any, new: Any) -> np.ndarray:
    result = np.array(old)
    result[indices] = new
    return result

  return jax.tree.map(put, jax.device_get(all_lanes), jax.device_get(values))


def that_counts(progress: Progress) -> programs.States:
  """Returns the states of all lanes, [G], with the parameters of which all figures are."""
  state = whole(progress)
  if progress.best is None:
    return state
  return placement.joined(state)._replace(params=progress.best, average=None)


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
