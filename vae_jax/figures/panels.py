"""Small multiples: a few panels, in each one line per setting of the lanes, and one legend."""

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from vae_jax.figures import points, style

_MAX_PANELS = 8
_MAX_COLOURS = 24  # in the legend
_LINE_HEIGHT = 0.155  # inches; of the legend

# What is measured of one lane, over what: {step: ELBO}.
Curve = dict[float, float]

MEAN_WIDTH = 1.2  # points; the mean of a cell, or its one lane
_BANDS = {0.9: 0.14, 0.5: 0.28}  # share of the lanes between two quantiles -> how dense it is drawn
THIN = dict(linewidth=0.5, alpha=0.45, zorder=2)  # a lane that a mean is taken over


class Panels(NamedTuple):
  """A figure of panels, and how the lanes are told apart in it.

  Attributes:
    axes: one for each key that is drawn.
    notes: how many keys are not.
    looks: (setting, variant) of a cell -> colour and line style.
  """

  figure: Figure
  axes: dict[Hashable, Axes]
  notes: list[str]
  swept: points.Sweep
  looks: dict[tuple[tuple, tuple], dict]

  def look(self, row: Mapping) -> dict:
    """Returns the colour and the line style of a lane."""
    return self.looks[points.pick(row, self.swept.fields), points.pick(row, self.swept.dashed)]


def new_panels(
  rows: Sequence[Mapping],
  titles: Mapping[Hashable, str],
  xlabel: str,
  ylabel: str,
  unit: str = 'latent sizes',
  **share: bool,
) -> Panels:
  """Returns a figure with one titled panel per key; an even choice of them if they are many.

  Args:
    rows: the lanes.
    titles: of the panels, by key.
    unit: what the keys are, for the note that says how many are drawn.
    share: `sharex` and `sharey`, both True if not given.
  """
  keys = points.spread(list(titles), _MAX_PANELS)
  figure, axes = _subplots(len(keys), **share)
  for panel, key in zip(axes, keys, strict=True):
    style.set_axes(panel)
    panel.set_title(titles[key], fontsize=style.TEXT, color=style.INK)
  figure.supxlabel(xlabel, fontsize=style.TEXT, color=style.INK)
  figure.supylabel(ylabel, fontsize=style.TEXT, color=style.INK)
  notes = [f'{len(keys)} of {len(titles)} {unit}'] if len(keys) < len(titles) else []
  swept = points.told_apart(rows)
  colours = style.setting_colours(swept.settings)
  looks = {
    (setting, variant): dict(color=colour, linestyle=dash)
    for setting, colour in colours.items()
    for variant, dash in swept.dashes.items()
  }
  return Panels(figure, dict(zip(keys, axes, strict=True)), notes, swept, looks)


def by_latent_size(rows: Sequence[Mapping]) -> dict[int, str]:
  """Returns the titles of panels that are one latent size each."""
  return {size: f'latent size {size}' for size in sorted({row['latent_size'] for row in rows})}


