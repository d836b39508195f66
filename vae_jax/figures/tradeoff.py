"""Distortion over rate: what each lane pays for what it stores."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from vae_jax.figures import points, style

_RATE, _DISTORTION = 'test/rate', 'test/distortion'
# One shape per beta; with more betas than shapes the points carry their beta as text.
_SHAPES = 'osD^v<>pXPh*'
_LEGEND_LINES = 28


def rate_distortion(rows: Sequence[Mapping], study: str = '') -> Figure | None:
  """Draws the test distortion over the test rate, one line per latent size, one point per beta.

  A point is the mean over the lanes that share beta and latent size, each lane a small dot; grey
  diagonals join points of equal ELBO = -(rate + distortion) (Alemi et al. 2018, 'Fixing a Broken
  ELBO', arxiv.org/abs/1711.00464, figure 1). Nats per example; lower is better on both axes.

  Returns:
    the Figure, or None when no lane has both values.
  """
  cells = [cell for cell in points.cells(rows, (_RATE, _DISTORTION)) if cell.lanes]
  if not cells:
    return None
  sections = _legend_sections(cells)
  lines = len(sections) + sum(map(len, sections.values()))
  figure = style.new_figure(6.4, max(3.9, 0.165 * min(lines, _LEGEND_LINES) + 0.5))
  axes = figure.add_subplot()
  axes.set(xlabel='test rate R (nats)', ylabel='test distortion D (nats)')
  style.set_axes(axes)
  outside = _set_limits(axes, cells)
  _draw_elbo_lines(axes)
  _draw_points(axes, cells)
  style.draw_legend(axes, sections, _LEGEND_LINES, bbox_to_anchor=(1.09, 1.02), loc='upper left')
  style.set_heading(
    figure, study, 'rate and distortion on the test set', points.notes(rows) + outside
  )
  return figure


def _set_limits(axes: Axes, cells: Sequence[points.Cell]) -> list[str]:
  """Frames the lanes, but for beta = 0; returns a note of the points that lie outside."""
  hidden = set()
  for column, set_limits in ((_RATE, axes.set_xlim), (_DISTORTION, axes.set_ylim)):
    low, high = points.frame(
      [row[column] for cell in cells for row in cell.lanes if cell.beta > 0],
      [row[column] for cell in cells for row in cell.lanes if cell.beta == 0],
    )
    margin = 0.07 * (high - low) or 0.1 * abs(high) or 1.0
    set_limits(low - margin, high + margin)
    hidden |= {cell[:2] for cell in cells if not low <= cell.mean(column) <= high}
  if not hidden:
    return []
  betas = ', '.join(style.plain(beta) for beta in sorted({beta for beta, _ in hidden}))
  rates = sorted(cell.mean(_RATE) for cell in cells if cell[:2] in hidden)
  span = ' to '.join(style.nats(rate) for rate in sorted({rates[0], rates[-1]}))
  return [f'{len(hidden)} of {len(cells)} points outside the frame (β = {betas}, rate {span} nats)']


def _draw_elbo_lines(axes: Axes) -> None:
  """Draws faint diagonals of equal ELBO, labelled where they leave the frame: never on the data."""
  (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
  for total in MaxNLocator(8).tick_values(left + bottom, right + top):
    axes.plot([left, right], [total - left, total - right], color='0.87', linewidth=0.6, zorder=0)
    text = dict(color=style.FAINT, fontsize=6, annotation_clip=False, textcoords='offset points')
    label = style.plain(-total).replace('-', '−')
    if left < total - top < right:
      axes.annotate(label, (total - top, top), (0, 2), ha='center', **text)
    elif bottom < total - right < top:
      axes.annotate(label, (right, total - right), (2, 0), va='center', **text)
  axes.autoscale(False)


def _draw_points(axes: Axes, cells: Sequence[points.Cell]) -> None:
  """Draws one line per latent size through its betas, with the single lanes behind it."""
  colours = style.latent_colours([cell.latent_size for cell in cells])
  shapes = _beta_shapes(cells)
  for latent_size, colour in colours.items():
    line = [cell for cell in cells if cell.latent_size == latent_size]
    rates, distortions = ([cell.mean(c) for cell in line] for c in (_RATE, _DISTORTION))
    axes.plot(rates, distortions, color=colour, linewidth=1.2, label=str(latent_size), zorder=2)
    for cell, rate, distortion in zip(line, rates, distortions, strict=True):
      axes.scatter(
        rate, distortion, 36, color=colour, marker=shapes[cell.beta], ec='white', lw=0.4, zorder=4
      )
    several = [row for cell in line if len(cell.lanes) > 1 for row in cell.lanes]
    axes.scatter(
      [row[_RATE] for row in several],
      [row[_DISTORTION] for row in several],
      5,
      color=colour,
      alpha=0.55,
      linewidths=0,
      zorder=3,
    )
  if len({cell.beta for cell in cells}) > len(_SHAPES):
    _write_betas(axes, cells, max(colours))


def _write_betas(axes: Axes, cells: Sequence[points.Cell], latent_size: int) -> None:
  """Writes beta beside the points of one line, leaving out those that would touch the last one."""
  written = None
  for cell in cells:
    if cell.latent_size != latent_size:
      continue
    point = (cell.mean(_RATE), cell.mean(_DISTORTION))
    place = axes.transData.transform(point) / style.DPI  # inches
    if written is None or np.any(np.abs(place - written) > (0.55, 0.13)):
      axes.annotate(
        style.plain(cell.beta) if written is not None else f'β = {style.plain(cell.beta)}',
        point,
        (-3, -4),
        textcoords='offset points',
        ha='right',
        va='top',
        fontsize=6,
        color=style.INK,
      )
      written = place


def _beta_shapes(cells: Sequence[points.Cell]) -> dict[float, str]:
  """Returns a marker per beta; circles for all when there are more betas than shapes."""
  betas = sorted({cell.beta for cell in cells})
  shapes = _SHAPES if len(betas) <= len(_SHAPES) else 'o' * len(betas)
  return dict(zip(betas, shapes, strict=False))


def _legend_sections(cells: Sequence[points.Cell]) -> dict[str, list[Line2D]]:
  """Returns the legend: the latent sizes by colour, the betas by shape, and what the rest is."""
  colours = style.latent_colours([cell.latent_size for cell in cells])
  shapes = _beta_shapes(cells)
  grey = dict(linestyle='', color='0.4')
  sections = {
    'latent size': [Line2D([], [], color=c, label=str(size)) for size, c in colours.items()]
  }
  if len(shapes) <= len(_SHAPES):
    sections['β'] = [
      Line2D([], [], marker=shape, markersize=5, label=style.plain(beta), **grey)
      for beta, shape in shapes.items()
    ]
  sections[''] = [Line2D([], [], color='0.87', label='equal ELBO (nats)')]
  if any(len(cell.lanes) > 1 for cell in cells):
    sections[''] += [Line2D([], [], marker='.', markersize=4, label='one lane', **grey)]
  return sections
