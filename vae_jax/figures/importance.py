"""The importance-weighted bound over the number of samples: how tight it has become."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from vae_jax.figures import panels, points, style
from vae_jax.figures.panels import Curve


def nll_curve(table: Sequence[Mapping], rows: Sequence[Mapping], study: str = '') -> Figure | None:
  """Draws the test bound L_k over k samples: one panel per latent size, one colour per beta.

    L_k = E[log 1/k sum_i p(x, z_i) / q(z_i | x)]     ELBO = L_1 <= L_k <= log p(x)

  (Burda et al. 2016, arxiv.org/abs/1509.00519, eq. 8 and theorem 1). Lines with dots are means over
  the lanes that differ in their seed alone, thin lines the single lanes. The band is the standard
  error over the images on either side, of one lane: the seeds share the images, so that their mean
  is no surer. Each panel has its own scale. Lanes that diverged are left out. Nats per example;
  higher is better.

  Args:
    table: the rows of nll_curve.csv.
    rows: the lanes; a row of the table belongs to the one with the same 'lane'.

  Returns:
    the Figure, or None when no lane that is left has a bound.
  """
  bounds, stderrs = read_bounds(table, rows, 'bound'), read_bounds(table, rows, 'stderr')
  drawn = [row for row in rows if bounds[row['lane']]]
  if not drawn:
    return None
  titles = panels.by_latent_size(drawn)
  labels = ('importance samples k', 'bound $L_k$ (nats)')
  shown = panels.new_panels(rows, titles, *labels, sharey=False)
  for cell in points.cells(rows, swept=shown.swept):
    if cell.latent_size in shown.axes:
      _draw_cell(shown, cell, bounds, stderrs)
  notes = _set_limits(shown, drawn, bounds, stderrs) + _examples_note(table)
  title = 'test bound over k samples, nats per example'
  band = [panels.kind('± standard error', linewidth=6, alpha=0.18)]
  kinds = {'bound': panels.line_kinds(rows, 'test') + band}
  return panels.finish(shown, rows, kinds, (study, title), notes)


def read_bounds(table: Sequence[Mapping], rows: Sequence[Mapping], column: str) -> dict[int, Curve]:
  """Returns {lane: {k: value}} in the order of k, nothing of the lanes that were lost."""
  curves = {row['lane']: {} for row in rows}
  kept = {row['lane'] for row in rows if not points.is_lost(row)}
  for line in sorted(table, key=lambda line: line['samples']):
    number = points.value(line, column)
    if number is not None and line['lane'] in kept:
      curves[line['lane']][line['samples']] = number
  return curves


def _draw_cell(
  shown: panels.Panels,
  cell: points.Cell,
  bounds: Mapping[int, Curve],
  stderrs: Mapping[int, Curve],
) -> None:
  """Draws the lanes that differ in their seed alone, with the band around their mean."""
  lanes = [row['lane'] for row in cell.lanes if bounds[row['lane']]]
  if not lanes:
    return
  axes, look = shown.axes[cell.latent_size], shown.looks[cell.setting, cell.variant]
  mean = panels.draw_middle(axes, [bounds[lane] for lane in lanes], look, marker='o', markersize=2)
  error = panels.middle_curve([stderrs[lane] for lane in lanes])
  counts = [k for k in mean if k in error]
  low, high = ([mean[k] + sign * error[k] for k in counts] for sign in (-1, 1))
  axes.fill_between(counts, low, high, color=look['color'], alpha=0.18, linewidth=0)


def _set_limits(
  shown: panels.Panels,
  rows: Sequence[Mapping],
  bounds: Mapping[int, Curve],
  stderrs: Mapping[int, Curve],
) -> list[str]:
  """Sets limits and ticks of all axes; returns a note of the lanes that leave the frame."""
  counts = {k for curve in bounds.values() for k in curve}
  _set_counts(next(iter(shown.axes.values())), sorted(counts))
  outside = 0
  for latent_size, axes in shown.axes.items():
    members = [row for row in rows if row['latent_size'] == latent_size]
    outside += _frame(axes, members, bounds, stderrs)
  return [f'{outside} of {len(rows)} lanes leave the frame (β = 0)'] if outside else []


def _set_counts(axes: Axes, counts: Sequence[int]) -> None:
  """Sets the numbers of samples as the axis that all panels share."""
  axes.set_xscale('log')
  axes.set_xlim(counts[0] / 1.3, counts[-1] * 1.3)
  decades = counts[-1] >= 100 * counts[0]
  locator = LogLocator(10, numticks=5) if decades else FixedLocator(points.spread(counts, 4))
  axes.xaxis.set_major_locator(locator)
  axes.xaxis.set_minor_locator(NullLocator())
  axes.xaxis.set_major_formatter(lambda count, _: style.thousands(count))


def _frame(
  axes: Axes, rows: Sequence[Mapping], bounds: Mapping[int, Curve], stderrs: Mapping[int, Curve]
) -> int:
  """Frames the lanes of a panel, but for beta = 0; returns how many leave the frame."""

  def values(row):
    bound, error = bounds[row['lane']], stderrs[row['lane']]
    return [bound[k] + sign * error.get(k, 0.0) for k in bound for sign in (-1, 1)]

  low, high = points.frame(
    [number for row in rows if row['beta'] > 0 for number in values(row)],
    [number for row in rows if row['beta'] == 0 for number in values(row)],
  )
  margin = 0.06 * (high - low) or 1.0
  axes.set_ylim(low - margin, high + margin)
  return sum(min(values(row)) < low or max(values(row)) > high for row in rows)


def _examples_note(table: Sequence[Mapping]) -> list[str]:
  """Says how many test examples the bounds are means over."""
  counts = sorted({line['images'] for line in table if points.value(line, 'images') is not None})
  ends = dict.fromkeys((*counts[:1], *counts[-1:]))
  return [f'{" to ".join(map(str, ends))} examples'] if counts else []
