"""report.html of a run: made of its files, and no reason to lose one."""

import logging
import pathlib


def write_page(directory: pathlib.Path) -> None:
  """Writes report.html of a workdir; what goes wrong is a warning."""
  from vae_jax import report  # matplotlib: see `outcome.review`

  try:
    report.write([report.read(directory)], directory / report.NAME)
  except Exception as error:  # the figures stand on disk already: nothing else may be lost
    reason = str(error).partition('\n')[0] or type(error).__name__
    logging.warning(
      'no %s: %s; vae-jax report --workdir=%s makes it', report.NAME, reason, directory
    )
