"""Progress lines while a study trains: step, time left, best ELBO."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence

import tqdm

from vae_jax.runs import outcome

_SECONDS = 10.0  # between two lines
_SECONDS_OF_EVALUATIONS = 1.0  # between two lines of evaluations


class Reports:
  """Lines for a log, where there is no terminal for a bar; bounded by time, not by log points."""

  def __init__(
    self,
    names: Sequence[str],
    first: int,
    total: int,
    clock: Callable[[], float] = time.monotonic,
  ):
    self._names, self._first, self._total, self._clock = names, first, total, clock
    self._began, self._written = clock(), None

  def best(self, metrics: Mapping[str, Sequence], reasons: Sequence[str | None]) -> str:
    """Returns the best ELBO and its lane, of the lanes that did not diverge.

    Args:
      metrics: on the host, name -> [G].
      reasons: why a lane diverged, [G].
    """
    known = (split for split in ('validation', 'test', 'batch') if f'{split}/elbo' in metrics)
    split = next(known)
    alive = [
      (elbo, name)
      for elbo, name, reason in zip(metrics[f'{split}/elbo'], self._names, reasons, strict=True)
      if elbo is not None and reason is None
    ]
    gone = sum(reason is not None for reason in reasons)
    note = f', {gone} diverged' if gone else ''
    if not alive:
      return f'no ELBO{note}'
    elbo, name = max(alive)
    return f'best {split} ELBO {outcome.nats(elbo)} nats ({name}){note}'

  def write(self, step: int, best: str, evaluated: bool) -> None:
    """Logs a line, unless the last one was a moment ago.

    Args:
      step: the number of steps taken.
      best: from `best`.
      evaluated: whether the lanes were evaluated at this step.
    """
    now = self._clock()
    each = (now - self._began) / (step - self._first)
    if self._written is None:
      # From here on: what comes before the first line, such as a reason to find, comes once.
      self._began, self._first = now, step
    pause = _SECONDS_OF_EVALUATIONS if evaluated else _SECONDS
    if self._written is not None and now - self._written < pause and step < self._total:
      return
    self._written = now
    left = tqdm.tqdm.format_interval((self._total - step) * each)
    done = 100 * step // self._total
    logging.info('step %d of %d (%d %%), %s left, %s', step, self._total, done, left, best)