def _subplots(count: int, sharex: bool = True, sharey: bool = True) -> tuple[Figure, list[Axes]]:
  """Returns a figure of `count` axes; where they share an axis, its labels stand at the edges."""
  columns = count if count <= 4 else -(-count // 2)
  num_rows = -(-count // columns)
  width, height = (4.6, 3.4) if count == 1 else (2.0 * columns, 1.9 * num_rows)
  figure = style.new_figure(width, height + 0.4)
  grid = figure.subplots(num_rows, columns, sharex=sharex, sharey=sharey, squeeze=False)
  axes = list(grid.flat)
  for unused in axes[count:]:
    unused.remove()
  for panel in axes[max(0, count - columns) : count]:
    panel.tick_params(labelbottom=True)
  return figure, axes[:count]


def finish(
  panels: Panels,
  rows: Sequence[Mapping],
  kinds: Mapping[str, Sequence[Line2D]],
  heading: tuple[str, str],
  notes: Sequence[str] = (),
) -> Figure:
  """Draws the legend beside the panels and the heading above them; returns the figure.

  Args:
    kinds: sections of the legend beside those of the settings.
    heading: the study and the title.
    notes: further ones; those on the lanes and on the panels are written anyway.
  """
  figure = panels.figure
  sections = _colour_section(panels) | points.dashed_section(panels.swept) | dict(kinds)
  width, height = figure.get_size_inches()
  max_lines = int(height / _LINE_HEIGHT)
  beside = style.draw_legend(figure, sections, max_lines, loc='outside right upper')
  figure.set_size_inches(width + beside, height)
  # In the middle of the panels, as the heading is, not of the figure.
  middle = width / 2 / (width + beside)
  figure.supxlabel(figure.get_supxlabel(), x=middle, fontsize=style.TEXT, color=style.INK)
  every = [*points.notes(rows, panels.swept), *panels.notes, *notes]
  style.set_heading(figure, *heading, every, right=beside)
  return figure


def _colour_section(panels: Panels) -> dict[str, list[Line2D]]:
  """Returns the section of the legend that tells the colours."""
  swept = panels.swept
  if not swept.fields:
    return {}
  colours = {setting: look['color'] for (setting, _), look in panels.looks.items()}
  # Along one field the colours in between tell themselves.
  listed = points.spread(swept.settings, _MAX_COLOURS) if points.is_ordered(swept) else colours
  title = points.title(swept.fields)
  if len(listed) < len(colours):
    title += f' ({len(listed)} of {len(colours)})'
  return {title: [Line2D([], [], color=colours[s], label=points.label(s)) for s in listed]}


def kind(label: str, **look) -> Line2D:
  """Returns a grey legend handle that stands for one kind of line."""
  return Line2D([], [], label=label, color='0.4', **look)


def line_kinds(rows: Sequence[Mapping], label: str) -> list[Line2D]:
  """Returns the handles of a line with dots and of what is behind it; see `lane_kinds`."""
  return [kind(label, marker='o', markersize=2, linewidth=MEAN_WIDTH), *lane_kinds(rows, label)]


def lane_kinds(rows: Sequence[Mapping], label: str = '') -> list[Line2D]:
  """Returns the handles of what a mean or a median is over: thin lines, or shares of the lanes."""
  cells = points.cells(rows, swept=points.told_apart(rows))
  kinds = []
  if any(len(cell.lanes) + len(cell.lost) > 1 and not _is_many(cell.lanes) for cell in cells):
    kinds += [kind(f'{label}, one lane'.removeprefix(', '), linewidth=0.5, alpha=0.6)]
  if any(_is_many(cell.lanes) for cell in cells):
    kinds += [
      kind(f'{share:.0%} of the lanes', linewidth=6, alpha=alpha) for share, alpha in _BANDS.items()
    ]
  return kinds


def lost_kind(rows: Sequence[Mapping]) -> list[Line2D]:
  """Returns the handle of the cross, if a lane diverged."""
  lost = any(map(points.is_lost, rows))
  return [kind('diverged', linestyle='', marker='x', markersize=5)] if lost else []


def _is_many(lanes: Sequence) -> bool:
  """Tells whether quantiles are drawn of the lanes of a cell, and no lines."""
  return len(lanes) > points.MOST_LINES


def middle_curve(curves: Sequence[Curve]) -> Curve:
  """Returns the mean of curves or, where there are more than `points.MOST_LINES`, the median."""
  return _quantiles(curves, 0.5)[0] if _is_many(curves) else mean_curve(curves)


def mean_curve(curves: Sequence[Curve]) -> Curve:
  """Returns the mean where all curves have a value, so that no lane enters or leaves midway."""
  shared = set(curves[0]).intersection(*curves[1:])
  return {x: float(np.mean([curve[x] for curve in curves])) for x in sorted(shared)}


def _quantiles(curves: Sequence[Curve], *shares: float) -> list[Curve]:
  """Returns the quantiles of many curves, at every x where at least half of them have a value."""
  places = sorted({x for curve in curves for x in curve})
  values = np.array([[curve.get(x, np.nan) for x in places] for curve in curves])
  known = 2 * np.isfinite(values).sum(axis=0) >= len(curves)
  found = np.nanquantile(values[:, known], shares, axis=0)
  places = [x for x, is_known in zip(places, known, strict=True) if is_known]
  return [dict(zip(places, row, strict=True)) for row in found.tolist()]


def draw_middle(axes: Axes, curves: Sequence[Curve], look: Mapping, **more) -> Curve:
  """Draws the middle of a cell's lanes, and the lanes behind it if they are several; returns it.

  Of more than `points.MOST_LINES` lanes the middle is the median, and bands hold half and nine
  tenths of them at each x.
  """
  if _is_many(curves):
    for share, alpha in _BANDS.items():
      low, high = _quantiles(curves, (1 - share) / 2, (1 + share) / 2)
      band = dict(color=look['color'], alpha=alpha, linewidth=0, zorder=1)
      axes.fill_between(list(low), list(low.values()), list(high.values()), **band)
  else:
    for curve in curves if len(curves) > 1 else ():
      plot(axes, curve, color=look['color'], **THIN)
  middle = middle_curve(curves)
  plot(axes, middle, linewidth=MEAN_WIDTH, zorder=3, **look, **more)
  return middle


def draw_lost(axes: Axes, curve: Curve, look: Mapping) -> None:
  """Draws a lane that diverged: a thin line, with a cross at its last value."""
  plot(axes, curve, color=look['color'], **THIN)
  last = dict(list(curve.items())[-1:])
  plot(axes, last, color=look['color'], marker='x', markersize=5, zorder=4)


def plot(axes: Axes, curve: Curve, **look) -> None:
  """Draws one curve."""
  axes.plot(list(curve), list(curve.values()), **look)
