"""The pictures of a study, drawn from what is on disk.

  rate_distortion    distortion over rate, one line per latent size
  elbo_heatmap       ELBO, beta x latent size
  active_units       active units over beta, one line per latent size, the forecast dashed
  learning_curves    ELBO, and that of the batches, over the steps, one panel per latent size
  loss_curves        training loss at steps that are powers of two, both axes logarithmic
  latents            rate of each latent on the test set, largest first, one panel per latent size
  nll_curve          importance-weighted bound on the test set over the number of samples
  reconstructions    test images and their reconstructions, one row per lane
  samples            images decoded from the prior, one row per lane
  traversals         images along the two most used latents of the best lanes
  aggregate_samples  samples, of a mixture fitted to the codes
  by_condition       samples of a conditional model, one row per condition

Images, signals and rows of tables are drawn each in their own way: see `values` for those that are
no images.

A lane is a row of results.csv as a dict: {'beta': 1.0, 'latent_size': 8, 'test/elbo': -98.7, ...},
with None where there is no value; its hyperparameters are the columns before `beta_normalised` that
do not say how it stands. What lanes are chosen by is of the validation set or, where a study has
none, of the test set; each picture names it. Lanes that differ in their seed alone are drawn as
their mean. Each function returns a matplotlib Figure, or None when no lane has what it shows;
`save` writes one and `draw_all` draws all of a workdir. Everything is in nats per example.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from vae_jax import files, forecast, records
from vae_jax.figures import values
from vae_jax.figures.activity import active_units
from vae_jax.figures.compared import compared
from vae_jax.figures.curves import learning_curves
from vae_jax.figures.heatmap import elbo_heatmap
from vae_jax.figures.importance import nll_curve
from vae_jax.figures.latent_rates import latents
from vae_jax.figures.losses import loss_curves
from vae_jax.figures.pictures import image_grid, reconstructions, samples
from vae_jax.figures.plots import on_white
from vae_jax.figures.style import save
from vae_jax.figures.tradeoff import rate_distortion
from vae_jax.figures.traversal import by_condition, traversals
from vae_jax.figures.values import sketches

__all__ = [
  'active_units',
  'by_condition',
  'compared',
  'draw_all',
  'elbo_heatmap',
  'image_grid',
  'latents',
  'learning_curves',
  'loss_curves',
  'nll_curve',
  'on_white',
  'rate_distortion',
  'reconstructions',
  'samples',
  'save',
  'sketches',
  'traversals',
]


def draw_all(workdir: pathlib.Path | str) -> list[pathlib.Path]:
  """Draws every picture that the files of a workdir allow into WORKDIR/figures/*.png.

  Reads results.csv, curve.csv, metrics.jsonl, latents.csv, nll_curve.csv, forecast.csv, images.npz
  and, of config.json, the study's name and train.log_powers_of_two (loss_curves is drawn only where
  that is true). A picture whose file is absent, or that no lane has values for, is left out. Each
  picture is whole or absent; without results.csv nothing is written, not even the folder.

  Returns:
    the paths written, in a fixed order.

  Raises:
    DamagedError: images.npz or a table cannot be read, or belongs to other lanes than results.csv.
    StorageError: no space left, or the place cannot be written.
  """
  workdir = pathlib.Path(workdir)
  if not (workdir / 'results.csv').exists():
    return []
  drawn = {name: figure for name, figure in _draw(workdir).items() if figure is not None}
  directory = workdir / 'figures'
  with files.storage_errors(directory):
    files.make_directory(directory)
  return [save(figure, directory / f'{name}.png') for name, figure in drawn.items()]


def _draw(workdir: pathlib.Path) -> dict[str, Figure | None]:
  """Returns the pictures by name; None where no lane has what it shows."""
  rows = records.read_results(workdir / 'results.csv')
  if not rows:
    return {}
  config = _config(workdir)
  study = _title(config, workdir)
  drawn = {
    'rate_distortion': rate_distortion(rows, study, _curve(workdir, rows)),
    'elbo_heatmap': elbo_heatmap(rows, study),
    'active_units': active_units(rows, _forecast(workdir), study),
  }
  if (workdir / 'metrics.jsonl').exists():
    metrics = records.read_columns(workdir / 'metrics.jsonl', _drawn_columns(rows))
    drawn['learning_curves'] = learning_curves(metrics, rows, study)
    if config.get('train', {}).get('log_powers_of_two'):
      drawn['loss_curves'] = loss_curves(metrics, rows, study)
  for name, columns, draw in (
    ('latents', records.LATENT_COLUMNS, latents),
    ('nll_curve', records.NLL_CURVE_COLUMNS, nll_curve),
  ):
    if (path := workdir / f'{name}.csv').exists():
      drawn[name] = draw(records.read_lane_table(path, columns, rows), rows, study)
  if (workdir / 'images.npz').exists():
    drawn |= _draw_images(records.read_images(workdir / 'images.npz', len(rows)), rows, study)
  return drawn


def _drawn_columns(rows: Sequence[Mapping]) -> tuple[str, ...]:
  """Returns the metrics that curves are drawn of."""
  return f'{records.chosen_on(rows)}/elbo', 'batch/elbo', 'batch/objective'


def _curve(workdir: pathlib.Path, rows: Sequence[Mapping]) -> list[dict[str, Any]]:
  """Returns curve.csv, empty where the lanes were trained for one beta each."""
  path = workdir / 'curve.csv'
  return records.read_lane_table(path, records.CURVE_COLUMNS, rows) if path.exists() else []


def _title(config: Mapping[str, Any], workdir: pathlib.Path) -> str:
  """Returns the name of a study, and that of its data where it does not say it itself."""
  study = str(config.get('study') or workdir.resolve().name)
  settings = config.get('data', {})
  name, colon, _ = str(settings.get('name', '')).partition(':')
  if not colon and settings.get('path'):  # of a file or a folder, which has a name
    name = pathlib.Path(str(settings['path'])).stem
  return study if name in study else f'{study} on {name}'


def _forecast(workdir: pathlib.Path) -> forecast.Forecast | None:
  """Returns the forecast of collapse, where the run has one."""
  if not (path := workdir / 'forecast.csv').exists():
    return None
  table = records.read_table(path, records.FORECAST_COLUMNS)
  return forecast.Forecast(np.array([row['beta'] for row in table], float))


def _draw_images(
  images: Mapping[str, np.ndarray], rows: Sequence[Mapping], study: str
) -> dict[str, Figure | None]:
  """Returns the pictures made of images; those of an older run have no traversals.

  Of strips, that are one value high, none are drawn: in rows and columns they are not read.
  """
  kind = records.kind_of(images)
  if kind in ('signals', 'table'):
    return values.draw(images, rows, study)
  drawn = {
    'reconstructions': reconstructions(
      images['originals'], images['reconstructions'], rows, study=study
    ),
    'samples': samples(images['samples'], rows, study=study),
  }
  if 'aggregate_samples' in images:
    made, of = images['aggregate_samples'], 'a mixture fitted to the codes'
    drawn['aggregate_samples'] = samples(made, rows, study=study, of=of)
  if 'traversals' in images and kind == 'images':
    drawn['traversals'] = traversals(images['traversals'], rows, study)
  if 'by_condition' in images:
    drawn['by_condition'] = by_condition(
      images['by_condition'], [str(name) for name in images['conditions']], rows, study
    )
  return drawn


def _config(workdir: pathlib.Path) -> dict[str, Any]:
  """Returns config.json, empty where there is none."""
  path = workdir / 'config.json'
  return json.loads(path.read_text(encoding='utf-8')) if path.exists() else {}
