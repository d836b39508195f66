"""The sections of the page below the answer."""

from collections.abc import Iterable, Mapping, Sequence

from vae_jax.report import (
  answer,
  charts,
  evidence,
  heat_maps,
  lanes,
  learning,
  pictures,
  reading,
  units,
  words,
)
from vae_jax.report.markup import Markup, tag
from vae_jax.report.reading import Study

_ATLAS = ' A collapsed lane draws one over and over, a low β sharp ones that are no data.'

_MOST_OF_THREE = 6  # columns of a map of which there are three in a row
_MAPS = (
  ('elbo', '{split} ELBO', 'nats, higher is better'),
  ('active_units', 'Active units', 'latents whose posterior mean varies over the data'),
  ('mig', 'MIG', 'one latent for each factor, higher is better'),
  ('dci_disentanglement', 'DCI disentanglement', 'higher is better'),
  ('udr', 'UDR', 'whether seeds found the same latents, higher is better'),
)


def _section(title: str, *children, **attributes) -> Markup:
  return tag('section', tag('h2', title), *children, class_='wide', **attributes)


def _of(study: Study, title: str) -> str:
  return f'{study.key}: {title}' if study.key else title


def atlas(study: Study, made: Sequence[Mapping[str, str]]) -> Markup | None:
  """Returns samples of the prior, laid out as the map; None where there are none.

  Args:
    study: of the page.
    made: pictures of its lanes, see `pictures.of_lanes`.
  """
  cells, settings = pictures.atlas(study), charts.settings(study)
  if not any('samples' in made[i] for i in cells.values()):
    return None
  best = set(answer.best_lanes(study))
  names = [f'β = {s}' if charts.setting_title(study) == 'β' else s for s in settings]
  corner = f'latent size, {charts.setting_title(study)}'
  head = tag('tr', tag('th', corner), [tag('th', name, scope='col') for name in names])
  body = []
  for size in reversed(charts.sizes(study)):
    line = [tag('th', size, scope='row')]
    for setting in settings:
      i = cells.get((str(size), setting))
      is_best = i is not None and study.rows[i]['lane'] in best
      line.append(tag('td', '' if i is None else _sample(study, i, made[i], is_best)))
    body.append(tag('tr', line))
  which = 'one seed of each point' if len(cells) < len(study.rows) else 'every lane'
  table = tag(
    'table', tag('thead', head), tag('tbody', body), class_='atlas',
    style=f'--columns:{len(settings)}',
  )  # fmt: skip
  words = pictures.kinds(study)['samples']
  said = f'{words[0].upper()}{words[1:]}; {which}, in the order of the map above.'
  said += '' if pictures.shows_shares(study) else _ATLAS
  return _section(
    _of(study, 'What it looks like'),
    tag('p', f'{said} Press one to see its lane.', class_='subtitle'),
    tag('div', table, class_='scroll'),
  )


def _sample(study: Study, i: int, made: Mapping[str, str], is_best: bool) -> Markup:
  name = study.lane_id(study.rows[i])
  look = 'fine' if pictures.enlargement(study) < 1 else None
  image = tag('img', src=made['samples'], alt=f'samples of the prior of {name}', class_=look)
  look = 'best' if is_best else None
  return tag('button', image, type_='button', title=name, data_show=name, class_=look)


def one_lane(studies: Sequence[Study]) -> Markup:
  """Returns the place of one lane, which the scripts fill."""
  names = [study.lane_id(row) for study in studies for row in study.rows]
  options = [tag('option', name, value=name) for name in names]
  drawn = [
    tag(
      'figure',
      tag('figcaption', tag('span', under)),
      tag('div', id_=name, class_='chart', role='img', aria_label=under),
    )
    for name, under in (
      ('latents', 'rate of each latent, in nats; grey: not active'),
      ('codes', 'test examples along the latents used most'),
    )
  ]
  return _section(
    tag('label', 'One lane: ', tag('select', options, id_='lane')),
    tag('p', id_='facts', aria_live='polite'),
    tag('ul', id_='warnings', class_='warning'),
    tag('div', tag('div', id_='pictures', class_='pictures'), tag('div', drawn), class_='lane'),
    id_='one',
  )


def table(studies: Sequence[Study], lanes_in_all: int) -> Markup:
  """Returns the table of lanes, and what sorts and filters it.

  Args:
    studies: with the lanes that it shows.
    lanes_in_all: how many the studies have.
  """
  shown = lanes.columns(studies)
  head = [
    tag('th', tag('button', heading, type_='button'), data_kind=kind, scope='col', aria_sort='none')
    for _, heading, kind in shown
  ]
  body = [lanes.table_row(study, row, shown) for study in studies for row in study.rows]
  counts = lanes.statuses(studies)
  options = [tag('option', f'every status ({sum(counts.values())})', value='')]
  options += [tag('option', f'{status} ({n})', value=status) for status, n in counts.items()]
  words_of = tag('input', id_='filter', type_='search', placeholder='z16 s0')
  tools = tag(
    'p',
    tag('label', 'filter ', words_of),
    tag('label', 'status ', tag('select', options, id_='status')),
    tag('span', 'a press on a heading sorts', class_='subtitle'),
    tag('span', id_='matching', aria_live='polite'),
    class_='tools',
  )
  splits = ' or '.join(dict.fromkeys(study.split for study in studies))
  has_figures = any(key == 'elbo' for key, *_ in shown)
  said = f'NLL, ELBO, R and D: {splits} set, nats per example.' if has_figures else ''
  whole = tag('table', tag('thead', tag('tr', head)), tag('tbody', body), id_='lanes')
  place = dict(tabindex='0', role='region', aria_label='table of lanes')
  title = 'All lanes' if len(body) == lanes_in_all else f'{len(body):,} of {lanes_in_all:,} lanes'
  return _section(
    title,
    tag('p', said, class_='subtitle'),
    tools,
    tag('div', whole, class_='scroll tall', **place),
  )


