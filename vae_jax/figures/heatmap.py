"""The ELBO over the grid: which beta and latent size are best, and by how much."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from vae_jax.figures import points, style

_ELBO = 'elbo'
_MOST_ROWS = 60


def elbo_heatmap(rows: Sequence[Mapping], study: str = '') -> Figure | None:
  """Draws the ELBO over beta (rows) and latent size (columns), the value in each cell.

  It is of the validation set or, without one, of the test set; see `points.chosen`.
  Where the lanes differ in more than beta, latent size and seed, each setting has its row. A cell
  is the mean over its seeds that did not diverge; the best is framed. A cell whose lanes all
  diverged or failed is hatched, one that lost some has a star, one not yet evaluated is grey, one
  that the study does not have is empty. Of more than 60 settings there are rows of an even choice,
  and of the best. Nats per example; higher is better.

  Returns:
    the Figure, or None when no lane has an ELBO.
  """
  rows, split = points.chosen(rows)
  cells = points.cells(rows, (_ELBO,))
  if not any(cell.lanes for cell in cells):
    return None
  every = points.ordered([_setting(cell) for cell in cells])
  settings = _shown(every, cells)
  cells = [cell for cell in cells if _setting(cell) in settings]
  latent_sizes = sorted({cell.latent_size for cell in cells})
  labels = [points.label(setting) for setting in settings]
  beside = 1.9 + 0.06 * max(0, max(map(len, labels)) - 5)
  figure = style.new_figure(beside + 0.52 * len(latent_sizes), 0.8 + 0.3 * len(settings))
  axes = figure.add_subplot()
  mesh = _draw_cells(axes, cells, settings, latent_sizes)
  swept = points.sweep(rows)
  _label_axes(axes, points.title(swept.fields + swept.dashed), labels, latent_sizes)
  label = f'{split} ELBO (nats)' if len(settings) > 1 else 'nats'  # as long as one row is high
  _draw_colour_bar(figure, axes, mesh, cells, label)
  few = [f'{len(settings)} of {len(every)} settings'] if len(settings) < len(every) else []
  style.set_heading(figure, study, f'{split} ELBO', points.notes(rows) + few + _star_note(cells))
  return figure


def _shown(settings: list[tuple], cells: Sequence[points.Cell]) -> list[tuple]:
  """Returns the settings that have a row: an even choice of many, and that of the best cell."""
  if len(settings) <= _MOST_ROWS:
    return settings
  best = max((cell for cell in cells if cell.lanes), key=lambda cell: cell.mean(_ELBO))
  return points.ordered([*points.spread(settings, _MOST_ROWS - 1), _setting(best)])


def _setting(cell: points.Cell) -> tuple:
  """Returns all that a cell's row stands for."""
  return cell.setting + cell.variant


def _draw_cells(
  axes: Axes, cells: Sequence[points.Cell], settings: list[tuple], latent_sizes: list[int]
) -> QuadMesh:
  """Colours and labels each cell; returns the mesh that the colour bar is of."""
  table = np.full((len(settings), len(latent_sizes)), np.nan)
  for cell in cells:
    if cell.lanes:
      table[settings.index(_setting(cell)), latent_sizes.index(cell.latent_size)] = cell.mean(_ELBO)
  norm = _colour_range(cells)
  edges = (np.arange(len(latent_sizes) + 1) - 0.5, np.arange(len(settings) + 1) - 0.5)
  mesh = axes.pcolormesh(*edges, table, cmap='cividis', norm=norm, edgecolors='white', linewidth=1)
  for cell in cells:
    column, row = latent_sizes.index(cell.latent_size), settings.index(_setting(cell))
    if not cell.lanes:
      _mark_empty(axes, column, row, cell.lost)
      continue
    mean = cell.mean(_ELBO)
    colour = 'white' if norm(mean) < 0.55 else 'black'
    label = style.nats(mean) + '*' * bool(cell.lost)
    axes.text(column, row, label, ha='center', va='center', fontsize=style.SMALL, color=colour)
  if len(cells) > 1:
    row, column = np.unravel_index(np.nanargmax(table), table.shape)
    axes.add_patch(_rectangle(column, row, fill=False, ec='black', lw=1.4, clip_on=False))
  return mesh


def _colour_range(cells: Sequence[points.Cell]) -> Normalize:
  """Returns the range of the colours, never of zero width."""
  drawn = [cell for cell in cells if cell.lanes]
  low, high = points.frame(
    [cell.mean(_ELBO) for cell in drawn if cell.beta > 0],
    [cell.mean(_ELBO) for cell in drawn if cell.beta == 0],
  )
  margin = 0.0 if high > low else 1.0
  return Normalize(low - margin, high + margin)


def _mark_empty(axes: Axes, column: int, row: int, lost: Sequence[str]) -> None:
  """Marks a cell without a value: lost lanes are hatched, lanes to come are plain grey."""
  hatch = '/////' if lost else None
  axes.add_patch(
    _rectangle(column, row, facecolor='0.93', edgecolor='0.8', hatch=hatch, linewidth=0)
  )
  if lost:
    axes.text(column, row, lost[0], ha='center', va='center', fontsize=6, color=style.INK)


def _label_axes(axes: Axes, ylabel: str, labels: list[str], latent_sizes: list[int]) -> None:
  """Names the rows and the columns."""
  style.set_axes(axes)
  axes.spines[:].set_visible(False)
  axes.tick_params(length=0)
  axes.set_xlabel('latent size')
  axes.set_xticks(range(len(latent_sizes)), map(str, latent_sizes))
  # A letter stands upright; several fields stand one beside the other, or they would be too long.
  upright = dict(rotation=0, va='center', labelpad=8) if len(ylabel) == 1 else {}
  axes.set_ylabel(ylabel.replace(', ', ',\n'), **upright)
  axes.set_yticks(range(len(labels)), labels)


def _rectangle(column: int, row: int, **look) -> Rectangle:
  """Returns the outline of one cell."""
  return Rectangle((column - 0.5, row - 0.5), 1, 1, **look)


def _draw_colour_bar(
  figure: Figure, axes: Axes, mesh: QuadMesh, cells: Sequence[points.Cell], label: str
) -> None:
  """Draws the colour bar beside the axes; an arrow at its foot says that a cell lies below it."""
  lowest = min(cell.mean(_ELBO) for cell in cells if cell.lanes)
  extend = 'min' if lowest < mesh.norm.vmin else 'neither'
  # As high as the map, however high that is.
  aspect = max(20, 2 * len(mesh.get_array()))
  bar = figure.colorbar(mesh, ax=axes, extend=extend, pad=0.03, aspect=aspect)
  bar.outline.set_visible(False)
  bar.ax.tick_params(labelsize=style.SMALL, color=style.FAINT, labelcolor=style.INK, length=3)
  bar.set_label(label, fontsize=style.TEXT, color=style.INK)


def _star_note(cells: Sequence[points.Cell]) -> list[str]:
  """Explains the star where there is one."""
  starred = any(cell.lanes and cell.lost for cell in cells)
  return ['* mean of the other lanes'] if starred else []
