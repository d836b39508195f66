"""Learning curves: the ELBO of each lane over the steps, for the page to switch on and off."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from vae_jax.figures import points
from vae_jax.report import charts
from vae_jax.report.reading import Study

MOST_LINES = 200  # lanes, from which on groups are drawn as bands
_MOST_POINTS = 80  # of one curve
_LOWEST = 5  # percentile of the lanes' lowest values that the axis begins at
_BEGINNING = 0.1  # of the steps, whose first values do not decide how much of the axis is seen


class Curves(NamedTuple):
  """The learning curves of a study.

  Attributes:
    of_lanes: steps and ELBO [2, n] of each lane, by its number.
    kind: whose ELBO it is: a split, or 'batch'.
  """

  of_lanes: dict[int, list]
  kind: str


def curves(study: Study) -> Curves:
  """Returns the curves of the evaluations or, where there are fewer than two, of the batches."""
  lanes = {row['lane'] for row in study.rows}
  for column in (f'{study.split}/elbo', 'batch/elbo'):
    found: dict[int, dict[int, float]] = {}
    for row in study.metrics:
      if row['lane'] in lanes and (value := points.value(row, column)) is not None:
        found.setdefault(row['lane'], {})[row['step']] = value
    if any(len(curve) > 1 for curve in found.values()):
      of_lanes = {lane: _thinned(curve) for lane, curve in found.items()}
      return Curves(of_lanes, column.partition('/')[0])
  return Curves({}, '')


def _thinned(curve: Mapping[int, float]) -> list:
  steps = points.spread(sorted(curve), _MOST_POINTS)
  return [steps, [float(f'{curve[step]:.6g}') for step in steps]]


def floor(found: Sequence[Curves]) -> float:
  """Returns where the axis of the ELBO begins: the beginning of the curves is cut off."""
  lowest = [
    -min(value for step, value in zip(*curve, strict=True) if step >= _BEGINNING * curve[0][-1])
    for each in found
    for curve in each.of_lanes.values()
  ]
  return -float(np.percentile(charts.near(lowest), 100 - _LOWEST))


def specs(kind: str, low: float | None) -> dict[str, charts.Spec]:
  """Returns the chart of lines, and that of bands from the least to the largest lane of a group.

  The data `curves` come from the page: step, value, lane, group and its colour.

  Args:
    kind: whose ELBO it is.
    low: where the axis begins; None for where the curves do that are shown.
  """
  scale = {'zero': False, 'nice': True} | ({} if low is None else {'domainMin': low})
  place = {
    'x': charts.field('step', title='step', axis={'tickCount': 6, 'grid': False}),
    'y': charts.field('value', title=f'{kind} ELBO (nats)', scale=scale),
    'color': charts.field('colour', 'nominal', scale=None),
  }
  words = 'ELBO over the training steps'
  line = {
    'mark': {'type': 'line', 'clip': True, 'strokeWidth': 1.5, 'opacity': 0.85},
    'encoding': place
    | {'detail': charts.field('lane', 'nominal'), 'tooltip': _tooltip('lane', 'value')},
  }
  band = {
    'mark': {'type': 'area', 'clip': True, 'opacity': 0.25},
    'encoding': place
    | {
      'y': {**place['y'], 'aggregate': 'min'},
      'y2': {'field': 'value', 'aggregate': 'max'},
      'detail': charts.field('group', 'nominal'),
    },
  }
  middle = {
    'mark': {'type': 'line', 'clip': True},
    'encoding': place
    | {
      'y': {**place['y'], 'aggregate': 'median'},
      'detail': charts.field('group', 'nominal'),
    },
  }
  data = {'name': 'curves'}
  return {
    'lines': charts.spec(words, height=340, data=data, **line),
    'bands': charts.spec(words, height=340, data=data, layer=[band, middle]),
  }


def _tooltip(*names: str) -> list[dict[str, Any]]:
  every = ('step', *names)
  return [charts.field(name, 'nominal', title={'value': 'ELBO'}.get(name, name)) for name in every]
