"""The training loss over the optimiser steps, on logarithmic axes."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullFormatter, NullLocator

from vae_jax.figures import curves, panels, points, style
from vae_jax.figures.panels import Curve

_OBJECTIVE = 'batch/objective'
_MAX_TICKS = 6


def loss_curves(
  metrics: Sequence[Mapping], rows: Sequence[Mapping], study: str = ''
) -> Figure | None:
  """Draws the training loss, -objective, at steps that are powers of two, both axes logarithmic.

  One panel per latent size, one colour per beta; lines with dots are means over the lanes that
  differ in their seed alone, thin lines the single lanes; a cross is where a lane diverged. Many
  lanes are drawn as in `curves.learning_curves`. The last step is drawn whatever it is. A loss at
  or below zero, as a density may have, has no logarithm: the vertical axis is linear then. Nats per
  example, averaged over the batches since the line before; lower is better.

  Args:
    metrics: the lines of metrics.jsonl.
    rows: the lanes; a line belongs to the row with the same 'lane'.

  Returns:
    the Figure, or None when no lane that is left has an objective at such a step.
  """
  losses = read_losses(metrics, rows)
  if not any(losses[row['lane']] for row in rows if not points.is_lost(row)):
    return None
  titles = panels.by_latent_size(rows)
  shown = panels.new_panels(rows, titles, 'optimiser step', 'training loss (nats)')
  for cell in points.cells(rows, swept=shown.swept):
    members = [losses[row['lane']] for row in cell.lanes if losses[row['lane']]]
    if members and cell.latent_size in shown.axes:
      axes, look = shown.axes[cell.latent_size], shown.looks[cell.setting, cell.variant]
      panels.draw_middle(axes, members, look, marker='o', markersize=2)
  curves.draw_lost(shown, rows, losses)
  kept = [losses[row['lane']] for row in rows if not points.is_lost(row)]
  _set_axes(next(iter(shown.axes.values())), kept)
  kinds = {'loss': panels.line_kinds(rows, 'batch') + panels.lost_kind(rows)}
  return panels.finish(shown, rows, kinds, (study, 'loss while training'))


def read_losses(metrics: Sequence[Mapping], rows: Sequence[Mapping]) -> dict[int, Curve]:
  """Returns {lane: {step: loss}} at the powers of two and at the lane's last step."""
  losses = {}
  for lane, curve in curves.read_curves(metrics, rows, _OBJECTIVE).items():
    last = max(curve, default=0)
    losses[lane] = {
      step: -objective
      for step, objective in curve.items()
      if step > 0 and (step == last or step & (step - 1) == 0)
    }
  return losses


def _set_axes(axes: Axes, losses: Sequence[Curve]) -> None:
  """Sets the scales, limits and ticks of all panels, which share them."""
  steps = [step for curve in losses for step in curve]
  powers = [2**i for i in range(max(steps).bit_length())]
  stride = -(-len(powers) // _MAX_TICKS)
  axes.set_xscale('log', base=2)
  axes.set_xlim(min(steps) / 1.3, max(steps) * 1.3)
  axes.xaxis.set_major_locator(FixedLocator(powers[::stride]))
  axes.xaxis.set_minor_locator(FixedLocator(powers))
  axes.xaxis.set_major_formatter(lambda step, _: f'$2^{{{int(step).bit_length() - 1}}}$')
  axes.xaxis.set_minor_formatter(NullFormatter())
  numbers = [loss for curve in losses for loss in curve.values()]
  if min(numbers) <= 0:
    margin = 0.06 * (max(numbers) - min(numbers)) or 1.0
    axes.set_ylim(min(numbers) - margin, max(numbers) + margin)
    return
  axes.set_yscale('log')
  margin = (max(numbers) / min(numbers)) ** 0.06 * 1.01
  axes.set_ylim(min(numbers) / margin, max(numbers) * margin)
  axes.yaxis.set_major_locator(FixedLocator(_round_numbers(*axes.get_ylim())))
  axes.yaxis.set_minor_locator(NullLocator())
  axes.yaxis.set_major_formatter(lambda loss, _: style.plain(loss))


def _round_numbers(low: float, high: float) -> list[float]:
  """Returns three to seven round numbers between two positive ones, for a logarithmic axis."""
  exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
  for digits in ((1,), (1, 3), (1, 2, 5), (1, 2, 3, 5, 7)):
    ticks = [digit * 10.0**exponent for exponent in exponents for digit in digits]
    inside = [tick for tick in ticks if low <= tick <= high]
    if len(inside) >= 3:
      return inside[:: -(-len(inside) // 7)]
  return [tick for tick in MaxNLocator(4).tick_values(low, high) if low <= tick <= high]
