"""What a page says of one study: the files of its workdir, read."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae_jax import forecast, lane_fields, records
from vae_jax import verdict as verdicts
from vae_jax.figures import points
from vae_jax.records import manifest
from vae_jax.report import choosing

Rows = list[dict[str, Any]]


class Study(NamedTuple):
  """One study, as its files have it.

  Attributes:
    directory: the workdir.
    title: its name.
    key: what tells its lanes from those of other studies on the page; '' where it is the only one.
    rows: of results.csv; beside them the figures of the split as `nll`, `elbo` ..., and the scores
      of the codes, where they are known.
    drawn: the rows whose points stand in charts, and `shown`: those that have pictures, a curve and
      a row in the table; of few lanes both are `rows`. See `choosing`.
    split: by which choosing goes, 'validation' or 'test'.
    swept: how its settings are told apart.
    config, provenance, verdict: its JSON files; {} where there is none.
    metrics: the rows of metrics.jsonl, with what is drawn of them.
    rising: of the lanes whose objective still rises at the end, by how many nats a step.
    tables: the rows of the other tables, by name and lane; of one that is not there none.
    forecast: of collapse, where the run has one.
    images: see `records.images`, of the lanes in `shown`; {} where there are none.
    example: what an example of the data is called: 'image', 'signal' or 'row'.
  """

  directory: pathlib.Path
  title: str
  key: str
  rows: Rows
  drawn: Rows
  shown: Rows
  split: str
  swept: points.Sweep
  config: Mapping[str, Any]
  provenance: Mapping[str, Any]
  verdict: Mapping[str, Any]
  metrics: Sequence[Mapping[str, Any]]
  rising: Mapping[int, float]
  tables: Mapping[str, Mapping[int, Rows]]
  forecast: forecast.Forecast | None
  images: Mapping[str, np.ndarray]
  example: str

  def lane_id(self, row: Mapping[str, Any]) -> str:
    """Returns what a lane is called on the page: 'b1-z8-s0', or 'A b1-z8-s0' of several studies."""
    return f'{self.key} {row["name"]}'.strip()


OF_NATS = ('crop', 'pad', 'kind', 'range', 'scale_to_unit', 'binarize', 'standardize')


def same_nats(studies: Sequence[Study]) -> bool:
  """Tells whether nats of all studies are of one split of the same data: one scale has them."""
  settings = [study.config.get('data') or {} for study in studies]
  found = [
    [study.split, study.provenance.get('data_sha256'), *(data.get(key) for key in OF_NATS)]
    for study, data in zip(studies, settings, strict=True)
  ]
  return all(each == found[0] for each in found)


_SCORES = ('disentanglement', 'udr')
_TABLES = {
  'latents': records.LATENT_COLUMNS,
  'nll_curve': records.NLL_CURVE_COLUMNS,
  'curve': records.CURVE_COLUMNS,
  'disentanglement': records.DISENTANGLEMENT_COLUMNS,
  'udr': records.UDR_COLUMNS,
}


def read(directory: pathlib.Path, key: str = '', most_lanes: int = choosing.MOST_LANES) -> Study:
  """Reads a workdir, of a run that is finished or not.

  Args:
    directory: the workdir.
    key: see `Study`.
    most_lanes: that are shown one by one.

  Raises:
    InputError: it has no results yet.
    DamagedError: a file is not what was written.
  """
  stored = records.results_of(directory)
  rows, split = points.chosen(stored)
  tables = {name: _read_table(directory / f'{name}.csv', name, rows) for name in _TABLES}
  rows = [_with_scores(row, tables) for row in rows]
  config = manifest.read_json(directory / 'config.json')
  journal = directory / 'metrics.jsonl'
  columns = f'{split}/elbo', 'batch/elbo', f'{split}/objective'
  metrics = records.read_columns(journal, columns) if journal.exists() else []
  swept, verdict = points.sweep(rows), manifest.read_json(directory / 'verdict.json')
  among = rows, swept, choosing.best(rows, verdict), most_lanes
  shown = choosing.shown(*among)
  provenance = manifest.read_json(directory / 'provenance.json')
  # Figures of other data than the run's stand in a directory of their own.
  seen = provenance or manifest.read_json(directory / 'evaluation.json')
  return Study(
    directory=directory,
    title=str(config.get('study') or directory.resolve().name),
    key=key,
    rows=rows,
    drawn=choosing.drawn(*among),
    shown=shown,
    split=split,
    swept=swept,
    config=config,
    provenance=provenance,
    verdict=verdict,
    metrics=metrics,
    rising=_rising(metrics, rows, split, config),
    tables=tables,
    forecast=_read_forecast(directory / 'forecast.csv'),
    images=_read_images(directory / 'images.npz', len(rows), [row['lane'] for row in shown]),
    example=records.example_of(seen.get('event', ())),
  )


def _read_table(path: pathlib.Path, name: str, rows: Rows) -> dict[int, Rows]:
  found = {row['lane']: [] for row in rows}
  for line in records.read_lane_table(path, _TABLES[name], rows) if path.exists() else ():
    found[line['lane']].append(line)
  return found


def _with_scores(
  row: Mapping[str, Any], tables: Mapping[str, Mapping[int, Rows]]
) -> dict[str, Any]:
  """Returns a row with what disentanglement.csv and udr.csv have of its lane."""
  lines = [line for name in _SCORES for line in tables[name][row['lane']]]
  found = {name: value for line in lines for name, value in line.items()}
  return {**row, **found, **row}  # behind the lane fields, whose place says what they are


def _rising(
  metrics: Sequence[Mapping[str, Any]], rows: Rows, split: str, config: Mapping[str, Any]
) -> dict[int, float]:
  points = {row['lane']: {**lane_fields.DEFAULTS, **row} for row in rows}
  total = (config.get('train') or {}).get('steps', 0)
  return verdicts.still_rising(metrics, points, split, total)


def _read_forecast(path: pathlib.Path) -> forecast.Forecast | None:
  if not path.exists():
    return None
  table = records.read_table(path, records.FORECAST_COLUMNS)
  return forecast.Forecast(np.array([row['beta'] for row in table], float))


def _read_images(path: pathlib.Path, num_lanes: int, lanes: Sequence[int]) -> dict[str, np.ndarray]:
  return records.read_images(path, num_lanes, lanes) if path.exists() else {}
