"""Curves over the optimiser steps: the ELBO, and the training loss on logarithmic axes."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator

from vae_jax.figures import panels, points, style
from vae_jax.figures.panels import Curve

_BATCH = 'batch/elbo'


def learning_curves(
  metrics: Sequence[Mapping], rows: Sequence[Mapping], study: str = ''
) -> Figure | None:
  """Draws the ELBO over the steps: one panel per latent size, one colour per beta.

  It is of the validation set or, without one, of the test set; see `points.chosen`.

  Lines with dots are means over the lanes that differ in their seed alone, thin lines the single
  lanes, faint lines the training batches; a cross is where a lane diverged. Of more than 30 such
  lanes the median is drawn, in bands of half and of nine tenths of them; so it is of all lanes of a
  latent size where they have more than 100 settings. With more latent sizes than eight, an even
  choice of them. Nats per example; higher is better.

  Args:
    metrics: the lines of metrics.jsonl.
    rows: the lanes; a line belongs to the row with the same 'lane'.

  Returns:
    the Figure, or None when no lane that is left has an ELBO.
  """
  rows, split = points.chosen(rows)
  tests, batches = read_curves(metrics, rows, f'{split}/elbo'), read_curves(metrics, rows, _BATCH)
  drawn = [row for row in rows if tests[row['lane']] and not points.is_lost(row)]
  if not drawn:
    return None
  titles = panels.by_latent_size(rows)
  shown = panels.new_panels(rows, titles, 'optimiser step', 'ELBO (nats)')
  for cell in points.cells(rows, swept=shown.swept):
    if cell.latent_size in shown.axes:
      _draw_cell(shown, cell, tests, batches)
  draw_lost(shown, rows, tests)
  notes = _set_limits(next(iter(shown.axes.values())), drawn, tests, batches)
  batch = [panels.kind('batch', linewidth=2, alpha=0.25)]
  kinds = {'ELBO': panels.line_kinds(rows, split) + batch + panels.lost_kind(rows)}
  return panels.finish(shown, rows, kinds, (study, f'{split} ELBO while training'), notes)


def read_curves(
  metrics: Sequence[Mapping], rows: Sequence[Mapping], column: str
) -> dict[int, Curve]:
  """Returns {lane: {step: value}} in the order of the steps, without NaN.

  What a lane repeats after the step at which it diverged is left out.
  """
  ends = {row['lane']: row['step'] if points.is_lost(row) else None for row in rows}
  curves = {lane: {} for lane in ends}
  for line in metrics:
    number, lane = points.value(line, column), line['lane']
    if number is None or lane not in ends or (ends[lane] is not None and line['step'] > ends[lane]):
      continue
    curves[lane][line['step']] = number
  return {lane: dict(sorted(curve.items())) for lane, curve in curves.items()}


def draw_lost(shown: panels.Panels, rows: Sequence[Mapping], curves: Mapping[int, Curve]) -> None:
  """Draws the lanes that diverged, up to where they did; of many an even choice."""
  for row in points.spread(list(filter(points.is_lost, rows)), points.MOST_LINES):
    if row['latent_size'] in shown.axes:
      panels.draw_lost(shown.axes[row['latent_size']], curves[row['lane']], shown.look(row))


def _draw_cell(
  shown: panels.Panels,
  cell: points.Cell,
  tests: Mapping[int, Curve],
  batches: Mapping[int, Curve],
) -> None:
  """Draws the lanes that differ in their seed alone, as far as they have begun."""
  lanes = [row['lane'] for row in cell.lanes if tests[row['lane']]]
  if not lanes:
    return
  axes, look = shown.axes[cell.latent_size], shown.looks[cell.setting, cell.variant]
  batch = panels.middle_curve([batches[lane] for lane in lanes])
  panels.plot(axes, batch, color=look['color'], linewidth=2, alpha=0.2)
  panels.draw_middle(axes, [tests[lane] for lane in lanes], look, marker='o', markersize=2)


def _set_limits(
  axes: Axes, rows: Sequence[Mapping], tests: dict[int, Curve], batches: dict[int, Curve]
) -> list[str]:
  """Sets limits and ticks of both axes; returns a note if a lane ends below the frame."""
  last = max(step for row in rows for step in tests[row['lane']])
  axes.set_xlim((0, last * 1.03) if last else (-1, 1))
  locator = MaxNLocator(4, steps=(1, 2, 2.5, 5, 10), integer=True)
  axes.xaxis.set_major_locator(locator if last else FixedLocator([0]))
  axes.xaxis.set_major_formatter(lambda step, _: style.thousands(step))
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
