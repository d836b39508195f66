"""A run made by hand, with all that a page shows, and how a page is read back."""

import html.parser
import json
import pathlib

import numpy as np
from figure_data import fill_workdir, grid, latents_of, metrics_of, nll_curve_of

from vae_jax import records, verdict

BETAS = (0.5, 1.0, 4.0)
SIZES = (2, 8)


def rows_of(betas=BETAS, sizes=SIZES, seeds=(0, 1), learning_rates=(1e-3,)):
  """Returns lanes with an NLL of 90 + |log2 beta| + 8 / latent size + seed / 10."""
  rows = grid(betas, sizes, seeds, learning_rates)
  for row in rows:
    far = abs(np.log2(row['beta'] or 0.01)) + 8 / row['latent_size'] + row['seed'] / 10
    row |= {
      'test/nll': 90 + float(far),
      'test/nll_stderr': 0.5,
      'test/nll_samples': 100,
      'test/nll_images': 60,
      'test/effective_samples': 20.0,
      'test/low_effective_fraction': 0.0,
      'test/active_units': float(min(row['latent_size'], 4)),
    }
  return rows


def make_run(path: pathlib.Path, rows=None, study='digits') -> pathlib.Path:
  """Writes a run whose points are told apart by 60 images with an error of 0.1 each."""
  path.mkdir()
  rows = rows_of() if rows is None else rows
  metrics = [line for line in metrics_of(rows) if np.isfinite(line['test/elbo'])]
  fill_workdir(path, rows, metrics, images=False)
  known = records.read_results(path / 'results.csv')
  noise = np.random.default_rng(0).normal(0, 0.1, (len(rows), 60))
  values = np.array([[row.get('test/nll', np.nan)] for row in rows]) + noise
  judged = verdict.as_record(verdict.judge(known, values, 'test'))
  for name, value in (
    ('verdict', judged),
    ('config', {'study': study, 'train': {'steps': 100, 'batch_size': 32}}),
    ('provenance', {'data': 'digits', 'data_sha256': '0', 'versions': {'jax': '1'}, 'width': 2}),
  ):
    (path / f'{name}.json').write_text(json.dumps(value))
  records.write_table(path / 'latents.csv', records.LATENT_COLUMNS, latents_of(rows))
  records.write_table(path / 'nll_curve.csv', records.NLL_CURVE_COLUMNS, nll_curve_of(rows))
  same = dict(images=60, others=1, informative=2, udr_lasso=0.5)
  scores = [{'lane': r['lane'], 'name': r['name'], 'udr': r['lane'] / 100, **same} for r in rows]
  records.write_table(path / 'udr.csv', records.UDR_COLUMNS, scores)
  onsets = [{'latent': i, 'beta': beta} for i, beta in enumerate((3.0, 2.0, 0.7))]
  records.write_table(path / 'forecast.csv', records.FORECAST_COLUMNS, onsets)
  lanes, draw = len(rows), np.random.default_rng(1)
  pixels = lambda *shape: draw.integers(0, 256, (*shape, 8, 8, 1), np.uint8)  # noqa: E731
  np.savez(
    path / 'images.npz',
    originals=pixels(4),
    reconstructions=pixels(lanes, 4),
    samples=pixels(lanes, 4),
    traversals=pixels(lanes, 4, 4),
    units=pixels(lanes, 3, 4),
    interpolations=pixels(lanes, 2, 4),
    codes=draw.normal(size=(lanes, 30, 2)).astype(np.float32),
    labels=np.arange(30) % 10,
    labels_of=np.array('class'),
  )
  return path


class Parsed(html.parser.HTMLParser):
  """The elements of a page as a browser sees them: scripts, attributes, and the words."""

  def __init__(self, text: str):
    super().__init__()
    self.scripts, self.attributes, self.words = [], [], []
    self._kind = None
    self.feed(text)

  def handle_starttag(self, tag, attrs):
    self._kind = tag
    self.attributes += [(tag, name, value) for name, value in attrs]
    if tag == 'script':
      self.scripts.append([dict(attrs), ''])

  def handle_endtag(self, tag):
    self._kind = None

  def handle_data(self, data):
    if self._kind == 'script':
      self.scripts[-1][1] += data
    elif self._kind != 'style':
      self.words.append(data)

  @property
  def about(self):
    """What the scripts of the page read."""
    (text,) = [text for attributes, text in self.scripts if attributes.get('id') == 'about']
    return json.loads(text)
