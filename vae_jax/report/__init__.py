"""report.html: one file that answers which beta and which latent size, and how sure that is.

  studies = [report.read(pathlib.Path('runs/digits'))]
  report.write(studies, pathlib.Path('runs/digits/report.html'))

Everything is in the page: figures as data, drawn by Vega-Lite, whose files are in `vendored/`;
pictures as PNGs in data URIs; and a content-security policy by which no request leaves it.
"""

import pathlib
from collections.abc import Sequence

from vae_jax import files
from vae_jax.report.choosing import most_lanes
from vae_jax.report.page import whole
from vae_jax.report.reading import OF_NATS, Study, read

NAME = 'report.html'

__all__ = ['NAME', 'OF_NATS', 'Study', 'most_lanes', 'read', 'whole', 'write']


def write(studies: Sequence[Study], path: pathlib.Path, said: Sequence[str] = ()) -> None:
  """Writes the page of one study or several, whole or not at all.

  It is in no manifest: whoever reads a run may make it, also while the run goes on.

  Args:
    studies: in the order in which they are shown.
    path: of the file.
    said: sentences about all of them, that stand on top.

  Raises:
    StorageError: no space left, or the place cannot be written.
  """
  files.write_text(path, whole(studies, said))
