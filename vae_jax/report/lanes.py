"""What the page knows of each lane: its row in the table, its pictures, its latents."""

from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax import records
from vae_jax.figures import points
from vae_jax.report import charts, pictures
from vae_jax.report.markup import Markup, tag
from vae_jax.report.reading import Study

_MANY_LONELY = 0.1  # of the images on one importance sample, see `runs.outcome.trust`
# Narrow headings, so that the warnings are seen beside them.
_SCORES = {
  'mig': 'MIG',
  'dci_disentanglement': 'DCI',
  'sap': 'SAP',
  'factor_vae_score': 'FactorVAE',
  'udr': 'UDR',
}


def warnings(study: Study, row: Mapping[str, Any]) -> list[str]:
  """Returns what a reader must know of a lane before believing its figures."""
  found = []
  if points.is_lost(row):
    found.append(f'{row["status"]} at step {row["step"]}: {row.get("reason") or "no reason known"}')
  if row.get('collapsed_at') is not None:
    found.append(f'posterior collapse at step {row["collapsed_at"]}')
  lonely = points.value(row, 'low_effective_fraction')
  if lonely is not None and lonely > _MANY_LONELY:
    found.append(
      f'one importance sample carries the NLL of {100 * lonely:.0f} % of the '
      f'{study.example}s: too few'
    )
  if (slope := study.rising.get(row['lane'])) is not None and row['status'] == 'done':
    found.append(f'learning curve still rising, by {1000 * slope:.2g} nats in 1,000 steps')
  if row['status'] == 'running':
    found.append(f'not done: figures of step {row["step"]}')
  return found


def of_page(study: Study, row: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what the scripts of the page read of a lane, but for its pictures."""
  latents = study.tables['latents'][row['lane']]
  used = _used(latents)
  return {
    'id': study.lane_id(row),
    'study': study.key,
    'groups': {'setting': f'{study.key} {charts.setting(study, row)}'.strip(),
               'latent size': str(row['latent_size']), 'seed': str(row['seed'])},
    'facts': _facts(study, row),
    'warnings': warnings(study, row),
    'enlargement': pictures.enlargement(study),
    'rows': pictures.row_names(study, row['lane'], used),
    'axes': [f'latent {latent}' for latent in used[:2]],
    'latents': [
      {'latent': f'{line["latent"]}', 'rate': line['rate'], 'active': bool(line['active'])}
      for line in sorted(latents, key=lambda line: -(line['rate'] or 0.0))
      if line['rate'] is not None
    ],
  }  # fmt: skip


def _used(latents: Sequence[Mapping[str, Any]]) -> list[int]:
  """Returns the latents that pictures and codes are of, in their order: that used most first."""
  read = [line for line in latents if line['layer'] == min(each['layer'] for each in latents)]
  return [line['latent'] for line in sorted(read, key=lambda line: -(line['mean_variance'] or 0.0))]


def _facts(study: Study, row: Mapping[str, Any]) -> str:
  """Returns the figures of a lane in one line."""
  said = []
  nll, error = points.value(row, 'nll'), points.value(row, 'nll_stderr')
  if nll is not None:
    said.append(f'NLL {charts.shown(nll)}' + (f' ± {charts.shown(error)}' if error else ''))
  terms = [points.value(row, name) for name in ('elbo', 'distortion', 'rate')]
  if None not in terms:
    elbo, distortion, rate = map(charts.shown, terms)
    said.append(f'ELBO {elbo} = −(D {distortion} + R {rate})')
  units = points.value(row, 'active_units')
  if units is not None:
    said.append(f'{units:g} of {row["latent_size"]} latents active')
  return '; '.join(said) + f' ({study.split} set, nats per example).' if said else ''


def columns(studies: Sequence[Study]) -> list[tuple[str, str, str]]:
  """Returns the columns of the table: key, heading, and 'number' or 'text'."""
  varied = {
    name: None
    for study in studies
    for name in (*study.swept.fields, *study.swept.dashed)
    if name != 'beta'
  }
  first = [('study', 'study', 'text')] if len(studies) > 1 else []
  fields = [
    ('beta', 'β', 'number'),
    ('latent_size', 'latents', 'number'),
    ('seed', 'seed', 'number'),
  ]
  fields += [(name, points.title([name]), 'number') for name in varied]
  figures = [
    ('nll', 'NLL', 'number'), ('nll_stderr', '± s.e.', 'number'), ('elbo', 'ELBO', 'number'),
    ('rate', 'R', 'number'), ('distortion', 'D', 'number'), ('active_units', 'active', 'number'),
  ]  # fmt: skip
  if any(study.split != 'test' for study in studies):
    figures.append(('test/nll', 'test NLL', 'number'))
  figures += [(name, heading, 'number') for name, heading in _SCORES.items()]
  every = [*first, ('name', 'lane', 'text'), *fields, ('status', 'status', 'text'),
           ('step', 'step', 'number'), *figures, ('warnings', 'warnings', 'text')]  # fmt: skip
  known = {key for study in studies for row in study.rows for key in _values(study, row)}
  return [column for column in every if column[0] in known]


def _values(study: Study, row: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what the table has of a lane: by column, without what is not known."""
  found = {**row, 'warnings': '; '.join(warnings(study, row)), 'study': study.key}
  return {
    name: value for name, value in found.items() if value is not None and value == value != ''
  }


_EXACT = ('step', 'active_units')  # beside the lane fields


def table_row(study: Study, row: Mapping[str, Any], shown: list[tuple[str, str, str]]) -> Markup:
  """Returns the row of a lane in the table."""
  values, cells = _values(study, row), []
  for key, _, kind in shown:
    value = values.get(key)
    text = '' if value is None else value
    if value is not None and kind == 'number':
      is_exact = key in _EXACT or key in points.lane_fields([row])
      text = _written(value) if is_exact else charts.shown(value)
    if key == 'name':
      text = tag('button', text, type_='button', class_='link', data_show=study.lane_id(row))
    attributes = dict(data_value=value) if kind == 'number' else {}
    cells.append(tag('td', text, class_=kind if key != 'warnings' else 'warnings', **attributes))
  return tag('tr', cells, data_lane=study.lane_id(row), data_status=row['status'])


def _written(value: Any) -> str:
  return f'{value:.4g}' if isinstance(value, float) else str(value)


def statuses(studies: Sequence[Study]) -> dict[str, int]:
  """Returns how many lanes have each status, in the order of a run."""
  found = [row['status'] for study in studies for row in study.rows]
  return {s: found.count(s) for s in records.schemas.STATUSES if s in found}
