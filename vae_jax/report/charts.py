"""What all charts share: Vega-Lite specifications as plain dicts, coloured by variables of CSS."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax.figures import points, style
from vae_jax.report.reading import Study

Spec = dict[str, Any]

INK, FAINT, GRID, ACCENT = 'var(--ink)', 'var(--faint)', 'var(--grid)', 'var(--accent)'
NAMES = {
  'nll': 'NLL',
  'elbo': 'ELBO',
  'rate': 'rate R',
  'distortion': 'distortion D',
  'active_units': 'active units',
  'mig': 'MIG',
  'dci_disentanglement': 'DCI disentanglement',
  'udr': 'UDR',
}

_HUGE = 1e6  # from here on numbers have an exponent
_FONT = 'system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif'
_CONFIG = {
  'background': None,
  'font': _FONT,
  'view': {'stroke': None},
  'axis': {
    'labelColor': INK,
    'titleColor': INK,
    'gridColor': GRID,
    'domainColor': FAINT,
    'tickColor': FAINT,
    'labelFontSize': 12,
    'titleFontSize': 12,
    'titleFontWeight': 'normal',
    'titlePadding': 8,
  },
  'legend': {'labelColor': INK, 'titleColor': INK, 'labelFontSize': 12, 'titleFontSize': 12},
  'text': {'color': INK, 'fontSize': 12},
  'rule': {'color': INK},
  'line': {'strokeWidth': 2},
  'header': {'labelColor': INK, 'titleColor': INK},
}


def spec(description: str, **parts: Any) -> Spec:
  """Returns a specification as wide as its place on the page."""
  return {
    '$schema': 'https://vega.github.io/schema/vega-lite/v6.json',
    'description': description,
    'width': 'container',
    'config': _CONFIG,
    **parts,
  }


def values(rows: Sequence[Mapping[str, Any]]) -> Spec:
  """Returns data that stand in the specification."""
  return {'values': list(rows)}


def field(name: str, kind: str = 'quantitative', **more: Any) -> Spec:
  """Returns the encoding of a field whose name is a word: a dot or a bracket would be a path."""
  return {'field': name, 'type': kind, **more}


def shown(number: float, digits: int = 2) -> str:
  """Returns nats as a reader wants them: fewer digits of what is large, and a true minus sign."""
  if abs(number) >= _HUGE:
    return f'{number:.2g}'.replace('-', '−')
  digits = digits if abs(number) < 999.95 else 0
  return f'{number:z.{digits}f}'.replace('-', '−')


def near(values: Sequence[float]) -> list[float]:
  """Returns the values that a scale is made for: without those of lanes that went astray.

  These are more than 50 times as far from the least value as the middle one, give or take 10 nats.
  """
  away = np.asarray(values) - min(values, default=0.0)
  most = 50 * (np.median(away) + 10) if away.size else 0.0
  return [v for v, d in zip(values, away, strict=True) if d <= most]


def setting(study: Study, row: Mapping[str, Any]) -> str:
  """Returns what the axis of the settings calls that of a lane: its beta, or what varies."""
  return points.label(points.pick(row, study.swept.fields + study.swept.dashed))


def settings(study: Study) -> list[str]:
  """Returns all settings in their order."""
  fields = study.swept.fields + study.swept.dashed
  return [
    points.label(each) for each in points.ordered([points.pick(r, fields) for r in study.rows])
  ]


def setting_title(study: Study) -> str:
  """Returns the name of the axis of the settings."""
  return points.title(study.swept.fields + study.swept.dashed)


def sizes(study: Study) -> list[int]:
  """Returns the latent sizes, ascending."""
  return sorted({row['latent_size'] for row in study.rows})


def lane_count(cell: points.Cell) -> str:
  """Returns how many seeds a mean is over."""
  lost = f', {len(cell.lost)} lost' if cell.lost else ''
  return f'{len(cell.lanes)} seed{"s" if len(cell.lanes) != 1 else ""}{lost}'


def plain(number: float) -> str:
  """Returns a number without an exponent, such as a beta."""
  return style.plain(number)
