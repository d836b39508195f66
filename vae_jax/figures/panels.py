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
  swept = points.sweep(rows)
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
  every = [*points.notes(rows), *panels.notes, *notes]
  style.set_heading(figure, *heading, every, right=beside)
  return figure


def _colour_section(panels: Panels) -> dict[str, list[Line2D]]:
  """Returns the section of the legend that tells the colours."""
  swept = panels.swept
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
  """Returns the handles of a line with dots and, if it is a mean of several, of a thin line."""
  kinds = [kind(label, marker='o', markersize=2, linewidth=MEAN_WIDTH)]
  if len(rows) > len(points.cells(rows)):
    kinds += [kind(f'{label}, one lane', linewidth=0.5, alpha=0.6)]
  return kinds


def lost_kind(rows: Sequence[Mapping]) -> list[Line2D]:
  """Returns the handle of the cross, if a lane diverged."""
  lost = any(map(points.is_lost, rows))
  return [kind('diverged', linestyle='', marker='x', markersize=5)] if lost else []


def mean_curve(curves: Sequence[Curve]) -> Curve:
  """Returns the mean where all curves have a value, so that no lane enters or leaves midway."""
  shared = set(curves[0]).intersection(*curves[1:])
  return {x: float(np.mean([curve[x] for curve in curves])) for x in sorted(shared)}


def draw_mean(axes: Axes, curves: Sequence[Curve], look: Mapping, **more) -> Curve:
  """Draws the mean of a cell's lanes, and the lanes behind it if they are several; returns it."""
  for curve in curves if len(curves) > 1 else ():
    plot(axes, curve, color=look['color'], **THIN)
  mean = mean_curve(curves)
  plot(axes, mean, linewidth=MEAN_WIDTH, zorder=3, **look, **more)
  return mean


def draw_lost(axes: Axes, curve: Curve, look: Mapping) -> None:
  """Draws a lane that diverged: a thin line, with a cross at its last value."""
  plot(axes, curve, color=look['color'], **THIN)
  last = dict(list(curve.items())[-1:])
  plot(axes, last, color=look['color'], marker='x', markersize=5, zorder=4)


def plot(axes: Axes, curve: Curve, **look) -> None:
  """Draws one curve."""
  axes.plot(list(curve), list(curve.values()), **look)
