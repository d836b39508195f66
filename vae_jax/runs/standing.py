"""Where training stands, in words: steps, time left, the best and the median ELBO."""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tqdm

from vae_jax.runs import outcome


class Elbo(NamedTuple):
  """The ELBOs of the lanes that did not diverge.

  Attributes:
    split: 'validation', 'test', or 'batch' before the first evaluation.
    best, median: in nats; None where no lane has one.
    name: of the best lane.
    diverged: how many lanes did.
  """

  split: str
  best: float | None
  median: float | None
  name: str
  diverged: int

  def texts(self) -> list[str]:
    """Returns it in words, the longest first."""
    note = f', {self.diverged} diverged' if self.diverged else ''
    if self.best is None:
      return [f'no ELBO{note}'] * 3
    best, median = outcome.nats(self.best), outcome.nats(self.median)
    return [
      f'{self.split} ELBO: best {best} nats ({self.name}), median {median}{note}',
      f'{self.split} ELBO: best {best}, median {median}{note}',
      f'best {best}, median {median}{note}',
    ]


def elbo_of(
  metrics: Mapping[str, Sequence], reasons: Sequence[str | None], names: Sequence[str], split: str
) -> Elbo:
  """Returns what is said of the ELBOs of the lanes.

  Args:
    metrics: on the host, name -> [G].
    reasons: why a lane diverged, [G].
    names: of the lanes, [G].
    split: by which choosing goes; before it has been evaluated, the batches stand in.
  """
  split = split if f'{split}/elbo' in metrics else 'batch'
  alive = [
    (elbo, name)
    for elbo, name, reason in zip(metrics[f'{split}/elbo'], names, reasons, strict=True)
    if elbo is not None and reason is None
  ]
  diverged = sum(reason is not None for reason in reasons)
  if not alive:
    return Elbo(split, None, None, '', diverged)
  best, name = max(alive)
  return Elbo(split, best, statistics.median(elbo for elbo, _ in alive), name, diverged)


class Standing(NamedTuple):
  """Where training stands."""

  step: int
  total: int
  each: float  # seconds a step
  elbo: Elbo

  def __str__(self) -> str:
    done = 100 * self.step // self.total
    steps = f'step {self.step} of {self.total} ({done} %)'
    return f'{steps}, {self._left()}, {self._speed()} steps/s, {self.elbo.texts()[0]}'

  def texts(self) -> list[str]:
    """Returns it for a bar, the longest first."""
    longest, shorter, shortest = self.elbo.texts()
    steps, left, speed = f'{self.step}/{self.total}', self._left(), self._speed()
    return [
      f'{steps} steps, {left}, {speed} steps/s, {longest}',
      f'{steps} steps, {left}, {speed} steps/s, {shorter}',
      f'{steps}, {left}, {speed}/s, {shorter}',
      f'{steps}, {left}, {speed}/s, {shortest}',
      f'{steps}, {left}, {speed}/s',
    ]

  def _left(self) -> str:
    return f'{tqdm.tqdm.format_interval((self.total - self.step) * self.each)} left'

  def _speed(self) -> str:
    speed = 1 / self.each if self.each else 0.0
    return f'{speed:.0f}' if speed >= 100 else f'{speed:.3g}'
