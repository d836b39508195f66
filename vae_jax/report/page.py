"""The page: its parts, and how they become one file that lets nothing out."""

import base64
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from vae_jax.report import (
  answer,
  colours,
  lanes,
  learning,
  pictures,
  reading,
  sections,
  units,
)
from vae_jax.report.markup import Markup, data, join, tag
from vae_jax.report.reading import Study

_HERE = pathlib.Path(__file__).parent
_LIBRARIES = ('vega.min.js', 'vega-lite.min.js', 'vega-embed.min.js')


def whole(studies: Sequence[Study], said: Sequence[str] = ()) -> str:
  """Returns the page of one study or several, as HTML.

  Args:
    studies: in the order in which they are shown.
    said: sentences about all of them, that stand on top.
  """
  drawn = [study._replace(rows=study.drawn) for study in studies]
  shown = [study._replace(rows=study.shown) for study in studies]
  made = {study.key: pictures.of_lanes(study, 1 / len(studies)) for study in shown}
  curves = {study.key: learning.curves(study) for study in shown}
  codes = {study.key: units.codes(study) for study in shown}
  specs: answer.Specs = {'latents': units.of_lane(), **units.scatter()}
  parts = [
    answer.top(studies, said, specs),
    *(sections.atlas(study, made[study.key]) for study in shown),
    sections.one_lane(shown),
    sections.table(shown, sum(len(study.rows) for study in studies)),
    sections.latents(drawn, specs),
    sections.learning_curves(shown, curves, specs),
    sections.trust(studies, specs),
    sections.provenance(studies),
  ]
  about = {
    'lanes': [
      lanes.of_page(study, row)
      | {
        'pictures': made[study.key][i],
        'curve': curves[study.key].of_lanes.get(row['lane']),
        'codes': codes[study.key][i] if codes[study.key] else [],
      }
      for study in shown
      for i, row in enumerate(study.rows)
    ],
    'kinds': {study.key: pictures.kinds(study) for study in studies},
    'labels': {study.key: units.labels(study) for study in studies},
    'best': answer.best_lane(studies[0]),
    'sameNats': reading.same_nats(studies),
    'specs': specs,
  }
  return _document(', '.join(study.title for study in studies), join(parts), about)


def _document(title: str, body: Markup, about: Mapping[str, Any]) -> str:
  """Returns the file; its policy names the scripts by their sha256 and lets nothing else run."""
  scripts = [Markup((_HERE / 'vendored' / name).read_text('utf-8')) for name in _LIBRARIES]
  scripts.append(Markup((_HERE / 'page.js').read_text('utf-8')))
  allowed = ' '.join(f"'sha256-{_digest(script)}'" for script in scripts)
  policy = (
    f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
  )
  style = Markup(colours.style() + (_HERE / 'page.css').read_text('utf-8'))
  head = tag(
    'head',
    tag('meta', charset='utf-8'),
    tag('meta', http_equiv='Content-Security-Policy', content=policy),
    tag('meta', name='viewport', content='width=device-width, initial-scale=1'),
    tag('title', title),
    tag('style', style),
  )
  theme = tag('button', 'dark page', id_='theme', type_='button', aria_pressed='false')
  ends = [data('about', about), *(tag('script', script) for script in scripts)]
  page = tag('html', head, tag('body', theme, tag('main', body), ends), lang='en')
  return f'<!DOCTYPE html>\n{page}\n'


def _digest(text: str) -> str:
  return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