def latents(studies: Sequence[Study], specs: answer.Specs) -> Markup | None:
  """Returns the ELBO, the active units and, where known, scores of the codes, over the settings.

  Of several studies each kind of chart stands beside that of the others.
  """
  found = [[_map(study, studies, specs, *kind) for study in studies] for kind in _MAPS]
  found.insert(2, [_over_beta(study, specs) for study in studies])
  known = [each for each in found if any(each)]
  if not known:
    return None
  drawn = [chart or tag('div') for each in known for chart in each]
  widest = max(len(charts.settings(study)) for study in studies)
  # No row of one, and no map whose numbers would touch.
  three = len(studies) == 3 or (len(studies) == 1 and len(drawn) != 4)
  look = 'charts three' if three and widest <= _MOST_OF_THREE else 'charts'
  return _section('How the latents are used', tag('div', drawn, class_=look))


def _map(
  study: Study, studies: Sequence[Study], specs: answer.Specs, column: str, title: str, under: str
) -> Markup | None:
  alike = studies if reading.same_nats(studies) else [study]
  spec = heat_maps.heat_map(study, column, alike)
  columns = len(charts.settings(study))
  title = _of(study, title.format(split=study.split.capitalize()))
  return answer.chart(specs, f'{column}-{study.key}', spec, title, under, columns)


def _over_beta(study: Study, specs: answer.Specs) -> Markup | None:
  under = 'dashed: forecast from the training data' if study.forecast else ''
  title = _of(study, 'Active units over β')
  return answer.chart(specs, f'units-{study.key}', units.active_units(study), title, under)


def learning_curves(
  studies: Sequence[Study], curves: Mapping[str, learning.Curves], specs: answer.Specs
) -> Markup | None:
  """Returns the place of the learning curves, which the scripts fill; None where there are none."""
  known = [each for each in curves.values() if each.of_lanes]
  if not known:
    return None
  kind = known[0].kind
  many = sum(len(each.of_lanes) for each in known) > learning.MOST_LINES
  low = learning.floor(known) if reading.same_nats(studies) else None
  spec = learning.specs(kind, low)['bands' if many else 'lines']
  specs['learning'] = spec
  groups = {'setting': charts.setting_title(studies[0])} | {x: x for x in ('latent size', 'seed')}
  by = [tag('option', shown, value=value) for value, shown in groups.items()]
  under = 'median and range of each group' if many else 'one line for each lane'
  look = dict(role='img', aria_label=spec['description'], style=f'height:{spec["height"] + 50}px')
  return _section(
    'Learning',
    tag('p', f'{kind.capitalize()} ELBO over the steps, {under}.', class_='subtitle'),
    tag('p', tag('label', 'colour and group by ', tag('select', by, id_='group')), class_='tools'),
    tag('fieldset', tag('legend', 'shown'), tag('div', id_='groups'), class_='groups'),
    tag('div', class_='chart', id_='learning', **look),
    tag('details', tag('summary', 'single lanes'), tag('div', id_='singles', class_='singles')),
  )


def trust(studies: Sequence[Study], specs: answer.Specs) -> Markup:
  """Returns what the numbers rest on."""
  blocks = [
    (
      _heading(study),
      tag(
        'div',
        _listing(words.trust(study)),
        answer.chart(specs, f'samples-{study.key}', evidence.nll_curve(study),
                     'NLL by importance samples', 'where a line still falls, more lower it'),
        class_='lane',
      ),
    )
    for study in studies
  ]  # fmt: skip
  return _section('How far to trust the numbers', blocks)


def provenance(studies: Sequence[Study]) -> Markup:
  """Returns how the studies were made, and the commands that make them again."""
  blocks = [
    (
      _heading(study),
      _listing(words.provenance(study)),
      [tag('p', f'{what}: ', tag('code', command)) for what, command in words.again(study)],
    )
    for study in studies
  ]
  return _section('How it was made', blocks)


def _heading(study: Study) -> Markup | None:
  return tag('h3', _of(study, study.title)) if study.key else None


def _listing(pairs: Iterable[tuple[str, str]]) -> Markup:
  return tag('dl', [(tag('dt', name), tag('dd', text)) for name, text in pairs])
