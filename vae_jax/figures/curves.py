"""Learning curves: ELBO over the optimiser steps."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

from vae_jax.figures import points, style

_TEST, _BATCH = 'test/elbo', 'batch/elbo'
_MAX_PANELS = 8
_LEGEND_LINES = 20

# One lane's measurements of one quantity: {step: value}.
Curve = dict[int, float]


def learning_curves(
  metrics: Sequence[Mapping], rows: Sequence[Mapping], study: str = ''
) -> Figure | None:
  """Draws the test ELBO over the steps: one panel per latent size, one colour per beta.

  Lines with dots are means over the lanes of one beta and latent size, thin lines the single lanes,
  faint lines the training batches; a cross is where a lane diverged. With more latent sizes than
  eight, an even choice of them. Nats per example; higher is better.

  Args:
    metrics: the lines of metrics.jsonl.
    rows: the lanes; a line belongs to the row with the same 'lane'.

  Returns:
    the Figure, or None when no lane that is left has a test ELBO.
  """
  tests, batches = read_curves(metrics, rows, _TEST), read_curves(metrics, rows, _BATCH)
  drawn = [row for row in rows if tests[row['lane']] and not points.is_lost(row)]
  if not drawn:
    return None
  every = sorted({row['latent_size'] for row in rows})
  panels = points.spread(every, _MAX_PANELS)
  figure, axes = _new_panels(len(panels))
  colours = style.beta_colours([row['beta'] for row in rows])
  for panel, latent_size in zip(axes, panels, strict=True):
    members = [row for row in rows if row['latent_size'] == latent_size]
    _draw_panel(panel, members, tests, batches, colours)
    panel.set_title(f'latent size {latent_size}', fontsize=style.TEXT, color=style.INK)
  notes = _set_limits(axes[0], drawn, tests, batches)
  if len(panels) < len(every):
    notes.insert(0, f'{len(panels)} of {len(every)} latent sizes')
  columns = _draw_legend(figure, colours, rows)
  notes = points.notes(rows) + notes
  style.set_heading(figure, study, 'test ELBO while training', notes, right=1.2 * columns)
  return figure


def read_curves(
  metrics: Sequence[Mapping], rows: Sequence[Mapping], column: str
) -> dict[int, Curve]:
  """Returns {lane: {step: value}} in the order of the steps, without NaN.

  What a lane repeats after the step at which it diverged is left out.
  """
  ends = {row['lane']: row['step'] if points.is_lost(row) else None for row in rows}
  curves = {lane: {} for lane in ends}
  for line in sorted(metrics, key=lambda line: line['step']):
    number, lane = points.value(line, column), line['lane']
    if number is None or lane not in ends or (ends[lane] is not None and line['step'] > ends[lane]):
      continue
    curves[lane][line['step']] = number
  return curves


def mean_curve(curves: Sequence[Curve]) -> Curve:
  """Returns the mean at the steps that all curves have, so that no lane enters or leaves midway."""
  shared = set(curves[0]).intersection(*curves[1:])
  return {step: float(np.mean([curve[step] for curve in curves])) for step in sorted(shared)}


def _new_panels(count: int) -> tuple[Figure, list[Axes]]:
  """Returns a figure of `count` panels that share both axes, the labels at its edges."""
  columns = count if count <= 4 else -(-count // 2)
  num_rows = -(-count // columns)
  width, height = (4.6, 3.4) if count == 1 else (2.0 * columns, 1.9 * num_rows)
  figure = style.new_figure(width + 1.4, height + 0.4)
  grid = figure.subplots(num_rows, columns, sharex=True, sharey=True, squeeze=False)
  axes = list(grid.flat)
  for unused in axes[count:]:
    unused.remove()
  for panel in axes[:count]:
    style.set_axes(panel)
  for panel in axes[max(0, count - columns) : count]:
    panel.tick_params(labelbottom=True)
  figure.supxlabel('optimiser step', fontsize=style.TEXT, color=style.INK)
  figure.supylabel('ELBO (nats)', fontsize=style.TEXT, color=style.INK)
  return figure, axes[:count]


def _draw_panel(
  axes: Axes,
  rows: Sequence[Mapping],
  tests: dict[int, Curve],
  batches: dict[int, Curve],
  colours: dict[float, tuple],
) -> None:
  """Draws the lanes of one latent size."""
  for cell in points.cells(rows, ()):
    colour = colours[cell.beta]
    lanes = [row['lane'] for row in cell.lanes if tests[row['lane']]]
    if not lanes:
      continue
    for lane in lanes if len(lanes) > 1 else ():
      _plot(axes, tests[lane], color=colour, linewidth=0.5, alpha=0.45, zorder=2)
    batch, test = (mean_curve([curves[lane] for lane in lanes]) for curves in (batches, tests))
    _plot(axes, batch, color=colour, linewidth=2, alpha=0.2)
    _plot(axes, test, color=colour, linewidth=1.2, marker='o', markersize=2, zorder=3)
  for row in filter(points.is_lost, rows):
    curve, colour = tests[row['lane']], colours[row['beta']]
    _plot(axes, curve, color=colour, linewidth=0.5, alpha=0.45, zorder=2)
    last = dict(list(curve.items())[-1:])
    _plot(axes, last, color=colour, marker='x', markersize=5, zorder=4)


def _plot(axes: Axes, curve: Curve, **look) -> None:
  """Draws one curve."""
  axes.plot(list(curve), list(curve.values()), **look)


def _set_limits(
  axes: Axes, rows: Sequence[Mapping], tests: dict[int, Curve], batches: dict[int, Curve]
) -> list[str]:
  """Sets limits and ticks of both axes; returns a note if a lane ends below the frame."""
  last = max(step for row in rows for step in tests[row['lane']])
  axes.set_xlim((0, last * 1.03) if last else (-1, 1))
  locator = MaxNLocator(4, steps=(1, 2, 2.5, 5, 10), integer=True)
  axes.xaxis.set_major_locator(locator if last else FixedLocator([0]))
  axes.xaxis.set_major_formatter(lambda step, _: f'{step / 1e3:g}k' if step >= 1e3 else f'{step:g}')
  low, high = _elbo_range(rows, tests, batches, last / 5)
  margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
  axes.set_ylim(low - margin, high + margin)
  below = [row for row in rows if list(tests[row['lane']].values())[-1] < low]
  betas = ', '.join(style.plain(beta) for beta in sorted({row['beta'] for row in below}))
  return [f'{len(below)} of {len(rows)} lanes end below the frame (β = {betas})'] if below else []


def _elbo_range(
  rows: Sequence[Mapping], tests: dict[int, Curve], batches: dict[int, Curve], start: float
) -> tuple[float, float]:
  """Returns the ELBOs to frame: those from step `start` on, as before it they are far below."""

  def late(curves, priced):
    members = [curves[row['lane']] for row in rows if (row['beta'] > 0) == priced]
    return [number for curve in members for step, number in curve.items() if step >= start]

  priced = [list(tests[row['lane']].values())[-1] for row in rows if row['beta'] > 0]
  if priced:
    # Not the lowest: one evaluation gone wrong would flatten every curve.
    priced += list(np.percentile(late(tests, True) or priced, (1, 100), method='higher'))
  low, high = points.frame(priced, late(tests, False))
  noisy = late(batches, True)
  return low, max(high, np.percentile(noisy, 95)) if noisy else high


def _draw_legend(figure: Figure, colours: dict[float, tuple], rows: Sequence[Mapping]) -> int:
  """Draws the betas and the kinds of line beside the panels; returns its number of columns."""
  grey = dict(color='0.4')
  kinds = [Line2D([], [], marker='o', markersize=2, linewidth=1.2, label='test', **grey)]
  if len(rows) > len(points.cells(rows, ())):
    kinds += [Line2D([], [], linewidth=0.5, alpha=0.6, label='test, one lane', **grey)]
  kinds += [Line2D([], [], linewidth=2, alpha=0.25, label='batch', **grey)]
  if any(map(points.is_lost, rows)):
    kinds += [Line2D([], [], linestyle='', marker='x', markersize=5, label='diverged', **grey)]
  betas = [Line2D([], [], color=c, label=style.plain(beta)) for beta, c in colours.items()]
  sections = {'β': betas, 'ELBO': kinds}
  return style.draw_legend(figure, sections, _LEGEND_LINES, loc='outside right upper')
