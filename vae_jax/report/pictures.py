"""Pictures inside the page: small PNGs as data, in their own pixels; the browser enlarges them."""

import base64
import io
import math

import numpy as np
from PIL import Image

from vae_jax.figures import pictures as grids
from vae_jax.figures import points
from vae_jax.report.reading import Study

_BUDGET = 4_000_000  # bytes of all pictures of a page, as text
_FEWEST = 2  # images of a row
_MEASURED = 8  # lanes whose pictures tell how many bytes those of all are
_CLEAR = 255  # the level that is not drawn; white is one less

# What is shown of a lane, in this order: name in images.npz, heading, and what it says.
KINDS = {
  'reconstructions': 'test images, and their reconstructions below',
  'samples': 'samples of the prior',
  'interpolations': 'between two test images, along z',
  'units': 'one row for each active latent, from −2 to 2; the one used most first',
  'traversals': 'the two latents used most, from −1 to 1, across and down',  # of older runs
}


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


def walks(study: Study, i: int) -> int:
  """Returns along how many latents of a lane it is walked: those that are active come first."""
  active = sum(bool(line['active']) for line in study.tables['latents'][i])
  return min(active, study.images['units'].shape[1]) if 'units' in study.images else 0


def _of_lane(study: Study, i: int, share: float) -> dict[str, str]:
  """Returns the pictures of one lane, with a share of the images of each row."""
  images, found = study.images, {}
  for kind in KINDS:
    if kind not in images or (kind == 'traversals' and 'units' in images):
      continue
    made = images[kind][i]
    if kind == 'units':
      made = made[: walks(study, i)]
    if not len(made):
      continue
    if made.ndim == 5:  # [rows, columns, H, W, C]
      made = made[:, _spread(made.shape[1], share)]
      if kind == 'traversals':
        made = made[_spread(len(made), share)]
      found[kind] = uri(made.reshape(-1, *made.shape[2:]), made.shape[1])
      continue
    made = made[_spread(len(made), share)]
    if kind == 'samples':
      found[kind] = uri(made, math.ceil(len(made) / 2))
    else:
      originals = images['originals'][_spread(len(images['originals']), share)]
      found[kind] = uri(np.concatenate([originals, made]), len(made))
  return found


def _spread(count: int, share: float) -> np.ndarray:
  """Returns which of `count` images are shown: a share, the first and the last among them."""
  fewest = min(count, _FEWEST)
  return np.linspace(0, count - 1, max(fewest, round(share * count))).round().astype(int)


def uri(images: np.ndarray, columns: int) -> str:
  """Returns images uint8 [n, H, W, C] in rows, as a PNG in a data URI; what is between is clear."""
  tiled = grids.image_grid(np.minimum(images, _CLEAR - 1), columns)
  is_grey = tiled.shape[-1] == 1
  clear = _CLEAR if is_grey else (_CLEAR,) * 3
  buffer = io.BytesIO()
  picture = Image.fromarray(tiled[..., 0] if is_grey else tiled)
  picture.save(buffer, format='png', transparency=clear)
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
