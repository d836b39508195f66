"""Walks through the latents: what a lane's two most used ones mean."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from vae_jax.figures import pictures, points, style

_MAX_LANES = 4
_ELBO = 'elbo'
_SIDE = {1: 4.2, 2: 3.2, 3: 2.6, 4: 3.2}  # inches; of a panel, by the number of panels


def traversals(images: np.ndarray, rows: Sequence[Mapping], study: str = '') -> Figure | None:
  """Draws images decoded from a grid of z over [-1, 1]^2, one panel for each of the best lanes.

  The most used latent grows from left to right, the second from top to bottom, the others are 0; a
  lane of one latent has one row. Of each latent size the lane of the highest ELBO, of more
  than four sizes the best one and an even choice of the rest. Lanes that diverged are left out.

  Args:
    images: uint8 [G, rows, columns, H, W, C], in the order of `rows`.
    rows: the G lanes.

  Returns:
    the Figure, or None when there are no images, or when no lane that is left has an ELBO.
  """
  chosen = best_lanes(rows)
  if not chosen or not images.size:
    return None
  grids = [_without_copies(images[i], rows[i]['latent_size']) for i in chosen]
  labels = [pictures.label(rows[i], ('elbo',)) for i in chosen]
  figure = _draw_grids(grids, labels)
  several = any(len(grid) > 1 for grid in grids)
  along = 'the most used latent across' + (', the second down' if several else '')
  notes = [along, *pictures.unit_note(labels, rows)]
  style.set_heading(figure, study, 'images for z from −1 to 1', notes)
  return figure


def best_lanes(rows: Sequence[Mapping]) -> list[int]:
  """Returns the index of the best lane of at most four latent sizes, by latent size."""
  best = {}
  for i, row in enumerate(points.chosen(rows)[0]):
    elbo = points.value(row, _ELBO)
    if elbo is not None and not points.is_lost(row):
      best.setdefault(row['latent_size'], []).append((elbo, -i))
  if not best:
    return []
  first = max(best, key=lambda size: max(best[size]))
  rest = points.spread(sorted(set(best) - {first}), _MAX_LANES - 1)
  return [-max(best[size])[1] for size in sorted([first, *rest])]


def best_lane(rows: Sequence[Mapping]) -> int | None:
  """Returns the index of the lane of the highest ELBO; None where no lane has one."""
  known = points.chosen(rows)[0]
  return max(best_lanes(rows), key=lambda i: points.value(known[i], _ELBO), default=None)


def by_condition(
  images: np.ndarray, conditions: Sequence[str], rows: Sequence[Mapping], study: str = ''
) -> Figure | None:
  """Draws what the best lane decodes from the same codes under other conditions, a row each.

  Args:
    images: uint8 [G, K, m, H, W, C], in the order of `rows`.
    conditions: the names of the K conditions.
    rows: the G lanes.

  Returns:
    the Figure, or None when no lane has an ELBO.
  """
  lane = best_lane(rows)
  if lane is None:
    return None
  figure = pictures.draw_strips(list(images[lane]), list(conditions), first_apart=False)
  label = pictures.label(rows[lane], ('elbo',))
  notes = [label.replace('\n', ', '), *pictures.unit_note([label], rows)]
  style.set_heading(figure, study, 'samples from the prior, the same codes in each row', notes)
  return figure


def _without_copies(images: np.ndarray, latent_size: int) -> np.ndarray:
  """Returns one row [1, columns, H, W, C] where there is no second latent to vary."""
  # Latent size 1 may mean more latents, in a layer below.
  return images[:1] if latent_size == 1 and np.all(images == images[:1]) else images


def _draw_grids(grids: Sequence[np.ndarray], labels: Sequence[str]) -> Figure:
  """Draws one panel per grid of images [rows, columns, H, W, C], with its label above it."""
  tiles = [pictures.image_grid(grid.reshape(-1, *grid.shape[2:]), grid.shape[1]) for grid in grids]
  # A tile that would be thinner than this, or higher, loses its square pixels.
  ratios = [float(np.clip(tile.shape[0] / tile.shape[1], 0.08, 2.0)) for tile in tiles]
  columns = len(tiles) if len(tiles) < 4 else 2
  num_rows = -(-len(tiles) // columns)
  side = _SIDE[len(tiles)]
  figure = style.new_figure(columns * (side + 0.1), num_rows * (side * max(ratios) + 0.4))
  slots = figure.subplots(num_rows, columns, squeeze=False).flat
  for axes, tile, ratio, label in zip(slots, tiles, ratios, labels, strict=True):
    shown = tile if tile.shape[2] == 3 else tile[..., 0]
    aspect = ratio * tile.shape[1] / tile.shape[0]
    axes.imshow(shown, cmap='gray', vmin=0, vmax=255, aspect=aspect, interpolation='nearest')
    axes.set_axis_off()
    axes.set_anchor('N')
    axes.set_title(label, fontsize=style.SMALL, color=style.INK, parse_math=False)
  return figure
