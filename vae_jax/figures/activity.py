"""Active units over beta: where collapse sets in, beside where it was forecast."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from vae_jax.figures import points, style
from vae_jax.forecast import Forecast

_UNITS = 'active_units'  # of the split by which choosing goes
_FORECAST = dict(linestyle=style.DASHES[1], linewidth=0.9, alpha=0.8, zorder=2)
_LEGEND_LINES = 24
_TICKS = 8

Line = Sequence[points.Cell]  # of one latent size and variant, along beta


def active_units(
  rows: Sequence[Mapping], forecast: Forecast | None = None, study: str = ''
) -> Figure | None:
  """Draws the number of active units over beta, one line per latent size, the forecast dashed.

  A point is the mean over the lanes that differ in their seed alone, each lane a small dot; what
  lanes differ in besides beta and latent size is told by the style of the line. The forecast is
  `Forecast.active`, no more than the latent size. Beta = 0 has no place on a logarithmic axis.

  Returns:
    the Figure, or None when there are no two betas with a number of units.
  """
  rows, split = points.chosen(rows)
  cells = points.cells(rows, (_UNITS,))
  drawn = [cell for cell in cells if cell.lanes and cell.beta > 0]
  betas = sorted({cell.beta for cell in drawn})
  if len(betas) < 2:
    return None
  colours = style.latent_colours([cell.latent_size for cell in drawn])
  swept = points.sweep(rows)
  sections = _sections(colours, swept, rows, forecast)
  figure, axes = _frame(sections, split)
  for line in _lines(drawn):
    _draw(axes, line, colours, swept)
  if forecast is not None:
    _draw_forecast(axes, forecast, betas, colours)
  _set_ticks(axes, betas)
  style.draw_legend(axes, sections, _LEGEND_LINES, bbox_to_anchor=(1.02, 1.02), loc='upper left')
  without = ['β = 0 left out'] if any(cell.lanes and not cell.beta for cell in cells) else []
  notes = points.notes(rows) + without
  style.set_heading(figure, study, f'active units over β, {split} set', notes)
  return figure


def _frame(sections: Mapping[str, Sequence[Line2D]], split: str) -> tuple[Figure, Axes]:
  """Returns a figure that is high enough for its legend, and its axes."""
  lines = len(sections) + sum(map(len, sections.values()))
  figure = style.new_figure(6.0, max(3.4, 0.165 * min(lines, _LEGEND_LINES) + 0.5))
  axes = figure.add_subplot()
  axes.set(xlabel='β', ylabel=f'active units ({split})', xscale='log')
  style.set_axes(axes)
  return figure, axes


def _lines(cells: Sequence[points.Cell]) -> Iterator[Line]:
  """Yields the cells of each latent size and variant, beta ascending."""
  found: dict[tuple, list[points.Cell]] = {}
  for cell in cells:
    found.setdefault((cell.latent_size, *cell.variant), []).append(cell)
  for line in found.values():
    yield sorted(line, key=lambda cell: cell.beta)


def _draw(axes: Axes, line: Line, colours: Mapping[int, tuple], swept: points.Sweep) -> None:
  colour, dash = colours[line[0].latent_size], swept.dashes[line[0].variant]
  means = [cell.mean(_UNITS) for cell in line]
  look = dict(color=colour, linestyle=dash, linewidth=1.2, marker='o', markersize=3.5, zorder=3)
  axes.plot([cell.beta for cell in line], means, **look)
  single = [(cell.beta, row[_UNITS]) for cell in line if len(cell.lanes) > 1 for row in cell.lanes]
  if single:
    axes.plot(*zip(*single, strict=True), color=colour, linestyle='', marker='.', markersize=3)


def _draw_forecast(
  axes: Axes, forecast: Forecast, betas: Sequence[float], colours: Mapping[int, tuple]
) -> None:
  fine = np.geomspace(betas[0], betas[-1], 400)
  for size, colour in colours.items():
    axes.plot(fine, [forecast.active(beta, size) for beta in fine], color=colour, **_FORECAST)


def _set_ticks(axes: Axes, betas: Sequence[float]) -> None:
  """Has the betas of the study below, whole numbers at the left, 0 among them."""
  axes.xaxis.set_major_locator(FixedLocator(points.spread(betas, _TICKS)))
  axes.xaxis.set_minor_locator(NullLocator())
  axes.xaxis.set_major_formatter(FuncFormatter(lambda beta, _: style.plain(beta)))
  axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
  axes.set_ylim(bottom=-0.03 * axes.get_ylim()[1])


def _sections(
  colours: Mapping[int, tuple],
  swept: points.Sweep,
  rows: Sequence[Mapping],
  forecast: Forecast | None,
) -> dict[str, list[Line2D]]:
  sizes = [Line2D([], [], color=colour, label=str(size)) for size, colour in colours.items()]
  kinds = []
  if forecast is not None:
    kinds += [Line2D([], [], color='0.4', label='forecast', **_FORECAST)]
  if len(rows) > len(points.cells(rows)):
    dot = dict(linestyle='', marker='.', markersize=4)
    kinds += [Line2D([], [], color='0.4', label='one lane', **dot)]
  found = {'latent size': sizes, **points.dashed_section(swept)}
  return found | ({'': kinds} if kinds else {})
