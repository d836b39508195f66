"""The pictures of a study, drawn from what is on disk.

  rate_distortion    the test set's distortion over its rate, one line per latent size
  elbo_heatmap       test ELBO, beta x latent size
  learning_curves    test and batch ELBO over the optimiser steps, one panel per latent size
  reconstructions    test images and their reconstructions, one row per lane
  samples            images decoded from the prior, one row per lane

A lane is a row of results.csv as a dict: {'beta': 1.0, 'latent_size': 8, 'test/elbo': -98.7, ...},
with None where there is no value. Each function returns a matplotlib Figure, or None when no lane
has what it shows; `save` writes one and `draw_all` draws all of a workdir. Everything is in nats
per example.
"""

import json
import pathlib

import numpy as np
from matplotlib.figure import Figure

from vae_jax import errors, files, tracking
from vae_jax.figures.curves import learning_curves
from vae_jax.figures.heatmap import elbo_heatmap
from vae_jax.figures.pictures import image_grid, reconstructions, samples
from vae_jax.figures.style import save
from vae_jax.figures.tradeoff import rate_distortion

__all__ = [
  'draw_all',
  'elbo_heatmap',
  'image_grid',
  'learning_curves',
  'rate_distortion',
  'reconstructions',
  'samples',
  'save',
]


def draw_all(workdir: pathlib.Path | str) -> list[pathlib.Path]:
  """Draws every picture that the files of a workdir allow into WORKDIR/figures/*.png.

  Reads results.csv, metrics.jsonl, images.npz and the study's name in config.json; a picture whose
  file is absent, or that no lane has values for, is left out. Each picture is whole or absent;
  without results.csv nothing is written, not even the folder.

  Returns:
    the paths written, in a fixed order.

  Raises:
    DamagedError: images.npz cannot be read, or holds another number of lanes than results.csv.
    StorageError: no space left, or the place cannot be written.
  """
  workdir = pathlib.Path(workdir)
  if not (workdir / 'results.csv').exists():
    return []
  drawn = {name: figure for name, figure in _draw(workdir).items() if figure is not None}
  directory = workdir / 'figures'
  with files.storage_errors(directory):
    directory.mkdir(exist_ok=True)
  return [save(figure, directory / f'{name}.png') for name, figure in drawn.items()]


def _draw(workdir: pathlib.Path) -> dict[str, Figure | None]:
  """Returns the pictures by name; None where no lane has what it shows."""
  metrics, images = workdir / 'metrics.jsonl', workdir / 'images.npz'
  rows = tracking.read_results(workdir / 'results.csv')
  study = _study(workdir)
  drawn = {
    'rate_distortion': rate_distortion(rows, study),
    'elbo_heatmap': elbo_heatmap(rows, study),
  }
  if metrics.exists():
    drawn['learning_curves'] = learning_curves(tracking.read_metrics(metrics), rows, study)
  if images.exists():
    arrays = _read_images(images, len(rows))
    drawn['reconstructions'] = reconstructions(
      arrays['originals'], arrays['reconstructions'], rows, study=study
    )
    drawn['samples'] = samples(arrays['samples'], rows, study=study)
  return drawn


def _study(workdir: pathlib.Path) -> str:
  """Returns the study's name: as config.json has it, else that of the directory."""
  path = workdir / 'config.json'
  config = json.loads(path.read_text(encoding='utf-8')) if path.exists() else {}
  return str(config.get('study') or workdir.resolve().name)


def _read_images(path: pathlib.Path, num_lanes: int) -> dict[str, np.ndarray]:
  """Returns originals [n, H, W, C], reconstructions [G, n, H, W, C] and samples [G, m, H, W, C]."""
  try:
    with np.load(path, allow_pickle=False) as archive:
      arrays = {name: archive[name] for name in ('originals', 'reconstructions', 'samples')}
  except OSError:
    raise
  except Exception as error:  # NumPy, zipfile, zlib and tokenize all have their own for bad bytes
    raise errors.DamagedError(f'{path} cannot be read: {error}') from error
  for name in ('reconstructions', 'samples'):
    if len(arrays[name]) != num_lanes:
      raise errors.DamagedError(
        f'{path}: {name} of {len(arrays[name])} lanes, but results.csv has {num_lanes}'
      )
  return arrays
