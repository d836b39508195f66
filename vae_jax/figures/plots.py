"""Plots of values, drawn on the axes of a figure, or as a sketch: a few pixels, in milliseconds."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image, ImageColor, ImageDraw, ImageFont

from vae_jax.figures import style

# Told apart on a light and on a dark page; those of the labels on the page.
COLOURS = (
  '#4c78a8', '#f58518', '#54a24b', '#e45756', '#3fb5ad', '#b279a2', '#d6a900', '#ff8fa3',
  '#9d755d', '#8c9aa8',
)  # fmt: skip
GREY = '#aab2bb'
_INK = '#7a8594'  # of words, read on both

# Pixels of a sketch: of a plot, what is above, below and between, and its letters.
_WIDTH, _HEIGHT, _TITLE, _UNTITLED, _FOOT, _GAP = 300, 130, 32, 6, 30, 24
_FONT, _SMALL = 22, 18
_INCHES = 1.2, 0.85  # of a plot of a figure

Rows = Sequence[Sequence['Plot']]


class Mark(NamedTuple):
  """What is drawn of some values.

  Attributes:
    kind: 'line', 'area' (all within an outline) or 'dots'.
    x, y: [n]; a line is broken where one is NaN.
    colour: '#rrggbb'.
    width: of a line or a dot, in points.
  """

  kind: str
  x: np.ndarray
  y: np.ndarray
  colour: str
  width: float = 1.0


class Plot(NamedTuple):
  """Marks in one frame, the first below.

  Attributes:
    marks: what is drawn.
    x, y: the two ends of each axis; what lies beyond is cut off.
    title: above it.
    ticks: values of x and what they are called; () for those of the scale.
    has_y: whether y has a scale that is worth reading.
  """

  marks: Sequence[Mark]
  x: tuple[float, float]
  y: tuple[float, float]
  title: str = ''
  ticks: Sequence[tuple[float, str]] = ()
  has_y: bool = False


def paler(colour: str, share: float) -> str:
  """Returns a colour that is grey for this share."""
  mixed = [
    round((1 - share) * a + share * b)
    for a, b in zip(ImageColor.getrgb(colour), ImageColor.getrgb(GREY), strict=True)
  ]
  return '#{:02x}{:02x}{:02x}'.format(*mixed)


def wrapped(plots: Sequence[Plot], columns: int) -> list[Sequence[Plot]]:
  """Returns plots in rows of as many columns."""
  return [plots[i : i + columns] for i in range(0, len(plots), columns)]


def figure(blocks: Sequence[Rows], labels: Sequence[str]) -> Figure:
  """Returns a figure of blocks of rows, one below the other, each with its label at the left."""
  lines = [
    (row, label if i == 0 else '')
    for block, label in zip(blocks, labels, strict=True)
    for i, row in enumerate(block)
  ]
  columns = max(len(row) for row, _ in lines)
  titled = sum(any(plot.title for plot in row) for row, _ in lines)
  width, height = _INCHES
  drawn = style.new_figure(columns * width + 1.9, len(lines) * (height + 0.22) + 0.16 * titled)
  slots = drawn.subplots(len(lines), columns, squeeze=False)
  for places, (row, label) in zip(slots, lines, strict=True):
    for axes, plot in zip(places, row, strict=False):
      # A scale that is that of the first plot stands there alone.
      _draw(axes, plot, has_y=plot.has_y and (axes is places[0] or plot.y != row[0].y))
    for axes in places[len(row) :]:
      axes.set_axis_off()
    places[0].set_ylabel(label, rotation=0, ha='right', va='center', multialignment='left')
    places[0].yaxis.label.set(fontsize=style.SMALL, color=style.INK, parse_math=False)
  return drawn


def _draw(axes: Axes, plot: Plot, has_y: bool) -> None:
  for mark in plot.marks:
    if mark.kind == 'area':
      axes.fill(mark.x, mark.y, color=mark.colour, linewidth=0)
    elif mark.kind == 'line':
      axes.plot(mark.x, mark.y, color=mark.colour, linewidth=mark.width)
    else:
      axes.scatter(mark.x, mark.y, s=mark.width**2, color=mark.colour, linewidth=0)
  axes.set(xlim=plot.x, ylim=plot.y)
  style.set_axes(axes)
  axes.tick_params(labelsize=style.SMALL - 1.5, length=2, pad=1.5)
  axes.locator_params(axis='both', nbins=3)
  axes.set_title(plot.title, fontsize=style.SMALL, color=style.INK, pad=2, parse_math=False)
  if plot.ticks:
    few = plot.ticks if len(plot.ticks) <= 3 else (plot.ticks[0], plot.ticks[-1])
    axes.set_xticks(*zip(*few, strict=True))
  if not has_y:
    axes.set_yticks([])
    axes.spines['left'].set_visible(False)


def sketch(rows: Rows) -> np.ndarray:
  """Returns rows of plots as pixels, uint8 [H, W, 4]: red, green, blue and how far one sees them.

  It is drawn without shades, to be shown at half of its pixels. The words below a plot are the two
  ends of x.
  """
  head = _TITLE if any(plot.title for row in rows for plot in row) else _UNTITLED
  width, height = _WIDTH + _GAP, head + _HEIGHT + _FOOT
  sheet = _clear(max(map(len, rows)) * width - _GAP, len(rows) * height)
  pen = ImageDraw.Draw(sheet)
  for i, row in enumerate(rows):
    for j, plot in enumerate(row):
      left, top = j * width, i * height
      sheet.paste(_sketched(plot), (left, top + head))
      _write(pen, plot.title, (left, top), _WIDTH, _FONT)
      named = [text for _, text in plot.ticks] or [f'{end:.3g}' for end in plot.x]
      below = top + head + _HEIGHT
      _write(pen, named[0], (left, below), _WIDTH / 2, _SMALL)
      _write(pen, named[-1], (left + _WIDTH, below), _WIDTH / 2, _SMALL, 'ra')
  return np.asarray(sheet)


def on_white(pixels: np.ndarray) -> np.ndarray:
  """Returns a sketch on white paper, uint8 [H, W, 3]."""
  seen = pixels[..., 3:] / 255
  return np.round(seen * pixels[..., :3] + (1 - seen) * 255).astype(np.uint8)


def _clear(width: int, height: int) -> Image.Image:
  """Returns what nothing is seen of, in the colour of words: their edges are between the two."""
  return Image.new('RGBA', (width, height), (*ImageColor.getrgb(_INK), 0))


def _sketched(plot: Plot) -> Image.Image:
  """Returns the frame of one plot."""
  frame = _clear(_WIDTH, _HEIGHT)
  pen = ImageDraw.Draw(frame)
  for mark in plot.marks:
    x = (np.asarray(mark.x, float) - plot.x[0]) / (plot.x[1] - plot.x[0]) * (_WIDTH - 1)
    y = (plot.y[1] - np.asarray(mark.y, float)) / (plot.y[1] - plot.y[0]) * (_HEIGHT - 1)
    # Pillow counts pixels in 32 bits, and what is far away is not seen.
    places = np.clip(np.stack([x, y], axis=1), -9 * _WIDTH, 9 * _WIDTH)
    _draw_mark(pen, mark, places)
  pen.line([(0, _HEIGHT - 1), (_WIDTH - 1, _HEIGHT - 1)], fill=_INK)
  return frame


def _draw_mark(pen: ImageDraw.ImageDraw, mark: Mark, places: np.ndarray) -> None:
  known = np.isfinite(places).all(axis=1)
  if mark.kind == 'dots':
    for x, y in places[known]:
      pen.ellipse((x - mark.width, y - mark.width, x + mark.width, y + mark.width), mark.colour)
    return
  for run in np.split(places, np.flatnonzero(~known)):
    line = run[np.isfinite(run).all(axis=1)].ravel().tolist()
    if mark.kind == 'area' and len(line) > 4:
      pen.polygon(line, fill=mark.colour)
    elif len(line) > 2:
      pen.line(line, fill=mark.colour, width=max(1, round(2 * mark.width)), joint='curve')


def _write(
  pen: ImageDraw.ImageDraw,
  text: str,
  place: tuple[float, float],
  width: float,
  size: int,
  anchor: str = 'la',
) -> None:
  """Writes a text, cut where it would be too wide."""
  font = ImageFont.load_default(size)
  while text and font.getlength(text) > width:
    text = text.removesuffix('…')[:-1] + '…' if len(text) > 1 else ''
  pen.text(place, text, fill=_INK, font=font, anchor=anchor)
