"""Distortion over rate: what each lane pays for what it stores."""

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from vae_jax.figures import points, style

_AXES = _RATE, _DISTORTION = 'rate', 'distortion'
# One shape per setting; with more of them than shapes the points carry their setting as text.
_SHAPES = 'osD^v<>pXPh*'
_LEGEND_LINES = 28


def rate_distortion(
  rows: Sequence[Mapping], study: str = '', curve: Sequence[Mapping] = ()
) -> Figure | None:
  """Draws the distortion over the rate, one line per latent size, one point per beta.

  Both are of the validation set or, without one, of the test set; see `points.chosen`.

  A point is the mean over the lanes that differ in their seed alone, each lane a small dot; what
  lanes differ in besides beta and latent size is told by the style of the line. Grey diagonals join
  points of equal ELBO = -(rate + distortion) (Alemi et al. 2018, 'Fixing a Broken ELBO',
  arxiv.org/abs/1711.00464, figure 1). Nats per example; lower is better on both axes.

  Args:
    rows: of results.csv.
    study: its title.
    curve: of curve.csv: a thin line each for lanes that were trained for every beta.

  Returns:
    the Figure, or None when no lane has both values.
  """
  rows, split = points.chosen(rows)
  cells = [cell for cell in points.cells(rows, (_RATE, _DISTORTION)) if cell.lanes]
  if not cells:
    return None
  swept = points.sweep(rows)
  sections = _legend_sections(cells, swept)
  lines = len(sections) + sum(map(len, sections.values()))
  figure = style.new_figure(6.4, max(3.9, 0.165 * min(lines, _LEGEND_LINES) + 0.5))
  axes = figure.add_subplot()
  axes.set(xlabel=f'{split} rate R (nats)', ylabel=f'{split} distortion D (nats)')
  style.set_axes(axes)
  curve = [{**row, **{name: row[f'{split}/{name}'] for name in _AXES}} for row in curve]
  curve = [row for row in curve if all(points.value(row, c) is not None for c in _AXES)]
  outside = _set_limits(axes, cells, curve)
  _draw_elbo_lines(axes)
  _draw_curves(axes, cells, curve)
  _draw_points(axes, cells, swept)
  style.draw_legend(axes, sections, _LEGEND_LINES, bbox_to_anchor=(1.09, 1.02), loc='upper left')
  style.set_heading(
    figure, study, f'rate and distortion on the {split} set', points.notes(rows) + outside
  )
  return figure


def _set_limits(axes: Axes, cells: Sequence[points.Cell], curve: Sequence[Mapping]) -> list[str]:
  """Frames the lanes, but for beta = 0; returns a note of the points that lie outside."""
  inside = [True] * len(cells)
  for column, set_limits in ((_RATE, axes.set_xlim), (_DISTORTION, axes.set_ylim)):
    low, high = points.frame(
      [row[column] for cell in cells for row in (*cell.lanes, *curve) if cell.beta > 0],
      [row[column] for cell in cells for row in cell.lanes if cell.beta == 0],
    )
    margin = 0.07 * (high - low) or 0.1 * abs(high) or 1.0
    set_limits(low - margin, high + margin)
    inside = [i and low <= cell.mean(column) <= high for i, cell in zip(inside, cells, strict=True)]
  hidden = [cell for i, cell in zip(inside, cells, strict=True) if not i]
  if not hidden:
    return []
  betas = ', '.join(style.plain(beta) for beta in sorted({cell.beta for cell in hidden}))
  rates = sorted(cell.mean(_RATE) for cell in hidden)
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


