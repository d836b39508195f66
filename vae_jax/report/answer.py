"""The top of the page: what a reader came for, and the place of a chart."""

from collections.abc import Sequence

from vae_jax.report import charts, choosing, heat_maps, reading, tradeoff, words
from vae_jax.report.markup import Markup, tag
from vae_jax.report.reading import Study

Specs = dict[str, charts.Spec]  # of the page, by the name of their place

_AXIS = 50  # pixels below a chart
_COLUMN, _MARGIN = 45, 60  # pixels that a column of a map takes at least, and what is beside them
_WIDE = 540  # pixels, that all columns take at least where they are many
_NARROW = 34  # pixels of a column, even then
_UNDER = {
  'nll': 'nats, lower is better · outlined: best · dashed: not told from it',
  'elbo': 'nats, higher is better; the NLL is not known',
}


def top(studies: Sequence[Study], said: Sequence[str], specs: Specs) -> Markup:
  """Returns the answer in sentences, the map of the NLL, and rate against distortion.

  Args:
    studies: of the page.
    said: sentences about all of them.
    specs: of the page; those of these charts are added.
  """
  # Nats of different data are no plane together, and no scale of colours.
  drawn = [study._replace(rows=study.drawn) for study in studies]
  planes = [drawn] if reading.same_nats(studies) else [[study] for study in drawn]
  maps = [_map(study, alike, specs) for alike in planes for study in alike]
  maps += [_plane(alike, len(planes) > 1, specs) for alike in planes]
  between = [tag('p', sentence, class_='between') for sentence in said]
  blocks = [_verdict(study) for study in studies]
  maps = tag('div', *maps, class_='charts')
  # Of several studies what tells them apart comes before what each says by itself.
  below = [maps, blocks] if len(studies) > 1 else [blocks, maps]
  return tag('header', tag('h1', _title(studies)), between, below)


def chart(
  specs: Specs, name: str, spec: charts.Spec | None, title: str, under: str = '', columns: int = 0
) -> Markup | None:
  """Returns the place of a chart, and adds its specification to those of the page.

  Args:
    specs: of the page.
    name: of the place.
    spec: None where there is nothing to draw.
    title, under: above it, and beside or below that.
    columns: of a map, which scrolls where they would be too narrow.
  """
  if spec is None:
    return None
  specs[name] = spec
  column = max(_NARROW, min(_COLUMN, _WIDE // max(1, columns)))
  wide = column * columns + _MARGIN if columns else 0
  place = tag(
    'div', class_='chart', data_chart=name, role='img', aria_label=spec['description'],
    style=f'min-height:{round(spec["height"]) + _AXIS}px;min-width:{wide}px',
  )  # fmt: skip
  caption = tag('figcaption', tag('b', title), tag('span', under))
  return tag('figure', caption, tag('div', place, class_='scroll'))


def best_lanes(study: Study) -> list[int]:
  """Returns the lanes of the best point; without a verdict that of the highest ELBO."""
  return [row['lane'] for row in choosing.best(study.rows, study.verdict)]


def best_lane(study: Study) -> str:
  """Returns the lane that is shown first: of the best point that of the lowest NLL."""
  return study.lane_id(choosing.lowest(choosing.best(study.rows, study.verdict)))


def _plane(alike: Sequence[Study], is_one_of_several: bool, specs: Specs) -> Markup | None:
  key = alike[0].key if is_one_of_several else ''
  title = f'{key} Rate against distortion'.strip()
  spec = tradeoff.rate_distortion(alike)
  return chart(specs, f'tradeoff-{key}', spec, title, words.under_tradeoff(alike))


def _map(study: Study, alike: Sequence[Study], specs: Specs) -> Markup | None:
  spec, column = heat_maps.heat_map(study, 'nll', alike), 'nll'
  if spec is None:
    spec, column = heat_maps.heat_map(study, 'elbo', alike), 'elbo'
  title = f'{study.key} {study.split.capitalize()} {charts.NAMES[column]}'.strip()
  columns = len(charts.settings(study))
  return chart(specs, f'map-{study.key}', spec, title, _UNDER[column], columns)


def _title(studies: Sequence[Study]) -> str:
  names = ', '.join(dict.fromkeys(study.title for study in studies))
  if all(len(charts.settings(study)) * len(charts.sizes(study)) == 1 for study in studies):
    return names
  return f'{names}: which {charts.setting_title(studies[0])}, which latent size?'


def _verdict(study: Study) -> Markup:
  first, *rest = words.answer(study)
  result, opens, explained = first.partition(' (')  # what ± is
  on_test, left_out = words.on_test(study, best_lanes(study)), words.left_out(study)
  said = [on_test, *rest, words.standing(study), left_out]
  more = [tag('li', sentence) for sentence in said if sentence]
  return tag(
    'section',
    tag('h2', f'{study.key}: {study.directory}') if study.key else None,
    tag('p', words.subtitle(study), class_='subtitle'),
    tag('p', result, tag('span', f'{opens}{explained}'), class_='answer'),
    tag('ul', more, class_='findings'),
    class_='verdict',
  )
