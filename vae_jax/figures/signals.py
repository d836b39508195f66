"""Signals [T, C] as plots: lines over time, one colour for each channel."""

from collections.abc import Mapping, Sequence

import numpy as np

from vae_jax.figures.plots import COLOURS, Mark, Plot, Rows, paler, wrapped

_ROW = 4  # plots
_PER_CONDITION = 4  # samples
_MOST_CHANNELS = len(COLOURS)
_ALIKE = 10.0  # channels whose ranges differ by more have a scale each
_THIN, _THICK = 0.6, 1.1
_STEPS = 4  # plots of a walk in a row


def of_lane(images: Mapping[str, np.ndarray], i: int, ranks: Sequence[str]) -> dict[str, Rows]:
  """Returns the plots of a lane by kind.

    reconstructions     an example, pale and thin, and its reconstruction over it
    samples, aggregate_samples  one a plot; by_condition a row for each condition
    units, walks_by_condition, interpolations  a fan of lines, from pale to full along the walk; of
      several channels a row of plots, as lines would hide each other

  Args:
    images: of `records.images`, of signals.
    i: the lane.
    ranks: what the latents are called that are walked along.
  """
  scale = _Scale(images['originals'])
  found = {}
  for kind, made in images.items():
    if kind == 'reconstructions':
      pairs = zip(images['originals'], made[i], strict=True)
      plots = [scale.plot([(x, 0.6, _THIN), (of_x, 0.0, _THICK)]) for x, of_x in pairs]
      found[kind] = wrapped(plots, _ROW)
    elif kind in ('samples', 'aggregate_samples'):
      found[kind] = wrapped([scale.plot([(x, 0.0, _THICK)]) for x in made[i]], _ROW)
    elif kind == 'by_condition':
      found[kind] = [
        [scale.plot([(x, 0.0, _THICK)]) for x in row[:_PER_CONDITION]] for row in made[i]
      ]
    elif kind == 'walks_by_condition':
      found[kind] = [scale.walk(walk) for walk in made[i]]
    elif kind == 'interpolations' and made.shape[1]:
      found[kind] = _rows([scale.walk(walk) for walk in made[i]])
    elif kind == 'units' and ranks:
      found[kind] = _rows([scale.walk(*each) for each in zip(made[i], ranks, strict=False)])
  return found


def is_in_rows(images: Mapping[str, np.ndarray]) -> bool:
  """Tells whether a walk is a row of plots, and no fan of lines in one."""
  return images['originals'].shape[-1] > 1


def _rows(walks: Sequence[list[Plot]]) -> Rows:
  """Returns walks below each other; those of one plot each several in a row."""
  return list(walks) if len(walks[0]) > 1 else wrapped([plot for (plot,) in walks], _ROW)


class _Scale:
  """The axes of all plots of a study, by its examples [n, T, C].

  Channels in units of their own, whose ranges differ much, go from 0 to 1 each.
  """

  def __init__(self, originals: np.ndarray):
    low, high = (end(originals, axis=(0, 1)) for end in (np.nanmin, np.nanmax))
    spread = np.where(high > low, high - low, 1.0)
    self._is_alike = spread.max() <= _ALIKE * spread.min()
    if self._is_alike:
      low, spread = np.min(low), max(np.max(high) - np.min(low), 1e-30)
    self._low, self._spread = low, spread

  def plot(self, lines: Sequence[tuple[np.ndarray, float, float]], title: str = '') -> Plot:
    """Returns signals [T, C] in one frame, each with how pale and how thick it is."""
    length, channels = lines[0][0].shape
    time = np.arange(length)
    marks = [
      Mark('line', time, (x - self._low)[:, c] / np.broadcast_to(self._spread, channels)[c],
           paler(COLOURS[c], pale), width)
      for x, pale, width in lines
      for c in range(min(channels, _MOST_CHANNELS))
    ]  # fmt: skip
    if self._is_alike:  # in units of the data
      marks = [mark._replace(y=self._low + self._spread * mark.y) for mark in marks]
    low, spread = (float(self._low), float(self._spread)) if self._is_alike else (0.0, 1.0)
    ends = low - 0.1 * spread, low + 1.1 * spread
    return Plot(marks, (0, max(1, length - 1)), ends, title, has_y=self._is_alike)

  def walk(self, walk: np.ndarray, title: str = '') -> list[Plot]:
    """Returns the signals [columns, T, C] of a walk: in one frame, or of several channels in a row
    of frames, of which the first has the title."""
    if walk.shape[-1] > 1:
      some = walk[np.linspace(0, len(walk) - 1, _STEPS).round().astype(int)]
      titles = [title, *[''] * (_STEPS - 1)]
      pairs = zip(some, titles, strict=True)
      return [self.plot([(x, 0.0, _THICK)], each) for x, each in pairs]
    shares = np.linspace(0.85, 0.0, len(walk))
    return [self.plot([(x, share, 0.8) for x, share in zip(walk, shares, strict=True)], title)]