def _draw_points(axes: Axes, cells: Sequence[points.Cell], swept: points.Sweep) -> None:
  """Draws one line per latent size through its betas, with the single lanes behind it."""
  colours = style.latent_colours([cell.latent_size for cell in cells])
  shapes = _shapes(cells)
  lines = {}
  for cell in cells:
    lines.setdefault((cell.latent_size, *cell.variant), []).append(cell)
  for key, line in lines.items():
    rates, distortions = ([cell.mean(c) for cell in line] for c in (_RATE, _DISTORTION))
    look = dict(color=colours[key[0]], label=points.label(key), linewidth=1.2, zorder=2)
    # Settings that are no row of numbers have no next one to draw a line to.
    dash = swept.dashes[key[1:]] if points.is_ordered(swept) else ''
    axes.plot(rates, distortions, linestyle=dash, **look)
    for shape in dict.fromkeys(shapes[cell.setting] for cell in line):
      places = [i for i, cell in enumerate(line) if shapes[cell.setting] == shape]
      dots = dict(color=look['color'], marker=shape, ec='white', lw=0.4, zorder=4)
      axes.scatter([rates[i] for i in places], [distortions[i] for i in places], 36, **dots)
    _draw_lanes(axes, line, look['color'])
  if len(shapes) > len(_SHAPES):
    _write_settings(axes, list(lines.values())[-1], swept)


def _draw_curves(axes: Axes, cells: Sequence[points.Cell], curve: Sequence[Mapping]) -> None:
  """Draws the curve of each lane that was trained for every beta, through its own beta's point."""
  colours = style.latent_colours([cell.latent_size for cell in cells])
  sizes = {row['lane']: cell.latent_size for cell in cells for row in cell.lanes}
  for lane, size in sizes.items():
    line = sorted((row for row in curve if row['lane'] == lane), key=lambda row: row['beta'])
    if line:
      rates, distortions = ([row[column] for row in line] for column in _AXES)
      axes.plot(rates, distortions, color=colours[size], linewidth=0.8, alpha=0.7, zorder=1)


def _draw_lanes(axes: Axes, cells: Sequence[points.Cell], colour: tuple) -> None:
  """Draws the lanes that a mean is taken over as small dots."""
  several = [row for cell in cells if len(cell.lanes) > 1 for row in cell.lanes]
  rates, distortions = ([row[column] for row in several] for column in (_RATE, _DISTORTION))
  axes.scatter(rates, distortions, 5, color=colour, alpha=0.55, linewidths=0, zorder=3)


def _write_settings(axes: Axes, line: Sequence[points.Cell], swept: points.Sweep) -> None:
  """Writes beta beside the points of one line, leaving out what would touch another one."""
  look = dict(textcoords='offset points', ha='right', va='top', fontsize=6, color=style.INK)
  written = []  # (right, top, width) in inches
  for cell in line:
    point = (cell.mean(_RATE), cell.mean(_DISTORTION))
    words = points.label(cell.setting)
    if not written:
      words = f'{points.title(swept.fields)} = {words}'
    right, top = axes.transData.transform(point) / style.DPI
    width = 0.055 * len(words) + 0.1
    if all(
      abs(top - y) > 0.13 or right - width > x or x - its_width > right
      for x, y, its_width in written
    ):
      axes.annotate(words, point, (-3, -4), **look)
      written.append((right, top, width))


def _shapes(cells: Sequence[points.Cell]) -> dict[tuple, str]:
  """Returns a marker per setting; circles for all when there are more settings than shapes."""
  settings = points.ordered([cell.setting for cell in cells])
  shapes = _SHAPES if len(settings) <= len(_SHAPES) else 'o' * len(settings)
  return dict(zip(settings, shapes, strict=False))


def _legend_sections(cells: Sequence[points.Cell], swept: points.Sweep) -> dict[str, list[Line2D]]:
  """Returns the legend: the latent sizes by colour, the betas by shape, and what the rest is."""
  colours = style.latent_colours([cell.latent_size for cell in cells])
  shapes = _shapes(cells)
  grey = dict(linestyle='', color='0.4')
  sections = {
    'latent size': [Line2D([], [], color=c, label=str(size)) for size, c in colours.items()]
  }
  if len(shapes) <= len(_SHAPES):
    sections[points.title(swept.fields)] = [
      Line2D([], [], marker=shape, markersize=5, label=points.label(setting), **grey)
      for setting, shape in shapes.items()
    ]
  sections |= points.dashed_section(swept)
  sections[''] = [Line2D([], [], color='0.87', label='equal ELBO (nats)')]
  if any(len(cell.lanes) > 1 for cell in cells):
    sections[''] += [Line2D([], [], marker='.', markersize=4, label='one lane', **grey)]
  return sections
