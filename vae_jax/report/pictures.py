"""Pictures inside the page: small PNGs as data, in their own pixels; the browser sizes them."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from vae_jax import figures, records
from vae_jax.figures import points, signals
from vae_jax.report.reading import Study

_BUDGET = 4_000_000  # bytes of all pictures of a page, as text
_FEWEST = 2  # images of a row
_MEASURED = 8  # lanes whose pictures tell how many bytes those of all are
_IMAGE = 56  # pixels of the page, that an image is wide about
_CLEAR = 255  # the level that is not drawn; white is one less

# What is shown of a lane, in this order: name in images.npz, and what it says.
_IMAGES = {
  'reconstructions': 'test images, and their reconstructions below',
  'samples': 'samples of the prior',
  'aggregate_samples': 'samples of a mixture of Gaussians that is fitted to the codes',
  'by_condition': 'samples under each condition, with the same codes',
  'walks_by_condition': 'under each condition, along the latent used most, from −2 to 2',
  'interpolations': 'between two test images, along z',
  'units': 'along each active latent, from −2 to 2; the one used most first',
  'traversals': 'the two latents used most, from −1 to 1, across and down',  # of older runs
}
_KINDS = {
  'images': _IMAGES,
  'strips': _IMAGES
  | {
    'reconstructions': 'test examples, each above its reconstruction; a column is a value, black '
    'to white its least to largest in training',
    'samples': 'samples of the prior, a line each',
    'aggregate_samples': 'samples of a mixture of Gaussians that is fitted to the codes, a line '
    'each',
    'interpolations': 'between two test examples, along z, downwards',
    'units': 'along each active latent, from −2 down to 2; the one used most first',
  },
  'signals': _IMAGES
  | {
    'reconstructions': 'test signals, pale, and their reconstructions; a colour for each channel',
    'interpolations': 'between two test signals, along z',
    'units': 'along each active latent, from −2 to 2',
  },
  'table': _IMAGES
  | {
    'reconstructions': 'the reconstruction of each value over the value: on the line it is exact',
    'samples': 'how often each value is: in the test examples, grey, and in samples of the prior',
    'aggregate_samples': 'the same of a mixture of Gaussians that is fitted to the codes',
    'by_condition': 'samples under each condition, with the same codes; grey: all test examples',
    'units': 'values along each active latent, from −2 to 2; the one used most first',
  },
}
_FANS = {
  'walks_by_condition': 'under each condition, along the latent used most, from −2, pale, to 2',
  'interpolations': 'between two test signals, along z, the first one pale',
  'units': 'along each active latent, from −2, pale, to 2',
}
_OF_VALUES = ('signals', 'table')
_STRIP = 480, 24  # pixels of the page: of a strip about, and of a value at most
_LINE = 10  # pixels of the page, that a strip is high at least
_FINER = 2  # pixels of a sketch for one of the page
_COLOURS = 64  # of a sketch


def kinds(study: Study) -> dict[str, str]:
  """Returns what is shown of each lane, in order, and what it says."""
  kind = _kind(study)
  is_fan = kind == 'signals' and not signals.is_in_rows(study.images)
  return _KINDS[kind] | (_FANS if is_fan else {})


def _kind(study: Study) -> str:
  return records.kind_of(study.images) if study.images else 'images'


def shows_shares(study: Study) -> bool:
  """Tells whether pictures show how often values are, and no single example."""
  return _kind(study) == 'table'


def enlargement(study: Study) -> float:
  """Returns how many pixels of the page a pixel of a picture has: one factor for all of a study."""
  kind = _kind(study)
  if not study.images:
    return 1
  if kind in _OF_VALUES:
    return 1 / _FINER
  width = study.images['originals'].shape[2]
  if kind == 'strips':
    return max(1, min(_STRIP[1], round(_STRIP[0] / width)))
  return max(1, round(_IMAGE / width))


def row_names(study: Study, lane: int, used: Sequence[int]) -> dict[str, list[str]]:
  """Returns the names of the rows of a lane's pictures, of each kind whose rows have names.

  Args:
    study: whose images.
    lane: its number.
    used: its latents, that used most first.
  """
  names = [str(name) for name in study.images.get('conditions', ())]
  by_condition = {kind: names for kind in ('by_condition', 'walks_by_condition')} if names else {}
  if _kind(study) == 'signals':  # each plot says which latent it is of
    return by_condition
  return {'units': [f'latent {latent}' for latent in used[: walks(study, lane)]]} | by_condition


def of_lanes(study: Study, budget: float = 1.0) -> list[dict[str, str]]:
  """Returns the pictures of every lane [G] as data URIs by kind.

  Where all together would be too many bytes, each shows fewer images.

  Args:
    study: whose images.
    budget: share of the page that is for this study.
  """
  if not study.images:
    return [{} for _ in study.rows]
  lanes = range(len(study.rows))
  some = lanes[:: max(1, len(lanes) // _MEASURED)]
  size = sum(len(uri) for i in some for uri in _of_lane(study, i, 1.0).values())
  share = min(1.0, budget * _BUDGET * len(some) / max(1, size * len(lanes)))
  return [_of_lane(study, i, share) for i in lanes]


def walks(study: Study, lane: int) -> int:
  """Returns along how many latents of a lane it is walked: those that are active come first."""
  active = sum(bool(line['active']) for line in study.tables['latents'][lane])
  return min(active, study.images['units'].shape[1]) if 'units' in study.images else 0


def _of_lane(study: Study, i: int, share: float) -> dict[str, str]:
  """Returns the pictures of the lane at a place, with a share of the images of each row."""
  images, found = study.images, {}
  walked = walks(study, study.rows[i]['lane'])
  if _kind(study) in _OF_VALUES:
    made = figures.sketches(images, i, walked, share)
    return {kind: png(_few_colours(made[kind])) for kind in _IMAGES if kind in made}
  is_strip = _kind(study) == 'strips'
  for kind in _IMAGES:
    if kind not in images or (kind == 'traversals' and 'units' in images):
      continue
    made = images[kind][i]
    if kind == 'units':
      made = made[:walked]
    if not len(made):
      continue
    if made.ndim == 5:  # [rows, columns, H, W, C]
      made = made[:, _spread(made.shape[1], share)]
      if kind == 'traversals':
        made = made[_spread(len(made), share)]
    else:
      made = made[_spread(len(made), share)]
    if kind == 'reconstructions':
      originals = images['originals'][_spread(len(images['originals']), share)]
      made = np.stack([originals, made], axis=int(is_strip))
    if is_strip:
      found[kind] = uri(_blocks(study, made), 1)
    elif kind in ('samples', 'aggregate_samples'):
      found[kind] = uri(made, math.ceil(len(made) / 2))
    else:
      found[kind] = uri(made.reshape(-1, *made.shape[2:]), made.shape[1])
  return found


def _blocks(study: Study, strips: np.ndarray) -> np.ndarray:
  """Returns strips [(rows,) n, 1, D, 1], one close below the other in each row, as [rows, H, D, 1].

  They are as many pixels high as can be seen.
  """
  *rows, _, width, channels = strips.shape
  blocks = strips.reshape(*(rows if len(rows) == 2 else (1, *rows)), width, channels)
  return blocks.repeat(-(-_LINE // enlargement(study)), axis=1)


def _spread(count: int, share: float) -> np.ndarray:
  """Returns which of `count` images are shown: a share, the first and the last among them."""
  fewest = min(count, _FEWEST)
  return np.linspace(0, count - 1, max(fewest, round(share * count))).round().astype(int)


def uri(images: np.ndarray, columns: int) -> str:
  """Returns images uint8 [n, H, W, C] in rows, as a PNG in a data URI; what is between is clear."""
  tiled = figures.image_grid(np.minimum(images, _CLEAR - 1), columns)
  is_grey = tiled.shape[-1] == 1
  clear = _CLEAR if is_grey else (_CLEAR,) * 3
  return png(Image.fromarray(tiled[..., 0] if is_grey else tiled), transparency=clear)


def _few_colours(sketch: np.ndarray) -> Image.Image:
  """Returns a sketch with a palette, which takes half of the bytes; all but words have few."""
  return Image.fromarray(sketch).quantize(_COLOURS, method=Image.Quantize.FASTOCTREE)


def png(picture: Image.Image, **options: Any) -> str:
  """Returns a picture as a PNG in a data URI."""
  buffer = io.BytesIO()
  picture.save(buffer, format='png', **options)
  return 'data:image/png;base64,' + base64.b64encode(buffer.getvalue()).decode()


def atlas(study: Study) -> dict[tuple[str, str], int]:
  """Returns a lane for each cell of the atlas, by latent size and setting: the first not lost."""
  found: dict[tuple[str, str], int] = {}
  for i, row in enumerate(study.rows):
    fields = study.swept.fields + study.swept.dashed
    key = str(row['latent_size']), points.label(points.pick(row, fields))
    if not points.is_lost(row):
      found.setdefault(key, i)
  return found
