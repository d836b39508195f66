"""How latents are used: active units over beta, and of one lane its rates and its codes."""

from typing import Any

import numpy as np

from vae_jax.figures import points
from vae_jax.report import charts, colours
from vae_jax.report.reading import Study

_UNITS = 'active_units'
_HEIGHT = 260  # pixels
_MOST_CODES = 60_000  # of all lanes of a study


def active_units(study: Study) -> charts.Spec | None:
  """Returns the chart, forecast dashed; None where lanes have no beta to compare."""
  cells = [
    cell
    for cell in points.cells(study.rows, (_UNITS,), study.swept)
    if cell.lanes and cell.beta > 0
  ]
  betas = sorted({cell.beta for cell in cells})
  if len(betas) < 2 or study.swept.fields[0] != 'beta':
    return None
  sizes = [str(size) for size in charts.sizes(study)]
  measured = [
    {
      'beta': cell.beta,
      'latents': str(cell.latent_size),
      'line': f'{cell.latent_size}/{points.label(cell.variant)}',
      'units': cell.mean(_UNITS),
      'seeds': charts.lane_count(cell),
    }
    for cell in cells
  ]
  scale = {'domain': sizes, 'range': colours.ordered(len(sizes))}
  colour = charts.field(
    'latents', 'nominal', sort=sizes, scale=scale, legend={'title': 'latent size'}
  )
  place = {
    'x': charts.field(
      'beta', scale={'type': 'log'}, title='β', axis={'values': betas, 'labelOverlap': True}
    ),
    'y': charts.field('units', title='active units'),
    'color': colour,
  }
  tooltip = [
    charts.field(name, 'nominal', title=title)
    for name, title in (
      ('beta', 'β'), ('latents', 'latent size'), ('units', 'active'), ('seeds', 'mean over')
    )
  ]  # fmt: skip
  layers = [
    {
      'data': charts.values(measured),
      'mark': {'type': 'line', 'point': {'filled': True, 'size': 50}},
      'encoding': place | {'detail': charts.field('line', 'nominal'), 'tooltip': tooltip},
    }
  ]
  if study.forecast is not None:
    forecast = {'type': 'line', 'interpolate': 'step-after', 'strokeDash': [4, 3], 'opacity': 0.8,
                'strokeWidth': 1.5}  # fmt: skip
    rows = [row for size in charts.sizes(study) for row in _held(study, size, betas)]
    layers.append({'data': charts.values(rows), 'mark': forecast, 'encoding': place})
  words = 'Active units over beta, one line for each latent size; the forecast is dashed'
  return charts.spec(words, height=_HEIGHT, layer=layers)


def _held(study: Study, size: int, betas: list[float]) -> list[dict]:
  """Returns the steps of the forecast: how many latents live from each beta on."""
  low, high = betas[0], betas[-1]
  ends = [beta for beta in study.forecast.onsets[:size] if low < beta < high]
  return [
    {'beta': float(beta), 'latents': str(size), 'units': study.forecast.active(beta, size)}
    for beta in sorted({low, *map(float, ends), high})
  ]


def codes(study: Study) -> list[list[list[float]]]:
  """Returns where test images lie along the two latents used most, [G, c, 2]; or [].

  A lane that diverged has none: its codes are no numbers.
  """
  found = study.images.get('codes')
  if found is None:
    return []
  count = max(1, min(found.shape[1], _MOST_CODES // len(found)))
  rounded = np.round(found[:, :count].astype(float), 2)
  return [lane.tolist() if np.isfinite(lane).all() else [] for lane in rounded]


def labels(study: Study) -> dict[str, Any]:
  """Returns the labels of the images of `codes` and what they are; {} where they are not known."""
  if 'labels' not in study.images:
    return {}
  return {'of': str(study.images['labels_of']), 'values': study.images['labels'].tolist()}


def scatter() -> dict[str, charts.Spec]:
  """Returns the chart of the codes of a lane of several latents, `codes`, and of one, `code`.

  The page has their data: x, y, label, colour.
  """
  x = charts.field('x', title='latent used most')
  second = charts.field('y', title='the second')
  alone = charts.field('label', 'nominal', title=None, sort=None)
  return {'codes': _codes(x, second, 320), 'code': _codes(x, alone, 200)}


def _codes(x: charts.Spec, y: charts.Spec, height: int) -> charts.Spec:
  colour = charts.field('colour', 'nominal', scale=None)
  tooltip = [charts.field('label', 'nominal')]
  return charts.spec(
    'Test examples along the latents used most, coloured by label',
    height=height,
    data={'name': 'codes'},
    mark={'type': 'point', 'filled': True, 'size': 22, 'opacity': 0.85},
    encoding={'x': x, 'y': y, 'color': colour, 'tooltip': tooltip},
  )


def of_lane() -> charts.Spec:
  """Returns the chart of the rate of each latent of one lane; the page has its data, `latents`."""
  colour = {'condition': {'test': 'datum.active', 'value': 'var(--ramp-22)'}, 'value': charts.FAINT}
  encoding = {
    'x': charts.field(
      'latent', 'nominal', sort=None, title='latent', axis={'labelAngle': 0, 'labelOverlap': True}
    ),
    'y': charts.field('rate', title='rate (nats)'),
    'color': colour,
    'tooltip': [charts.field('latent', 'nominal'), charts.field('rate', format='.3f')],
  }
  return charts.spec(
    'Rate of each latent of the lane', height=150, data={'name': 'latents'}, mark='bar',
    encoding=encoding,
  )  # fmt: skip
