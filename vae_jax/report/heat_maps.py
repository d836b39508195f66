"""One value over the settings and the latent sizes, with its number in each cell."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vae_jax.figures import points
from vae_jax.report import charts, colours
from vae_jax.report.reading import Study

_WIDTH = 540  # pixels, that all columns have together
_FONTS = (13, 7.6), (11, 6.5)  # sizes, and pixels that a digit takes with what is around it
_CELL = 22, 75  # pixels: least and most height of a row
_ERRORS = 4  # standard errors of a lane that the colours reach at least
_HEIGHT = 300  # pixels, that all rows may take together where they can


def heat_map(study: Study, column: str, alike: Sequence[Study] = ()) -> charts.Spec | None:
  """Returns the map of a column; None where no lane has a value.

  A cell is the mean over its seeds. By NLL that of the best point is outlined,
  and those that cannot be told from it are dashed.

  Args:
    study: whose lanes.
    column: of `Study.rows`; all but 'nll' are drawn as if higher were better.
    alike: studies with which it shares the scale of its colours.
  """
  cells = points.cells(study.rows, (column,), study.swept)
  known = [cell for cell in cells if cell.lanes]
  if not known:
    return None
  sizes, settings = charts.sizes(study), charts.settings(study)
  data = _data(study, alike or [study], cells, column)
  place = {
    'x': charts.field('x', 'nominal', sort=settings, scale={'domain': settings}, axis=_axis(study)),
    'y': charts.field(
      'y',
      'nominal',
      sort=[str(size) for size in reversed(sizes)],
      scale={'domain': [str(size) for size in reversed(sizes)]},
      axis={'title': 'latent size', 'domain': False, 'ticks': False, 'grid': False},
    ),
  }
  name = charts.NAMES[column]
  tooltip = [
    charts.field(key, 'nominal', title=title)
    for key, title in (
      ('x', charts.setting_title(study)),
      ('y', 'latent size'),
      ('whole', name),
      ('seeds', 'mean over'),
      ('of_seeds', 'each seed'),
      ('note', 'standing'),
    )
  ]
  fill = charts.field('fill', 'nominal', scale=None, legend=None)
  ink = charts.field('ink', 'nominal', scale=None, legend=None)
  layers = [
    {
      'mark': {'type': 'rect', 'stroke': 'var(--page)', 'strokeWidth': 1},
      'encoding': {'color': fill, 'tooltip': tooltip},
    }
  ]
  if size := _font_size(data, len(settings)):
    text = {'text': charts.field('text', 'nominal'), 'color': ink, 'tooltip': tooltip}
    layers.append({'mark': {'type': 'text', 'fontSize': size}, 'encoding': text})
  if column == 'nll':
    layers += _outlines(data)
  height = float(np.clip(_HEIGHT / len(sizes), *_CELL)) * len(sizes)
  words = f'{name} on the {study.split} set over {charts.setting_title(study)} and latent size'
  return charts.spec(words, height=height, data=charts.values(data), encoding=place, layer=layers)


def _font_size(data: Sequence[dict[str, Any]], columns: int) -> int | None:
  """Returns the size of the numbers; None where they would touch."""
  longest = max(len(row['text']) for row in data)
  return next((size for size, wide in _FONTS if longest * wide <= _WIDTH / columns), None)


def _axis(study: Study) -> dict[str, Any]:
  """Returns the axis of the settings, whose labels stand upright where they are long."""
  longest = max(map(len, charts.settings(study)))
  many = len(charts.settings(study)) * longest > 60
  return {
    'title': charts.setting_title(study),
    'labelAngle': -60 if many else 0,
    'labelOverlap': True,
    'domain': False,
    'ticks': False,
    'grid': False,
  }


def _data(
  study: Study, alike: Sequence[Study], cells: Sequence[points.Cell], column: str
) -> list[dict[str, Any]]:
  """Returns a row for each cell: where it is, its colours and what is said of it."""
  known = [cell for cell in cells if cell.lanes]
  means = [cell.mean(column) for cell in known]
  best, worst = _ends(alike, column)
  painted = dict(zip(map(id, known), colours.shades(means, best, worst), strict=True))
  digits = _digits(means, len(charts.settings(study)))
  rows = []
  for cell in cells:
    row = {
      'x': points.label(cell.setting + cell.variant),
      'y': str(cell.latent_size),
      'seeds': charts.lane_count(cell),
      'note': '',
      'of_seeds': _of_seeds([points.value(row, column) for row in cell.lanes]),
    }
    if id(cell) in painted:
      mean = cell.mean(column)
      fill, ink = painted[id(cell)]
      number = f'{mean:.3g}' if column == 'active_units' else charts.shown(mean, digits)
      text = number + '*' * bool(cell.lost)
      row |= dict(fill=fill, ink=ink, text=text, whole=charts.shown(mean, 3))
    else:
      words = cell.lost[0] if cell.lost else '…'
      row |= dict(fill='var(--none)', ink='var(--ink)', text=words, whole=words)
    if column == 'nll':
      row |= _standing(study, cell)
    rows.append(row)
  return rows


def _of_seeds(values: Sequence[float]) -> str:
  """Returns the values of all seeds or, of very many, their median and ends."""
  if len(values) <= points.MOST_LINES:
    return ', '.join(map(charts.shown, values))
  middle, low, high = (charts.shown(f(values)) for f in (np.median, min, max))
  return f'{middle} in the middle, {low} to {high}'


def _ends(alike: Sequence[Study], column: str) -> tuple[float, float]:
  """Returns the values that have the first and the last colour."""
  sign = 1 if column == 'nll' else -1  # a loss: lower is better
  cells = [
    cell
    for study in alike
    for cell in points.cells(study.rows, (column,), study.swept)
    if cell.lanes
  ]
  losses = [(cell.beta, sign * cell.mean(column)) for cell in cells]
  low, high = points.frame(
    charts.near([loss for beta, loss in losses if beta > 0]),
    charts.near([loss for beta, loss in losses if beta == 0]),
  )
  # A difference that is within the error of one lane is no other colour.
  if column in ('nll', 'elbo'):
    rows = [row for study in alike for row in study.rows]
    errors = [e for row in rows if (e := points.value(row, 'nll_stderr')) is not None]
    high = max(high, low + _ERRORS * float(np.median(errors or [0.0])))
  return sign * low, sign * high


def _digits(means: Sequence[float], columns: int) -> int:
  """Returns the decimals that numbers can have beside each other; the last one stays."""
  fewest = int(max(map(abs, means)) < 199.995)
  for digits in (fewest + 1, fewest):
    longest = max(len(charts.shown(mean, digits)) for mean in means)
    if longest * _FONTS[-1][1] <= _WIDTH / columns:
      return digits
  return fewest


def _standing(study: Study, cell: points.Cell) -> dict[str, str]:
  """Returns how a cell stands beside the best point, and the dash of its outline."""
  lanes = {row['lane'] for row in cell.lanes}
  for point in study.verdict.get('points', ()):
    if lanes & set(point['lanes']):
      error = f' ± {charts.shown(point["stderr"], 3)}' if point['stderr'] is not None else ''
      if point['name'] == study.verdict['best']:
        return {'note': 'the best', 'outline': 'best'}
      note = f'{charts.shown(point["difference"], 3)}{error} nats worse'
      if point['inside']:
        return {'note': f'not told from the best: {note}', 'outline': 'tie'}
      return {'note': note}
  return {}


def _outlines(data: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
  """Returns the layers that outline the best cell, and dashed those that may be as good."""
  layers = []
  for kind, look in (('tie', {'strokeDash': [5, 3]}), ('best', {})):
    outlined = [row for row in data if row.get('outline') == kind]
    inset = {'width': {'band': 0.97}, 'height': {'band': 0.95}}
    mark = {
      'type': 'rect',
      'fill': None,
      'stroke': charts.ACCENT,
      'strokeWidth': 3,
      **inset,
      **look,
    }
    if outlined:
      layers.append({'data': charts.values(outlined), 'mark': mark})
  return layers
