"""The best and the median ELBO of the lanes of a run, in numbers and in words."""

import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from vae_jax.standing.numbers import nats


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
    best, median = nats(self.best), nats(self.median)
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
