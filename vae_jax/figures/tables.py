"""Rows of a table [D] as plots: what each column is in the data, and in what a lane makes."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from vae_jax.figures.plots import COLOURS, GREY, Mark, Plot, Rows, wrapped

_ROW = 4  # plots
_MOST = 16  # columns that are shown
_BINS = 8, 24  # the fewest and the most
_FEW = 12  # whole numbers that have a bar each
_MADE = COLOURS[0]


def of_lane(images: Mapping[str, np.ndarray], i: int, ranks: Sequence[str]) -> dict[str, Rows]:
  """Returns the plots of a lane by kind, one for each column: of up to 16.

    reconstructions    over the test examples, a dot each
    samples, aggregate_samples  the share of each value: grey of the data, in colour of the samples
    by_condition       the same, a row for each condition, of four columns
    units, walks_by_condition  a value over the latent, a row for each latent or condition, of the
                       four columns that move most, of those that have an order

  Args:
    images: of `records.images`, of a table.
    i: the lane.
    ranks: what the latents are called that are walked along.
  """
  columns, found = _columns(images), {}
  for kind, made in images.items():
    if kind == 'reconstructions':
      found[kind] = wrapped([each.over_data(made[i]) for each in columns[:_MOST]], _ROW)
    elif kind in ('samples', 'aggregate_samples'):
      found[kind] = wrapped([each.shares(made[i]) for each in columns[:_MOST]], _ROW)
    elif kind == 'by_condition':
      found[kind] = _titled_once([[each.shares(x) for each in columns[:_ROW]] for x in made[i]])
    elif kind == 'walks_by_condition' or (kind == 'units' and ranks):
      walks = made[i] if kind != 'units' else made[i][: len(ranks)]
      ordered = [each for each in columns if not each.has_categories] or columns
      most = np.argsort([-each.moved(walks) for each in ordered], kind='stable')[:_ROW]
      rows = [[ordered[d].along(walk) for d in sorted(most)] for walk in walks]
      found[kind] = _titled_once(rows)
  return found


def _titled_once(rows: Rows) -> Rows:
  """Returns rows whose columns are named above the first one."""
  return [*rows[:1], *([plot._replace(title='') for plot in row] for row in rows[1:])]


def _columns(images: Mapping[str, np.ndarray]) -> list['_Column']:
  data = images['originals']
  names = images.get('columns', [f'value {d}' for d in range(data.shape[1])])
  categories = images.get('categories', np.zeros((len(names), 0), str))
  return [
    _Column(d, str(name), data[:, d], [str(each) for each in categories[d] if each])
    for d, name in enumerate(names)
  ]


class _Column:
  """One column: its place, its name, its test values, and what its codes stand for."""

  def __init__(self, place: int, name: str, values: np.ndarray, categories: list[str]):
    self._place, self._name, self._data = place, name, values
    self.has_categories = bool(categories)  # which have no order
    known = values[np.isfinite(values)]
    known = known if known.size else np.zeros(1)
    low, high = float(known.min()), float(known.max())
    if categories:
      low, high = 0.0, len(categories) - 1.0
    is_whole = np.array_equal(known, np.rint(known))
    self._is_bars = is_whole and high - low < _FEW
    margin = 0.6 if self._is_bars else 0.08 * (high - low) or 1.0
    start = max(low - margin, -0.6) if is_whole and low >= 0 else low - margin
    self._ends = start, high + margin
    if is_whole:
      step = math.ceil((high - low + 1) / _BINS[1])
      self._left = np.arange(np.ceil(start), high + margin, step) - 0.5
      self._right = self._left + step
    else:
      bins = np.clip(2 * len(values) ** (1 / 3), *_BINS)  # the rule of Rice
      edges = np.linspace(*self._ends, round(bins) + 1)
      self._left, self._right = edges[:-1], edges[1:]
    names = categories or ([f'{low:g}', f'{high:g}'] if is_whole else [])
    self._ticks = list(zip(np.linspace(low, high, len(names)), names, strict=True))

  def shares(self, made: np.ndarray) -> Plot:
    """Returns the histogram of drawn rows [m, D] over that of the data."""
    left, right = self._left, self._right
    of_data, of_made = (_shares(x, left, right) for x in (self._data, made[:, self._place]))
    if self._is_bars:
      left, right = left + 0.1, right - 0.1
    area = np.stack([left, left, right, right], axis=1).ravel()
    heights = np.stack([0 * of_data, of_data, of_data, 0 * of_data], axis=1).ravel()
    gap = [np.full(len(left), np.nan)] if self._is_bars else []
    line = np.stack([left, right, *gap], axis=1).ravel()
    tops = np.repeat(of_made, 2 + len(gap))
    marks = [Mark('area', area, heights, GREY), Mark('line', line, tops, _MADE, 1.4)]
    # A peak of a collapsed lane is cut off: the data are to be seen beside it.
    top = 1.08 * min(max(of_data.max(), of_made.max()), 2.5 * of_data.max()) or 1.0
    return Plot(marks, self._ends, (0.0, top), self._name, self._ticks)

  def over_data(self, made: np.ndarray) -> Plot:
    """Returns reconstructions [n, D] over the data; those on the line are exact."""
    x, y = self._data.astype(float), made[:, self._place].astype(float)
    if self._is_bars:  # many would lie on one point
      apart = np.random.default_rng(0).uniform(-0.3, 0.3, (2, len(x)))
      x, y = x + apart[0], y + apart[1] * np.array_equal(y, np.rint(y))
    marks = [
      Mark('line', np.array(self._ends), np.array(self._ends), GREY),
      Mark('dots', x, y, _MADE, 1.6),
    ]
    return Plot(marks, self._ends, self._ends, self._name, self._ticks)

  def along(self, walk: np.ndarray) -> Plot:
    """Returns the value of the column along a walk [columns, D] from −2 to 2."""
    z = np.linspace(-2, 2, len(walk))
    line = Mark('line', z, walk[:, self._place], _MADE, 1.4)
    return Plot([line], (-2.0, 2.0), self._ends, self._name, has_y=True)

  def moved(self, walks: np.ndarray) -> float:
    """Returns how far walks [..., columns, D] move the column, as a share of its range."""
    values = np.nan_to_num(walks[..., self._place], posinf=0.0, neginf=0.0)
    return float(np.ptp(values, axis=-1).max() / (self._ends[1] - self._ends[0]))


def _shares(values: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
  """Returns which share of the values that are known lies in each bin [k]."""
  known = values[np.isfinite(values), None]
  return ((known >= left) & (known < right)).mean(axis=0) if len(known) else 0.0 * left
