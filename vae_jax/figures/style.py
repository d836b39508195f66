"""The one look of all pictures: sizes, colours, numbers, legends and how a picture is saved."""

import pathlib
import textwrap
from collections.abc import Hashable, Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from vae_jax.records import manifest

DPI = 200
_MARGIN = 16  # dots of white around a picture
TEXT = 8  # points; labels and legends
SMALL = 7  # points; ticks, cells and lane names
HEADING = 9  # points
INK = '0.15'
FAINT = '0.6'

# Line styles that a reader can tell apart.
DASHES = ('-', (0, (4, 1.5)), (0, (1, 1.2)), (0, (6, 1.2, 1, 1.2)), (0, (3, 1, 1, 1, 1, 1)))


def new_figure(width: float, height: float) -> Figure:
  """Returns an empty Figure of that size in inches, on its own Agg canvas: no global state."""
  figure = Figure(figsize=(width, height), dpi=DPI, layout='constrained', facecolor='white')
  FigureCanvasAgg(figure)
  return figure


def set_heading(
  figure: Figure, study: str, title: str, notes: Sequence[str], right: float = 0.0
) -> None:
  """Writes 'study: title' and, below, the notes; the figure grows by what that takes.

  Args:
    right: inches at the right that are left free, for a legend as high as the figure.
  """
  heading = f'{study}: {title}' if study else title[0].upper() + title[1:]
  width, height = figure.get_size_inches()
  per_line = int(13 * (width - right))  # letters of this size that fit
  lines = textwrap.wrap(heading, per_line) + textwrap.wrap('; '.join(notes), per_line)
  figure.set_size_inches(width, height + 0.16 * len(lines))
  middle = (width - right) / 2 / width
  # A study is named by a person: a dollar sign in it is not mathematics.
  figure.suptitle('\n'.join(lines), x=middle, fontsize=HEADING, color=INK, parse_math=False)


def set_axes(axes: Axes) -> None:
  """Gives an axes its fonts and light frame."""
  axes.tick_params(labelsize=SMALL, color=FAINT, labelcolor=INK, length=3, width=0.6)
  axes.tick_params(which='minor', color=FAINT, length=1.5, width=0.6)
  axes.spines[:].set(linewidth=0.6, color=FAINT)
  axes.spines[['top', 'right']].set_visible(False)
  axes.xaxis.label.set(fontsize=TEXT, color=INK)
  axes.yaxis.label.set(fontsize=TEXT, color=INK)


def draw_legend(
  owner: Axes | Figure, sections: Mapping[str, Sequence[Line2D]], max_lines: int, **place
) -> float:
  """Draws one legend of several sections, each heading at the left edge, above its handles.

  Returns:
    its width in inches.
  """
  handles = []
  for heading, members in sections.items():
    handles += [Line2D([], [], linestyle='', label=heading), *members]
  columns = -(-len(handles) // max_lines)
  look = dict(fontsize=SMALL, labelcolor=INK, frameon=False, handlelength=2.0, handletextpad=0.8)
  legend = owner.legend(handles=handles, ncols=columns, **look, **place)
  for text in legend.get_texts():
    if text.get_text() in sections:
      # A heading has no handle: it starts where the handles do, 2.8 letters further left.
      text.set_x(-2.8 * SMALL * DPI / 72)
  return legend.get_window_extent().width / DPI


def latent_colours(latent_sizes: Sequence[int]) -> dict[int, tuple]:
  """Returns a colour per latent size, dark to light as it grows."""
  return _ordered_colours(sorted(set(latent_sizes)), 'viridis')


def setting_colours(settings: Sequence[Hashable]) -> dict[Hashable, tuple]:
  """Returns a colour per setting, dark to light in this order; another scale than latent sizes."""
  return _ordered_colours(settings, 'plasma')


def _ordered_colours(ordered: Sequence[Hashable], colormap: str) -> dict:
  """Maps the ranks of the values onto a colour-blind-safe scale; its last tenth is too pale."""
  shades = matplotlib.colormaps[colormap](np.linspace(0, 0.88, len(ordered)))
  return {key: tuple(shade) for key, shade in zip(ordered, shades, strict=True)}


def plain(number: float) -> str:
  """Writes a number without an exponent: 0.0001, 0.5, 8, 1000."""
  return np.format_float_positional(float(f'{number:.4g}'), trim='-')


def thousands(number: float) -> str:
  """Writes a count in short: 500, 20k, 1.5k."""
  return f'{number / 1e3:g}k' if number >= 1e3 else f'{number:g}'


def nats(number: float) -> str:
  """Writes nats with one decimal, or none from a thousand on, and a true minus sign."""
  return f'{number:z.{0 if abs(number) >= 999.95 else 1}f}'.replace('-', '−')


def save(figure: Figure, path: pathlib.Path | str) -> pathlib.Path:
  """Writes a Figure as PNG at 200 dots per inch, whole or not at all, and returns the path."""
  # savefig(bbox_inches='tight') draws everything twice to find the same margins.
  figure.canvas.draw()
  pixels = _without_margins(np.asarray(figure.canvas.buffer_rgba())[..., :3])
  with manifest.recorded_path(path) as temporary:
    Image.fromarray(pixels).save(temporary, format='png', dpi=(DPI, DPI))
  return pathlib.Path(path)


def _without_margins(pixels: np.ndarray) -> np.ndarray:
  """Returns an image [H, W, 3] whose white margins are as wide as _MARGIN, and no wider."""
  drawn = np.any(pixels != 255, axis=-1)
  ends = [np.flatnonzero(drawn.any(axis=axis))[[0, -1]] for axis in (1, 0)]
  parts = [slice(max(first - _MARGIN, 0), last + 1 + _MARGIN) for first, last in ends]
  return np.ascontiguousarray(pixels[tuple(parts)])
