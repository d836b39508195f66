"""What the run of a study shows in W&B, by what it has on disk."""

import pathlib

from vae_jax import tracking
from vae_jax.runs.outcome.verdicts import read_verdict


def results_of(directory: pathlib.Path) -> tracking.Results:
  """Returns verdict, pictures and page of a workdir.

  Raises:
    DamagedError: verdict.json is not what was written.
  """
  from vae_jax import report  # matplotlib: see `outcome.review`

  page = directory / report.NAME
  pictures = sorted((directory / 'figures').glob('[!.]*.png'))
  return tracking.Results(read_verdict(directory), pictures, page if page.exists() else None)
