"""What the page says in words: the answer, how far to trust it, how it was made."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from vae_jax.figures import points
from vae_jax.report import charts, tradeoff
from vae_jax.report.reading import Study
from vae_jax.verdict.words import nats

_VERSIONS = ('vae_jax', 'jax', 'flax', 'optax', 'distrax')


def subtitle(study: Study) -> str:
  """Returns what was trained, in one line."""
  rows = study.rows
  settings, sizes = charts.settings(study), charts.sizes(study)
  seeds = len({row['seed'] for row in rows})
  axes = [
    f'{len(settings)} {charts.setting_title(study)}',
    f'{len(sizes)} latent size{"s" if len(sizes) > 1 else ""}',
    f'{seeds} seed{"s" if seeds > 1 else ""}',
  ]
  product = ' × '.join(axes) if len(settings) * len(sizes) * seeds == len(rows) else ''
  total = f'{len(rows)} lane{"s" if len(rows) > 1 else ""}'
  parts = [f'{product} = {total}' if product else total]
  sections = {name: study.config.get(name) or {} for name in ('train', 'likelihood', 'encoder')}
  if 'steps' in sections['train']:
    batch = sections['train']['batch_size']
    parts.append(f'{sections["train"]["steps"]:,} steps of {batch} examples')
  parts += [str(study.provenance[name]) for name in ('data',) if name in study.provenance]
  likelihood, encoder = (sections[name].get('name') for name in ('likelihood', 'encoder'))
  parts += [f'{likelihood} likelihood'] if likelihood else []
  widths = sections['encoder'].get('hidden') or sections['encoder'].get('channels') or ()
  parts += [f'{encoder} {"-".join(map(str, widths))}'.strip()] if encoder else []
  return ' · '.join(parts)


def standing(study: Study) -> str:
  """Returns how many lanes are done, of how many."""
  rows = study.rows
  done = sum(row['status'] in ('done', 'stopped') for row in rows)
  others = [
    f'{count} {status}'
    for status in ('running', 'diverged', 'failed')
    if (count := sum(row['status'] == status for row in rows))
  ]
  lanes = f'{len(rows)} lane{"s" if len(rows) > 1 else ""}'
  said = f'{done} of {lanes} done' + (f': {", ".join(others)}' if others else '')
  total = (study.config.get('train') or {}).get('steps')
  if running := [row['step'] for row in rows if row['status'] == 'running']:
    said += f'; at step {max(running):,}' + (f' of {total:,}' if total else '')
  return f'{said}.'


def left_out(study: Study) -> str:
  """Returns what of a study of very many lanes stands on the page; '' where all does."""
  if len(study.shown) == len(study.rows):
    return ''
  charts_have, there_are = (
    len(points.cells(rows, swept=study.swept)) for rows in (study.drawn, study.rows)
  )
  of_points = 'all' if charts_have == there_are else f'{charts_have:,} of {there_are:,}'
  return (
    f'Charts have {of_points} points, with every seed of them. Pictures, curves and a row in the '
    f'table have {len(study.shown):,} of {len(study.rows):,} lanes: the first seeds of these '
    'points, and the best lane; results.csv has every lane.'
  )


def answer(study: Study) -> list[str]:
  """Returns the verdict in sentences, the answer first."""
  if said := study.verdict.get('sentences'):
    return list(said)
  known = counted(study)
  if not known:
    return ['No verdict: no lane has a figure that counts.']
  best = max(known, key=lambda row: row['elbo'])
  ended = all(row['status'] != 'running' for row in study.rows)
  why = (
    f'there is no NLL of each {study.example}, without which no error bar tells points apart'
    if ended
    else 'the study is not done, and the NLL comes at its end'
  )
  elbo = charts.shown(best['elbo'])
  return [
    f'Best ELBO {"" if ended else "so far "}on the {study.split} set: {best["name"]}, {elbo} nats '
    f'at step {best["step"]:,}.',
    f'No verdict: {why}.',
  ]


def on_test(study: Study, lanes: Sequence[int]) -> str:
  """Returns the test NLL of lanes that were chosen without it; '' where there is none."""
  found = [
    [points.value(study.rows[i], name) for i in lanes] for name in ('test/nll', 'test/nll_stderr')
  ]
  if study.split == 'test' or not lanes or any(None in each for each in found):
    return ''
  said = nats(*(float(np.mean(each)) for each in found))
  return f'On the test set, which chose nothing: {said} nats (± of the {study.example}s alone).'


def counted(study: Study) -> Sequence[Mapping[str, Any]]:
  """Returns the lanes that count: those not lost, with an ELBO."""
  rows = study.rows
  return [r for r in rows if not points.is_lost(r) and points.value(r, 'elbo') is not None]


def of_forecast(study: Study) -> str:
  """Returns from which beta on the training data hold no latent; '' where it is not known."""
  if study.forecast is None or not len(study.forecast.onsets):
    return ''
  return f'collapse forecast from β {study.forecast.onsets[0]:.3g} on'


def under_tradeoff(studies: Sequence[Study]) -> str:
  """Returns the line under the title of the chart of rate and distortion."""
  said = ['lower left is better', 'dotted: slope −β']
  if any(
    len(cell.lanes) > 1
    for study in studies
    for cell in points.cells(study.rows, ('rate',), study.swept)
  ):
    said.append('bars: range of seeds')
  if len(studies) == 1:
    said += filter(None, [of_forecast(studies[0])])
    if hidden := tradeoff.outside(studies[0]):
      said.append(f'{hidden} point{"s" if hidden > 1 else ""} beyond the frame')
  return ' · '.join(said)


def trust(study: Study) -> Iterator[tuple[str, str]]:
  """Yields what the numbers rest on: a heading and a sentence each."""
  rows = [row for row in study.rows if not points.is_lost(row)]
  if not counted(study):
    yield 'nothing', 'no lane has a figure that counts'
    return
  if study.split == 'test':
    yield (
      'chosen on',
      'the test set, as there is no validation split: the figures of the best flatter it',
    )
  else:
    yield 'chosen on', 'the validation set; the test set is evaluated once, at the end'
  for name, words in (
    ('nll_images', f'{study.example}s of the NLL'),
    ('nll_samples', 'importance samples'),
  ):
    found = {row[name] for row in rows if row.get(name) is not None}
    if found:
      yield (
        words,
        ', '.join(f'{count:,}' for count in sorted(found))
        + (f' of each {study.example}' if name == 'nll_samples' else ', the same for every lane'),
      )
  effective = [v for row in rows if (v := points.value(row, 'effective_samples')) is not None]
  if effective:
    yield (
      'effective samples',
      f'{min(effective):.1f} to {max(effective):.1f}, mean over the {study.example}s of a lane '
      f'(median of lanes {np.median(effective):.1f}); near 1 the NLL is an upper bound',
    )
    lonely = [r['name'] for r in rows if (points.value(r, 'low_effective_fraction') or 0) > 0.1]
    yield (
      'too few samples',
      f'{len(lonely)} of {len(rows)} lanes' + (f': {_listed(lonely)}' if lonely else ''),
    )
  errors = [v for row in rows if (v := points.value(row, 'nll_stderr')) is not None]
  if errors:
    yield (
      'standard error',
      f'{charts.shown(float(np.median(errors)))} nats, of the NLL of one lane over '
      f'{study.example}s; differences between lanes are paired by {study.example} and have a '
      'smaller one',
    )
  yield (
    'seeds',
    f'{_most_seeds(study)} a point'
    + ('' if _most_seeds(study) > 1 else ': what another seed would change is not known'),
  )
  kl = (study.config.get('bound') or {}).get('kl')
  if kl:
    yield 'rate', 'in closed form' if kl == 'analytic' else 'sampled: it carries the noise of z'
  lines = [line for of_lane in study.tables['udr'].values() for line in of_lane]
  scores = [line['udr'] for line in lines if line['udr'] is not None]
  if scores:
    yield (
      'same latents in every seed',
      f'UDR {min(scores):.2f} to {max(scores):.2f}; 1 where seeds found the same latents',
    )


def _most_seeds(study: Study) -> int:
  return max((len(cell.lanes) for cell in points.cells(study.rows, swept=study.swept)), default=0)


def _listed(names: Sequence[str]) -> str:
  return ', '.join(names[:5]) + (f' and {len(names) - 5} more' if len(names) > 5 else '')


def provenance(study: Study) -> Iterator[tuple[str, str]]:
  """Yields how the study was made: a heading and its words each."""
  found = study.provenance
  yield 'workdir', str(study.directory)
  if git := found.get('git'):
    yield 'commit', f'{git["commit"]}{", with changes" if git.get("dirty") else ""}'
  versions = found.get('versions', {})
  yield 'versions', ', '.join(f'{name} {versions[name]}' for name in _VERSIONS if name in versions)
  if device := found.get('device'):
    yield 'device', f'{device["count"]} × {device["kind"]}; {found.get("platform", "")}'
  if 'data' in found:
    sha256 = found.get('data_sha256')
    yield 'data', found['data'] + (f', sha256 {sha256}' if sha256 else '')
  seconds = [row['seconds'] for row in study.rows if row.get('seconds') is not None]
  if seconds:
    yield 'wall time', f'{max(seconds):,.0f} s, {found.get("width", "?")} lanes in one program'
  for change in found.get('changes', ()):
    yield f'from step {change["from_step"]}', f'{change["key"]}: {_change(change)}'


def _change(change: Mapping[str, Any]) -> str:
  return f'{change["was"]} → {change["is"]}'


def again(study: Study) -> Iterator[tuple[str, str]]:
  """Yields what a command does, and the command: to go on, and to train the study again."""
  directory = study.directory.resolve()
  for title, workdir in (('Go on', directory), ('Again', f'{directory}-again')):
    if title == 'Again' or any(row['status'] == 'running' for row in study.rows):
      config = f'--config={directory}/config.json'
      yield title, shlex.join(['vae-jax', 'train', config, f'--workdir={workdir}'])
