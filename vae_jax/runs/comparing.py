"""Compares two runs by what they have on disk."""

import os
import pathlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from vae_jax import comparison, errors, paths, records
from vae_jax.runs import workdir

# What the values of an image depend on: where they differ, nats are of different things.
_OF_VALUES = ('name', 'crop', 'pad', 'kind', 'range', 'scale_to_unit', 'binarize', 'standardize')


class _Run(NamedTuple):
  """What is read of a run."""

  directory: pathlib.Path
  config: Mapping[str, Any]
  provenance: Mapping[str, Any]
  rows: list[dict[str, Any]]


def compare(one: os.PathLike | str, other: os.PathLike | str) -> comparison.Comparison:
  """Returns what run B changed beside run A; nothing is written, and no data set is needed.

  Both are compared on the validation set where both chose on theirs, else on the test set.

  Args:
    one, other: the workdirs of A and of B.

  Raises:
    InputError: one is no run, or has no NLL yet, or their data sets differ.
    DamagedError: a file is not what was written.
  """
  runs = [_read(paths.expanded(each, '--workdir')) for each in (one, other)]
  _check_same_data(*runs)
  chosen = {'validation' if _validates(run) else 'test' for run in runs}
  split = 'validation' if chosen == {'validation'} else 'test'
  return comparison.compare(*(_side(run, split) for run in runs), split)


def draw(found: comparison.Comparison, path: pathlib.Path) -> None:
  """Draws the curves of a comparison.

  Raises:
    InputError: it has none.
    StorageError: no space left, or the place cannot be written.
  """
  from vae_jax import figures  # matplotlib takes half a second

  one, other = found.names
  figure = figures.compared(found.curves, [f'A is {one}, B is {other}'], found.split)
  if figure is None:
    raise errors.InputError(f'--out={path}: the runs have no curve in common to draw')
  figures.save(figure, path)


def _read(directory: pathlib.Path) -> _Run:
  config = workdir.read_config(directory)
  path = directory / 'results.csv'
  rows = records.read_results(path) if path.exists() else []
  if not any(row.get('test/nll') is not None for row in rows):
    raise errors.InputError(
      f'--workdir={directory} has no NLL: let vae-jax train finish it; a likelihood that is no '
      'density has none'
    )
  return _Run(directory, config, workdir.read_provenance(directory), rows)


def _validates(run: _Run) -> bool:
  return records.chosen_on(run.rows) == 'validation'


def _check_same_data(one: _Run, other: _Run) -> None:
  """Raises InputError where nats of the two are of different things."""
  if one.provenance['data_sha256'] == other.provenance['data_sha256']:
    return
  for key in _OF_VALUES:
    values = [run.config['data'][key] for run in (one, other)]
    if values[0] != values[1]:
      raise errors.InputError(
        f'data.{key} is {errors.shown(values[0])} in --workdir={one.directory} and '
        f'{errors.shown(values[1])} in --workdir={other.directory}: their nats are of different '
        'data; compare runs of one data set'
      )
  files = [pathlib.Path(str(run.config['data'].get('path', ''))).name for run in (one, other)]
  events = [run.provenance.get('event') for run in (one, other)]
  if files[0] != files[1] or events[0] != events[1]:
    raise errors.InputError(
      f'--workdir={one.directory} has examples of {files[0] or "its data"} {events[0]}, and '
      f'--workdir={other.directory} of {files[1] or "its data"} {events[1]}; compare runs of one '
      'data set'
    )


def _side(run: _Run, split: str) -> comparison.Side:
  """Returns what of a run is compared."""
  nll, rates, distortions = (
    np.array([[_number(row, f'{split}/{name}')] for row in run.rows])
    for name in ('nll', 'rate', 'distortion')
  )
  path, images = run.directory / 'per_image.npz', ''
  if path.exists() and (found := records.read_per_image(path).get(split)) is not None:
    nll, images = found.nll, found.sha256
    rates, distortions = -found.elbo - found.distortion, found.distortion
  example = records.example_of(run.provenance.get('event', ()))
  return comparison.Side(
    str(run.directory), run.rows, nll, rates, distortions, images, images, example
  )


def _number(row: Mapping[str, Any], column: str) -> float:
  value = row.get(column)
  return np.nan if value is None else float(value)
