"""Distortion over rate: what each lane pays for what it stores."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax.figures import points
from vae_jax.report import charts, colours
from vae_jax.report.reading import Study

_TERMS = _RATE, _DISTORTION = 'rate', 'distortion'
_REACH = 0.05  # of the frame, that a tangent goes to either side
_APART = 0.045  # of the frame, between two labels
_HEIGHT = 280  # pixels
_ABOVE = {'orient': 'top', 'direction': 'horizontal', 'titleOrient': 'left'}  # of a legend


def rate_distortion(studies: Sequence[Study]) -> charts.Spec | None:
  """Returns the chart; None where no lane has both terms.

  A point is the mean over the seeds of a setting, with bars from the least to the largest of them.
  Its tick has the slope -beta, or minus the multiplier of a target rate: at an optimum of
  D + beta R the curve D(R) of all models has it.
  """
  cells = {
    study.key: [cell for cell in points.cells(study.rows, _TERMS, study.swept) if cell.lanes]
    for study in studies
  }
  every = [cell for of_study in cells.values() for cell in of_study]
  if not every:
    return None
  curve = _curve_rows(studies, cells)
  frame = [
    _frame(every, column, [row[letter] for row in curve])
    for column, letter in zip(_TERMS, 'RD', strict=True)
  ]
  marks = [_point(study, cell) for study in studies for cell in cells[study.key]]
  inside = [mark for mark in marks if _is_inside(mark, frame)]
  sizes = sorted({mark['size'] for mark in marks})
  place = {
    'x': charts.field(
      'R', scale={'domain': frame[0], 'nice': False}, title='rate R (nats)', axis={'tickCount': 8}
    ),
    'y': charts.field('D', scale={'domain': frame[1], 'nice': False}, title='distortion D (nats)'),
  }
  names = [str(size) for size in sizes]
  legend = {'title': 'latent size', **_ABOVE}
  scale = {'domain': names, 'range': colours.ordered(len(names))}
  colour = charts.field('latents', 'nominal', scale=scale, legend=legend, sort=names)
  faded = {'condition': {'param': 'chosen', 'value': 1}, 'value': 0.12}
  layers = [
    _tangents(inside, frame, place),
    _curves(curve, place, colour),
    _lines(studies, inside, place, colour, faded),
    *_spreads(inside, place, colour),
    {
      'data': charts.values(inside),
      'params': [{'name': 'chosen', 'select': {'type': 'point', 'fields': ['latents']},
                  'bind': 'legend'}],
      'mark': {'type': 'point', 'filled': True, 'size': 70, 'opacity': 1, 'stroke': 'var(--page)'},
      'encoding': place | {'color': colour, 'opacity': faded, 'tooltip': _TOOLTIP},
    },
    _labels(studies, inside, frame, place),
  ]  # fmt: skip
  return charts.spec(
    'Distortion over rate, one line for each latent size and one point for each beta',
    height=_HEIGHT,
    layer=[layer for layer in layers if layer],
  )


def _frame(cells: Sequence[points.Cell], column: str, curve: Sequence[float]) -> list[float]:
  """Returns the ends of an axis: of curves and lanes; of beta = 0 only where they are near."""
  values = [(cell.beta, row[column]) for cell in cells for row in cell.lanes]
  priced, free = (
    [*curve, *(v for beta, v in values if beta > 0)],
    [v for beta, v in values if beta == 0],
  )
  low, high = points.frame(charts.near(priced), charts.near(free))
  margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
  return [low - margin, high + margin]


def _is_inside(mark: dict[str, Any], frame: Sequence[Sequence[float]]) -> bool:
  return all(low <= mark[name] <= high for name, (low, high) in zip('RD', frame, strict=True))


def outside(study: Study) -> int:
  """Returns how many points of a study are beyond the frame."""
  cells = [cell for cell in points.cells(study.rows, _TERMS, study.swept) if cell.lanes]
  if not cells:
    return 0
  frame = [_frame(cells, column, []) for column in _TERMS]
  return sum(not _is_inside(_point(study, cell), frame) for cell in cells)


def _point(study: Study, cell: points.Cell) -> dict[str, Any]:
  """Returns a setting: its means, the ends of its seeds, and what is said of it."""
  ends = {
    f'{letter}{end.__name__}': end(row[column] for row in cell.lanes)
    for letter, column in zip('RD', _TERMS, strict=True)
    for end in (min, max)
  }
  rate, distortion = cell.mean(_RATE), cell.mean(_DISTORTION)
  units = [u for row in cell.lanes if (u := points.value(row, 'active_units')) is not None]
  prices = [points.value(row, 'multiplier') or cell.beta for row in cell.lanes]
  held = study.forecast and study.forecast.active(cell.beta, cell.latent_size)
  return ends | {
    'study': study.key,
    'line': f'{study.key}/{cell.latent_size}/{points.label(cell.variant)}',
    'dashed': points.label(cell.variant),
    'latents': str(cell.latent_size),
    'size': cell.latent_size,
    'beta': cell.beta,
    'slope': float(np.mean(prices)),
    'setting': f'{charts.setting_title(study)} = {points.label(cell.setting + cell.variant)}',
    'short': points.label(cell.setting),
    'R': rate,
    'D': distortion,
    'elbo': charts.shown(-rate - distortion),
    'terms': f'{charts.shown(rate)}, {charts.shown(distortion)}',
    'seeds': charts.lane_count(cell),
    'units': f'{sum(units) / len(units):.3g} of {cell.latent_size}' if units else '',
    'held': '' if held is None else f'{held} of {cell.latent_size}',
  }


_TOOLTIP = [
  charts.field(name, 'nominal', title=title)
  for name, title in (
    ('setting', 'setting'),
    ('latents', 'latent size'),
    ('terms', 'R, D (nats)'),
    ('elbo', 'ELBO = −D − R'),
    ('units', 'active units'),
    ('held', 'forecast of them'),
    ('seeds', 'mean over'),
  )
]


def _tangents(marks: Sequence[dict], frame: Sequence[Sequence[float]], place) -> charts.Spec:
  """Returns the ticks of slope -beta, of one length on the screen, see `rate_distortion`."""
  (left, right), (bottom, top) = frame
  ticks = []
  for mark in marks:
    slope = mark['slope'] * (right - left) / (top - bottom)  # on the screen, of a square frame
    along = _REACH / math.hypot(1, slope) * (right - left)
    x, y, rise = mark['R'], mark['D'], mark['slope'] * along
    ticks.append({'R': x - along, 'D': y + rise, 'R2': x + along, 'D2': y - rise})
  look = {'color': charts.FAINT, 'strokeWidth': 1.5, 'strokeDash': [2, 2]}
  return {
    'data': charts.values(ticks),
    'mark': {'type': 'rule', 'clip': True, **look},
    'encoding': {**place, 'x2': {'field': 'R2'}, 'y2': {'field': 'D2'}},
  }


def _lines(studies, marks, place, colour, faded) -> charts.Spec | None:
  """Returns the lines from setting to setting, where these stand in a row."""
  if not all(points.is_ordered(study.swept) for study in studies):
    return None
  encoding = {
    **place,
    'color': colour,
    'opacity': faded,
    'detail': charts.field('line', 'nominal'),
    'order': charts.field('beta'),
  }
  for name, title in (('study', 'study'), ('dashed', points.title(studies[0].swept.dashed))):
    if len({mark[name] for mark in marks}) > 1:
      legend = {'title': title, **_ABOVE}
      encoding['strokeDash'] = charts.field(name, 'nominal', legend=legend)
      break
  return {
    'data': charts.values(marks),
    'mark': {'type': 'line', 'clip': True},
    'encoding': encoding,
  }


def _spreads(marks: Sequence[dict], place, colour) -> list[charts.Spec]:
  """Returns the bars from the least to the largest seed, along both axes."""
  several = [mark for mark in marks if mark['Rmin'] < mark['Rmax']]
  if not several:
    return []
  across = {**place, 'x': {**place['x'], 'field': 'Rmin'}, 'x2': {'field': 'Rmax'}}
  along = {**place, 'y': {**place['y'], 'field': 'Dmin'}, 'y2': {'field': 'Dmax'}}
  mark = {'type': 'rule', 'clip': True, 'strokeWidth': 1.5}
  return [
    {'data': charts.values(several), 'mark': mark, 'encoding': each | {'color': colour}}
    for each in (across, along)
  ]


def _curve_rows(studies: Sequence[Study], cells: Mapping[str, Sequence[points.Cell]]) -> list[dict]:
  """Returns the points of the curve of each lane that was trained for every beta."""
  rows = []
  for study in studies:
    sizes = {row['lane']: cell.latent_size for cell in cells[study.key] for row in cell.lanes}
    for row in (row for lane in sizes for row in study.tables['curve'][lane]):
      rate, distortion = (points.value(row, f'{study.split}/{name}') for name in _TERMS)
      if None not in (rate, distortion):
        line = f'{study.key}/{row["lane"]}'
        rows.append({'line': line, 'latents': str(sizes[row['lane']]), 'beta': row['beta'],
                     'R': rate, 'D': distortion})  # fmt: skip
  return rows


def _curves(rows: Sequence[dict], place, colour) -> charts.Spec | None:
  """Returns the layer of these curves."""
  if not rows:
    return None
  order = {'detail': charts.field('line', 'nominal'), 'order': charts.field('beta')}
  mark = {'type': 'line', 'clip': True, 'strokeWidth': 1.5, 'opacity': 0.7}
  return {'data': charts.values(rows), 'mark': mark, 'encoding': place | {'color': colour} | order}


def _labels(studies, marks, frame, place) -> charts.Spec | None:
  """Returns the settings in words beside the points of one line, where they do not touch."""
  lines = {}
  for mark in marks:
    if mark['study'] == studies[0].key and not mark['dashed']:
      lines.setdefault(mark['line'], []).append(mark)
  if not lines:
    return None
  written = []
  for mark in sorted(list(lines.values())[-1], key=lambda mark: -mark['R']):
    x, y = ((mark[n] - low) / (high - low) for n, (low, high) in zip('RD', frame, strict=True))
    if all(math.hypot(x - before, y - above) > _APART for before, above, _ in written):
      written.append((x, y, mark))
  title = points.title(studies[0].swept.fields)
  rows = [{'R': m['R'], 'D': m['D'], 'text': f'{title} {m["short"]}'} for _, _, m in written]
  look = {'type': 'text', 'align': 'left', 'baseline': 'bottom', 'dx': 7, 'dy': -4, 'fontSize': 11}
  return {
    'data': charts.values(rows),
    'mark': look,
    'encoding': place | {'text': charts.field('text', 'nominal')},
  }
