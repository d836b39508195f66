"""Images that the lanes made: tiled arrays, reconstructions and samples."""

import difflib
import math
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from vae_jax import errors, records
from vae_jax.figures import points, style

_MAX_LANES = 8
_MAX_IMAGES = 16
_WHITE = 255

# Inches: of all images together, and of one row.
_WIDTH, _MIN_HEIGHT, _MAX_HEIGHT = 7.0, 0.35, 1.2


def image_grid(
  images: np.ndarray, columns: int | None = None, separator: int | None = None
) -> np.ndarray:
  """Tiles images [n, H, W, C] into one array [rows·H + gaps, columns·W + gaps, C or 1].

  Row by row, with white lines between images and white in the places left over. Of images with
  four channels the first three are drawn, as colours; with two, or more than four, the first.

  Args:
    columns: images in a row; as square as it gets if None.
    separator: width of the lines in pixels; a sixteenth of an image, at least one, if None.

  Raises:
    InputError: not uint8 [n, H, W, C] with n, H, W and C of at least one, or `columns` below one.
  """
  images = np.asarray(images)
  if images.ndim != 4 or images.dtype != np.uint8 or images.size == 0:
    raise errors.InputError(
      f'images must be uint8 [n, H, W, C] and not empty, not {images.dtype} {list(images.shape)}'
    )
  n, height, width, channels = images.shape
  columns = math.ceil(math.sqrt(n)) if columns is None else columns
  if columns < 1:
    raise errors.InputError(f'columns = {columns}: it must be at least 1')
  gap = max(1, min(height, width) // 16) if separator is None else separator
  channels = 3 if channels in (3, 4) else 1
  rows = math.ceil(n / columns)
  shape = (rows * (height + gap) - gap, columns * (width + gap) - gap, channels)
  tiled = np.full(shape, _WHITE, np.uint8)
  for i, image in enumerate(images):
    top, left = (i // columns) * (height + gap), (i % columns) * (width + gap)
    tiled[top : top + height, left : left + width] = image[..., :channels]
  return tiled


def reconstructions(
  originals: np.ndarray,
  images: np.ndarray,
  rows: Sequence[Mapping],
  lanes: Sequence[str] | None = None,
  study: str = '',
) -> Figure | None:
  """Draws test images in the first row and below it what each lane makes of them.

  Args:
    originals: uint8 [n, H, W, C]; the first 16 are drawn, or fewer if they are wide.
    images: reconstructions, uint8 [G, n, H, W, C], in the order of `rows`.
    rows: the G lanes.
    lanes: names of the lanes to draw; if None, about eight spread over beta and latent size.

  Returns:
    the Figure, or None when there are no images, or when no lane is named and every lane diverged
    or failed.

  Raises:
    InputError: a name that no lane has.
  """
  chosen = choose(rows, lanes)
  if not chosen or not originals.size:
    return None
  strips = [originals, *(images[i] for i in chosen)]
  labels = ['original', *(label(rows[i], ('rate', 'distortion')) for i in chosen)]
  figure = draw_strips(strips, labels, first_apart=True)
  style.set_heading(figure, study, 'test images and their reconstructions', unit_note(labels, rows))
  return figure


def samples(
  images: np.ndarray,
  rows: Sequence[Mapping],
  lanes: Sequence[str] | None = None,
  study: str = '',
  of: str = 'the prior',
) -> Figure | None:
  """Draws images decoded from the prior, uint8 [G, m, H, W, C], one row per lane.

  Arguments, result and errors are those of `reconstructions`; `of` says where the codes are from.
  """
  chosen = choose(rows, lanes)
  if not chosen or not images.size:
    return None
  labels = [_with_marginal_kl(rows[i]) for i in chosen]
  figure = draw_strips([images[i] for i in chosen], labels, first_apart=False)
  style.set_heading(figure, study, f'samples from {of}', unit_note(labels, rows))
  return figure


def choose(rows: Sequence[Mapping], names: Sequence[str] | None) -> list[int]:
  """Returns the indices of the named lanes, or of a cross through the grid.

  The cross is the largest latent size at five settings and the one whose beta is nearest to one at
  four latent sizes, filled up to eight with an even choice of the rest; of each cell the first
  lane.
  """
  if names is not None:
    return [_find(rows, name) for name in names]
  cells = [cell for cell in points.cells(rows) if cell.lanes]
  if not cells:
    return []
  nearest = min(cells, key=lambda cell: abs(cell.beta - 1))
  settings = (nearest.setting, nearest.variant)
  across = points.spread([c for c in cells if c.latent_size == cells[-1].latent_size], 5)
  down = points.spread([c for c in cells if (c.setting, c.variant) == settings], 4)
  cross = [*across, *(cell for cell in down if cell not in across)][:_MAX_LANES]
  rest = [cell for cell in cells if cell not in cross]
  cross += points.spread(rest, _MAX_LANES - len(cross))
  order = [row['name'] for row in rows]
  return [order.index(cell.lanes[0]['name']) for cell in cells if cell in cross]


def _find(rows: Sequence[Mapping], name: str) -> int:
  """Returns the index of a lane by its name."""
  known = [row['name'] for row in rows]
  if name in known:
    return known.index(name)
  nearest = difflib.get_close_matches(name, known, n=1, cutoff=0) or ['none: there are no lanes']
  raise errors.InputError(f'no lane is named {name!r}; the nearest is {nearest[0]!r}')


def _with_marginal_kl(row: Mapping) -> str:
  """Returns the label of a lane with how far its codes are from the prior, where that is known."""
  apart = row.get('test/marginal_kl')
  words = [label(row, ('elbo',))] + ([] if apart is None else [f'marginal KL {style.nats(apart)}'])
  return '\n'.join(words)


def label(row: Mapping, quantities: Sequence[str]) -> str:
  """Returns a lane's name and, on a second line, what it scores; see `points.chosen`."""
  (row,), _ = points.chosen([row])
  scores = {name: points.value(row, name) for name in quantities}
  words = [
    f'{"ELBO" if name == "elbo" else name} {style.nats(score)}'
    for name, score in scores.items()
    if score is not None
  ]
  return '\n'.join(filter(None, [row['name'], ', '.join(words)]))


def unit_note(labels: Sequence[str], rows: Sequence[Mapping]) -> list[str]:
  """Names the split and the unit of the scores, if there are any."""
  has_scores = any('\n' in label for label in labels)
  return [f'{records.chosen_on(rows)} scores in nats per example'] if has_scores else []


def draw_strips(strips: Sequence[np.ndarray], labels: Sequence[str], first_apart: bool) -> Figure:
  """Draws one strip of images [n, H, W, C] below the other, each with its label."""
  ratio = strips[0].shape[1] / strips[0].shape[2]
  fit = max(1, int(_WIDTH * ratio / _MIN_HEIGHT))
  count = min(len(strips[0]), _MAX_IMAGES, fit)
  tiles = [image_grid(strip[:count], columns=count) for strip in strips]
  height, width, channels = tiles[0].shape
  short = min(strips[0].shape[1:3])
  gap = max(1, short // 16)
  parts, centres, end = [], [], 0
  for i, tile in enumerate(tiles):
    parts.append(tile)
    centres.append(end + (height - 1) / 2)
    space = gap + (short // 8 if first_apart and i == 0 else 0) if i + 1 < len(tiles) else 0
    parts.append(np.full((space, width, channels), _WHITE, np.uint8))
    end += height + space
  figure = _show(np.concatenate(parts), count, ratio)
  axes = figure.axes[0]
  axes.set_xticks([])
  axes.set_yticks(centres, labels, fontsize=style.SMALL, color=style.INK)
  axes.tick_params(length=0)
  axes.spines[:].set_visible(False)
  return figure


def _show(picture: np.ndarray, columns: int, ratio: float) -> Figure:
  """Returns a figure of a tiled picture; `ratio` is the height of an image over its width."""
  cell = min(_WIDTH / columns, max(0.6, _MIN_HEIGHT / ratio), max(0.1, _MAX_HEIGHT / ratio))
  # Pixels are square unless a row would be too thin for its label, or half a page high.
  stretch = float(np.clip(ratio, _MIN_HEIGHT / cell, _MAX_HEIGHT / cell)) / ratio
  width = cell * columns
  height = width * stretch * picture.shape[0] / picture.shape[1]
  figure = style.new_figure(width + 2.2, height + 0.3)
  axes = figure.add_subplot()
  shown = picture if picture.shape[2] == 3 else picture[..., 0]
  axes.imshow(shown, cmap='gray', vmin=0, vmax=255, aspect=stretch, interpolation='nearest')
  return figure
