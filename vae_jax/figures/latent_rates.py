"""How the rate spreads over the latents: which of them a lane uses."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, MaxNLocator

from vae_jax.figures import panels, points

_TITLES = {'rate': 'rate of each latent', 'mean_variance': 'variance of each posterior mean'}
_UNITS = {'rate': 'rate (nats)', 'mean_variance': 'variance over the data'}
_DOTS = dict(marker='o', linestyle='', zorder=4)

# One lane's latents of one layer, the largest value first: (value, 1 if active, 0 if not, or NaN).
Profile = list[tuple[float, float]]


def latents(table: Sequence[Mapping], rows: Sequence[Mapping], study: str = '') -> Figure | None:
  """Draws the rate of each latent, largest first: one panel per latent size, one colour per beta.

  The sum over a line is the lane's whole rate. Lines are means, rank by rank, over the lanes that
  differ in their seed alone, thin lines the single lanes. A full dot is a latent that is active in
  at least half of the lanes, a hollow one a latent that is not; where that is not known there is no
  dot. Every layer of latents has panels of its own; of more than eight, an even choice. Lanes that
  diverged are left out. Nats per example; lower is cheaper.

  Where the rate does not split by latent, its place is taken by the variance of the posterior mean
  over the data, on a logarithmic axis; it has no sign.

  Args:
    table: the rows of latents.csv.
    rows: the lanes; a row of the table belongs to the one with the same 'lane'.

  Returns:
    the Figure, or None when no lane that is left has latents with a value.
  """
  found = {column: read_profiles(table, rows, column) for column in _TITLES}
  column = 'rate' if found['rate'] else 'mean_variance'
  profiles = found[column]
  if not profiles:
    return None
  titles, labels = _titles(profiles, rows), ('latents, largest first', _UNITS[column])
  shown = panels.new_panels(rows, titles, *labels, unit='panels', sharex=False)
  for cell in points.cells(rows, swept=shown.swept):
    for (latent_size, layer), axes in shown.axes.items():
      members = [profiles[key] for row in cell.lanes if (key := (row['lane'], layer)) in profiles]
      if cell.latent_size == latent_size and members:
        _draw_cell(axes, members, shown.looks[cell.setting, cell.variant])
  for axes in shown.axes.values():
    _set_ranks(axes)
  first = next(iter(shown.axes.values()))
  set_limits = _set_rates if column == 'rate' else _set_variances
  notes = set_limits(first, profiles, rows)
  return panels.finish(shown, rows, _legend(rows), (study, _TITLES[column]), notes)


def read_profiles(
  table: Sequence[Mapping], rows: Sequence[Mapping], column: str
) -> dict[tuple[int, int], Profile]:
  """Returns the latents of each (lane, layer) that have a value, without lanes that were lost."""
  kept = {row['lane'] for row in rows if not points.is_lost(row)}
  profiles = {}
  for line in table:
    number = points.value(line, column)
    if number is not None and line['lane'] in kept:
      active = points.value(line, 'active')
      latent = (number, float('nan') if active is None else active)
      profiles.setdefault((line['lane'], line.get('layer') or 0), []).append(latent)
  return {key: sorted(profile, reverse=True) for key, profile in profiles.items()}


def _titles(profiles: Mapping, rows: Sequence[Mapping]) -> dict[tuple[int, int], str]:
  """Returns the titles of the panels by (latent size, layer)."""
  sizes = {row['lane']: row['latent_size'] for row in rows}
  keys = sorted({(sizes[lane], layer) for lane, layer in profiles})
  several = len({layer for _, layer in keys}) > 1
  return {
    (size, layer): f'latent size {size}' + (f', layer {layer}' if several else '')
    for size, layer in keys
  }


def _draw_cell(axes: Axes, profiles: Sequence[Profile], look: Mapping) -> None:
  """Draws the lanes that differ in their seed alone: their mean, and a dot on it per latent."""
  curves = [{rank: v for rank, (v, _) in enumerate(p, start=1)} for p in profiles]
  mean = panels.draw_middle(axes, curves, look)
  size = float(np.clip(75 / len(mean), 1.0, 3.2))
  share = {rank: np.mean([p[rank - 1][1] for p in profiles if len(p) >= rank]) for rank in mean}
  full = {rank for rank in mean if share[rank] >= 0.5}
  hollow = {rank for rank in mean if share[rank] < 0.5}
  for ranks, face in ((full, look['color']), (hollow, 'white')):
    dots = {rank: mean[rank] for rank in mean if rank in ranks}
    edge = dict(markeredgecolor=look['color'], markeredgewidth=min(0.6, size / 4))
    panels.plot(axes, dots, markersize=size, markerfacecolor=face, **edge, **_DOTS)


def _set_ranks(axes: Axes) -> None:
  """Sets limits and ticks of a panel's ranks, the first among them."""
  last = max(max(line.get_xdata(), default=1) for line in axes.lines)
  margin = 0.05 * last + 0.2
  axes.set_xlim(1 - margin, last + margin)
  ticks = MaxNLocator(4, steps=(1, 2, 5, 10), integer=True).tick_values(1, last)
  axes.xaxis.set_major_locator(FixedLocator([1, *(t for t in ticks if 2 <= t <= last)]))


def _set_rates(axes: Axes, profiles: Mapping, rows: Sequence[Mapping]) -> list[str]:
  """Frames the rates, but for beta = 0; returns a note of the lanes that leave the frame."""
  beta = {row['lane']: row['beta'] for row in rows}
  priced = [v for (lane, _), each in profiles.items() for v, _ in each if beta[lane] > 0]
  free = [v for (lane, _), each in profiles.items() for v, _ in each if beta[lane] == 0]
  low, high = points.frame(priced, free)
  low = min(0.0, low)
  margin = 0.06 * (high - low) or 1.0
  axes.set_ylim(low - margin, high + margin)
  outside = {lane for (lane, _), each in profiles.items() if each[0][0] > high}
  return [f'{len(outside)} of {len(rows)} lanes leave the frame (β = 0)'] if outside else []


def _set_variances(axes: Axes, profiles: Mapping, rows: Sequence[Mapping]) -> list[str]:
  """Frames the variances on a logarithmic axis; one of zero lies below the frame."""
  del rows
  positive = [value for each in profiles.values() for value, _ in each if value > 0]
  if positive:
    axes.set_yscale('log')
    axes.set_ylim(min(positive) / 2, max(positive) * 2)
  return []


def _legend(rows: Sequence[Mapping]) -> dict[str, list[Line2D]]:
  """Returns the section of the legend on the dots and the thin lines."""
  dot = dict(linestyle='', marker='o', markersize=3.2)
  kinds = [panels.kind('active', **dot), panels.kind('not active', markerfacecolor='white', **dot)]
  return {'latent': kinds + panels.lane_kinds(rows)}
