"""What is said while a study trains and is evaluated: one bar in a terminal, lines in a log.

  with reports.opened(names, 'validation', first=0, total=2000) as said:
    said.doing('evaluating', brief=True)     # until the next word
    said.trained(100, metrics, reasons, evaluated=True)
    estimate(said.pieces(kept))              # names each piece before it is computed

What is logged meanwhile stands above the bar.
"""

import contextlib
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TextIO

import tqdm
from tqdm.contrib import logging as redirecting

from vae_jax import programs, standing

_SECONDS = 10.0  # between two lines
_SECONDS_OF_EVALUATIONS = 1.0  # between two lines of evaluations
_SECONDS_OF_BAR = 0.1  # between two looks of a bar
_COLUMNS = 79  # of a terminal that does not say how wide it is
_NARROWEST_BAR = 10


@contextlib.contextmanager
def opened(
  names: Sequence[str],
  split: str,
  first: int,
  total: int,
  stream: TextIO | None = None,
  clock: Callable[[], float] = time.monotonic,
) -> Iterator['Reports']:
  """Yields the reports of one attempt; what is logged meanwhile goes above the bar.

  Args:
    names: of the lanes, [G].
    split: by which choosing goes.
    first, total: the steps that are done, and those of the run.
    stream: stderr by default; a bar where it is a terminal.
    clock: in seconds.
  """
  stream = stream or sys.stderr
  with contextlib.ExitStack() as stack:
    bar = None
    if stream.isatty():
      text = f'{first}/{total} steps'
      bar = stack.enter_context(
        tqdm.tqdm(
          desc=text,
          total=total,
          initial=first,
          file=stream,
          dynamic_ncols=True,
          bar_format='{desc}',
        )
      )
      stack.enter_context(redirecting.logging_redirect_tqdm())
    said = Reports(names, split, first, total, bar, clock)
    yield said
    said.end()


class Reports:
  """What is said, and when: bounded by time, not by log points; see `opened`."""

  def __init__(
    self,
    names: Sequence[str],
    split: str,
    first: int,
    total: int,
    bar: tqdm.tqdm | None,
    clock: Callable[[], float],
  ):
    self._names, self._split, self._bar, self._clock = names, split, bar, clock
    self._first, self._step, self._total = first, first, total
    self._began = self._opened = clock()
    self._said = None  # when
    self._last: standing.Standing | None = None

  def trained(
    self, step: int, metrics: Mapping[str, Sequence], reasons: Sequence[str | None], evaluated: bool
  ) -> None:
    """Says where training stands, unless the last word was a moment ago.

    Args:
      step: the number of steps taken.
      metrics: of the lanes, on the host, name -> [G]: the newest evaluation, or of the batches.
      reasons: why a lane diverged, [G].
      evaluated: whether the lanes were evaluated at this step.
    """
    now = self._clock()
    each = (now - self._began) / (step - self._first)
    if self._said is None:
      # From here on: what comes before the first word, such as a reason to find, comes once.
      self._began, self._first = now, step
    self._step = step
    if self._bar is None:
      pause = _SECONDS_OF_EVALUATIONS if evaluated else _SECONDS
    else:
      pause = 0.0 if evaluated else _SECONDS_OF_BAR
    if self._is_early(now, pause) and step < self._total:
      return
    self._said = now
    elbo = standing.elbo_of(metrics, reasons, self._names, self._split)
    self._last = standing.Standing(step, self._total, each, elbo)
    if self._bar is not None:
      self._draw(self._last.texts())
    else:
      logging.info('%s', self._last)

  def doing(self, what: str, brief: bool = False) -> None:
    """Says what is being done until the next word; in a log nothing of what is brief."""
    if self._bar is not None:
      self._draw_doing(what)
    elif not brief:
      logging.info('%s', what)

  def pieces(self, each: programs.Pieces) -> programs.Pieces:
    """Returns `each` with a word before a piece is computed, unless the last was a moment ago."""
    began = self._clock()

    def said(name: str, compute: Callable[[], programs.Arrays]) -> programs.Arrays:
      nonlocal began
      now = self._clock()
      left, began = _left(name, now - began), now
      if not self._is_early(now, _SECONDS if self._bar is None else _SECONDS_OF_BAR):
        self._said = now
        if self._bar is None:
          logging.info('%s%s', name, left)
        else:
          self._draw_doing(name + left)
      return each(name, compute)

    return said

  def end(self) -> None:
    """Leaves in the terminal what was trained, not what was done last."""
    if self._bar is None:
      return
    self._bar.leave = self._last is not None
    if self._last is not None:
      taken = tqdm.tqdm.format_interval(self._clock() - self._opened)
      steps = f'{self._step}/{self._total} steps in {taken}'
      self._draw([*(f'{steps}, {elbo}' for elbo in self._last.elbo.texts()), steps])

  def _is_early(self, now: float, pause: float) -> bool:
    return self._said is not None and now - self._said < pause

  def _draw_doing(self, what: str) -> None:
    steps = f'{self._step}/{self._total} steps, '
    best = '' if self._last is None else f', {self._last.elbo.texts()[2]}'
    self._draw([f'{steps}{what}{best}', f'{steps}{what}', what])

  def _draw(self, texts: Sequence[str]) -> None:
    """Shows the first of some texts that fits in one line, and a bar in what is left of it."""
    width = self._bar.format_dict['ncols'] or _COLUMNS
    text = next((text for text in texts if len(text) <= width), texts[-1][:width])
    room = width - len(text) >= _NARROWEST_BAR
    self._bar.bar_format = '{desc} |{bar}|' if room else '{desc}'
    self._bar.n = self._step
    self._bar.set_description_str(text)


def _left(name: str, seconds: float) -> str:
  """Returns how long the parts from this one on take, if each takes as long as the one before."""
  if not (match := re.search(r', part (\d+) of (\d+)$', name)) or match.group(1) == '1':
    return ''
  number, count = map(int, match.groups())
  return f', {tqdm.tqdm.format_interval((count - number + 1) * seconds)} left'
