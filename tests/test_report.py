"""report.html: its figures are those of the files, and nothing runs or leaves that should not."""

import base64
import hashlib
import io
import json
import re

import numpy as np
import pytest
from conftest import ROOT
from figure_data import metrics_of
from PIL import Image
from report_run import BETAS, SIZES, Parsed, make_run, rows_of

from vae_jax import errors, report
from vae_jax.report import (
  charts,
  colours,
  evidence,
  heat_maps,
  lanes,
  learning,
  pictures,
  tradeoff,
  units,
  words,
)
from vae_jax.runs import outcome, reporting

pytestmark = pytest.mark.run

VENDORED = ROOT / 'vae_jax' / 'report' / 'vendored'


@pytest.fixture(scope='module')
def directory(tmp_path_factory):
  """The run made by hand."""
  return make_run(tmp_path_factory.mktemp('report') / 'run')


@pytest.fixture(scope='module')
def study(directory):
  return report.read(directory)


def pages(tmp_path):
  """Returns pages of all kinds of runs, by name."""
  lost = rows_of()
  gone = {'status': 'diverged', 'test/nll': np.nan, 'test/elbo': np.nan, 'reason': 'NaN'}
  lost[0] |= gone
  running = rows_of()
  for row in running:
    row['status'] = 'running'
    row.pop('test/nll')
  kinds = {
    'grid': rows_of(),
    'one': rows_of((1.0,), (1,), (0,)),
    'free': rows_of((0.0, 1.0)),
    'rates': rows_of((1.0,), learning_rates=(1e-3, 1e-2)),
    'both': rows_of(learning_rates=(1e-3, 1e-2)),
    'lost': lost,
    'all_lost': [{**row, **gone} for row in rows_of()],
    'running': running,
    'many': rows_of(seeds=range(34)),
  }
  studies = {name: report.read(make_run(tmp_path / name, rows)) for name, rows in kinds.items()}
  found = {name: report.whole([study]) for name, study in studies.items()}
  two = [report.read(tmp_path / 'grid', 'A'), report.read(tmp_path / 'both', 'B')]
  return found | {'two': report.whole(two, ['A is better.'])}


def test_what_is_vendored_is_what_was_published():
  for line in (VENDORED / 'SHA256SUMS').read_text().splitlines():
    sha256, name = line.split()
    assert hashlib.sha256((VENDORED / name).read_bytes()).hexdigest() == sha256
    assert f'`{name}`' in (VENDORED / 'README.md').read_text()
    assert 'Redistribution' in (VENDORED / name.replace('.min.js', '.LICENSE')).read_text()


def test_every_chart_of_every_kind_of_run_compiles(tmp_path):
  """Oracle: the compiler of Vega-Lite itself."""
  compiler = pytest.importorskip('vl_convert', reason='it is in the extra `test`')
  compiled = set()
  for name, text in pages(tmp_path).items():
    about = Parsed(text).about
    for place, spec in about['specs'].items():
      key = re.sub(r'"(values|domain)": \[.*?\]', '', json.dumps(spec))
      if key not in compiled:  # what differs in its values alone compiles alike
        compiled.add(key)
        assert compiler.vegalite_to_vega(spec, vl_version='6.4')['marks'], f'{name}, {place}'
    is_many = len(about['lanes']) > learning.MOST_LINES
    if name != 'all_lost':
      assert ('layer' in about['specs']['learning']) == is_many == (name == 'many')


def test_the_map_has_the_mean_of_each_point_and_outlines_what_the_verdict_says(study):
  spec = heat_maps.heat_map(study, 'nll')
  cells = {(row['x'], row['y']): row for row in spec['data']['values']}
  assert len(cells) == len(BETAS) * len(SIZES)
  for (beta, size), row in cells.items():
    expected = 90 + abs(np.log2(float(beta))) + 8 / int(size) + 0.05
    assert float(row['text']) == pytest.approx(expected, abs=0.005)
  outlined = {kind: [] for kind in ('best', 'tie')}
  for key, row in cells.items():
    if 'outline' in row:
      outlined[row['outline']].append(key)
  assert outlined['best'] == [('1', '8')]
  ties = study.verdict['set'][1:]
  assert {f'beta {x}, latent size {y}' for x, y in outlined['tie']} == {
    name.replace('.0,', ',') for name in ties
  }


@pytest.mark.parametrize(('columns', 'decimals'), [(3, 2), (16, 2), (20, 1), (28, None)])
def test_the_numbers_of_a_map_do_not_touch(tmp_path, columns, decimals):
  """The columns have 540 pixels together, and a digit of the small font takes six."""
  rows = rows_of(np.geomspace(0.1, 10, columns).round(4).tolist(), (2,), (0,))
  spec = heat_maps.heat_map(report.read(make_run(tmp_path / 'run', rows)), 'nll')
  fonts = [layer['mark']['fontSize'] for layer in spec['layer'] if layer['mark']['type'] == 'text']
  assert len(fonts) == (decimals is not None)
  if fonts:
    found = {len(row['text'].partition('.')[2]) for row in spec['data']['values']}
    assert found == {decimals}
    longest = max(len(row['text']) for row in spec['data']['values'])
    assert longest * 6 * fonts[0] / 11 <= 540 / columns


def test_scores_of_the_codes_stand_beside_the_figures_and_are_no_hyperparameters(study):
  assert study.swept.fields == ('beta',)
  spec = heat_maps.heat_map(study, 'udr')
  means = {(row['x'], row['y']): float(row['text']) for row in spec['data']['values']}
  assert means[('0.5', '2')] == pytest.approx((0 + 1) / 200, abs=0.005)
  assert means[('4', '8')] == pytest.approx((10 + 11) / 200, abs=0.0051)


def test_the_nll_over_its_samples_is_that_of_the_points_that_may_be_best(study):
  spec = evidence.nll_curve(study)
  rows = spec['data']['values']
  assert len({row['lane'] for row in rows}) == len(study.verdict['set'])
  for row in rows:  # `figure_data.nll_curve_of`: L_k = ELBO + 2 log10 k
    (lane,) = [r for r in study.rows if r['name'] == row['lane']]
    assert row['nll'] == pytest.approx(-lane['test/elbo'] - 2 * np.log10(row['samples']))


def test_ink_can_be_read_on_every_shade():
  """The contrast of WCAG 2.2, from its own formula: black or white has 4.5 on any colour."""

  def luminance(colour):
    part = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4) @ (
      0.2126,
      0.7152,
      0.0722,
    )

  for fill, ink in colours.shades(np.linspace(0, 1, 101), 0, 1):
    light, dark = sorted((luminance(fill), luminance(ink)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def layer_with(spec, *names):
  (found,) = [s for s in spec['layer'] if {*names} <= s['data']['values'][0].keys()]
  return found['data']['values']


def test_points_are_means_and_their_ticks_have_the_slope_of_minus_beta(study):
  spec = tradeoff.rate_distortion([study])
  (marks,) = [s['data']['values'] for s in spec['layer'] if s['mark']['type'] == 'point']
  assert len(marks) == len(BETAS) * len(SIZES)
  for mark in marks:  # `figure_data.lane`: R = 100 + z - 10 beta + seed, D = 50 + 2 beta + seed
    assert mark['R'] == pytest.approx(100 + mark['size'] - 10 * mark['beta'] + 0.5)
    assert mark['D'] == pytest.approx(50 + 2 * mark['beta'] + 0.5)
    assert (mark['Rmin'], mark['Rmax']) == (mark['R'] - 0.5, mark['R'] + 0.5)
  ticks = layer_with(spec, 'R2', 'D2')
  slopes = [(t['D2'] - t['D']) / (t['R2'] - t['R']) for t in ticks]
  np.testing.assert_allclose(slopes, [-mark['beta'] for mark in marks])


def test_a_lane_whose_codes_are_no_numbers_has_none(study):
  codes = study.images['codes'].copy()
  codes[3] = -np.inf
  codes[5, 7, 1] = np.nan
  found = units.codes(study._replace(images={**study.images, 'codes': codes}))
  assert [len(lane) for lane in found] == [0 if i in (3, 5) else 30 for i in range(12)]


def test_the_forecast_falls_where_its_latents_collapse(study):
  spec = units.active_units(study)
  forecast = [row for row in spec['layer'][1]['data']['values'] if row['latents'] == '8']
  assert [(row['beta'], row['units']) for row in forecast] == [
    (0.5, 3),
    (0.7, 2),
    (2, 1),
    (3, 0),
    (4, 0),
  ]


def test_what_a_person_named_is_text(tmp_path):
  evil = '</script><script>alert(1)</script>'
  rows = rows_of((1.0,), (2,), (0, 1))
  rows[0] |= {'status': 'diverged', 'reason': evil, 'test/nll': np.nan}
  page = Parsed(report.whole([report.read(make_run(tmp_path / 'run', rows, study=evil))]))
  assert len(page.scripts) == 5  # three libraries, our own, and the data
  assert evil in ''.join(page.words)
  assert evil in page.about['lanes'][0]['warnings'][0]


def test_the_policy_lets_these_scripts_run_and_nothing_leave(study):
  page = Parsed(report.whole([study]))
  policy = next(value for _, name, value in page.attributes if name == 'content')
  sums = {
    f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    for attributes, text in page.scripts
    if not attributes
  }
  directives = dict(part.strip().split(' ', 1) for part in policy.split(';'))
  assert set(directives['script-src'].split()) == sums
  assert directives['default-src'] == "'none'"
  assert directives['img-src'] == 'data:'
  assert not [value for _, name, value in page.attributes if name in ('href', 'srcset', 'action')]
  assert all(value.startswith('data:') for _, name, value in page.attributes if name == 'src')


def test_a_study_that_is_not_done_says_how_far_it_is(tmp_path):
  rows = rows_of()
  for row in rows[4:]:
    row['status'] = 'running'
  rows[0] |= {'status': 'diverged', 'test/elbo': -1.0}  # the highest, and it does not count
  for row in rows:
    row.pop('test/nll')
  path = make_run(tmp_path / 'run', rows)
  (path / 'verdict.json').unlink()
  words = ''.join(Parsed(report.whole([report.read(path)])).words)
  assert '3 of 12 lanes done: 8 running, 1 diverged; at step 100 of 100.' in words
  assert f'Go on: vae-jax train --config={path}/config.json --workdir={path}' in words
  assert 'Best ELBO so far on the test set: beta4_z2_s0' in words


def test_pictures_of_many_lanes_stay_within_their_bytes(study, monkeypatch):
  def size():
    return sum(len(uri) for lane in pictures.of_lanes(study) for uri in lane.values())

  whole = size()
  monkeypatch.setattr(pictures, '_BUDGET', 0.7 * whole)
  assert size() <= 0.7 * whole * 1.15  # the frames of the PNGs stay


def test_vectors_are_strips_each_above_its_reconstruction(study):
  lanes, size = len(study.rows), 12
  draw = np.random.default_rng(0)
  shapes = {'originals': (4,), 'reconstructions': (lanes, 4), 'units': (lanes, 3, 4)}
  strips = {
    name: draw.integers(0, 255, (*shape, 1, size, 1), np.uint8) for name, shape in shapes.items()
  }
  study = study._replace(images=strips)
  found = pictures.of_lanes(study)[0]
  enlarged = pictures.enlargement(study)
  shown = pixels_of(found['reconstructions'])
  high = len(shown) // 4
  assert high * enlarged >= 20 and shown.shape[1] == size
  pairs = np.stack([strips['originals'], strips['reconstructions'][0]], axis=1)[..., 0, :, 0]
  for i, pair in enumerate(pairs):
    np.testing.assert_array_equal(shown[i * (high + 1) : i * (high + 1) + 2], pair)
  assert len(pixels_of(found['units'])) == 4  # one of two latents is active, at four values


def pixels_of(uri):
  return np.array(Image.open(io.BytesIO(base64.b64decode(uri.partition(',')[2]))))


def test_curves_are_those_of_the_journal(study):
  found = learning.curves(study)
  assert found.kind == 'test'
  rows = metrics_of(rows_of())
  for lane, (steps, values) in found.of_lanes.items():
    expected = {r['step']: r['test/elbo'] for r in rows if r['lane'] == lane}
    assert dict(zip(steps, values, strict=True)) == pytest.approx(expected, rel=1e-5)


def test_the_test_set_has_its_say_where_another_split_chose(study):
  chosen = study._replace(split='validation')
  said = words.on_test(chosen, [4, 5])  # beta 1, latent size 2: 94.0 and 94.1, with 0.5 each
  assert said == (
    'On the test set, which chose nothing: 94.05 ± 0.50 nats (± of the images alone).'
  )
  of_rows = chosen._replace(example='row')
  assert words.on_test(of_rows, [4, 5]) == said.replace('images', 'rows')
  assert 'rows of the NLL' in dict(words.trust(of_rows))
  assert 'image' not in str(list(words.trust(of_rows)))
  assert [words.on_test(study, [4, 5]), words.on_test(chosen, [])] == ['', '']
  assert 'test NLL' in [heading for _, heading, _ in lanes.columns([chosen])]
  assert 'test NLL' not in [heading for _, heading, _ in lanes.columns([study])]


def test_a_lane_that_still_learns_says_so(tmp_path):
  path = make_run(tmp_path / 'run')
  lines = [
    {'lane': lane, 'step': step, 'test/objective': -100 + slope * step}
    for lane, slope in ((0, 0.0), (1, 0.02), (2, 0.005))
    for step in range(10, 101, 10)
  ]
  (path / 'metrics.jsonl').write_text(''.join(json.dumps(line) + '\n' for line in lines))
  study = report.read(path)
  said = [lanes.warnings(study, row) for row in study.rows]
  assert said[1] == ['learning curve still rising, by 20 nats in 1,000 steps']
  assert not any(said[:1] + said[2:])  # 10 steps more would bring 0.05 nats


def test_latents_are_named_in_the_order_of_the_pictures(study):
  for row in study.rows:  # `figure_data.latents_of`: the mean varies most in the latent of rank 0
    order = np.argsort(np.random.default_rng(row['lane']).permutation(row['latent_size'])).tolist()
    about = lanes.of_page(study, row)
    named = [f'latent {i}' for i in order[: min(row['latent_size'] // 2, 3)]]  # 3 have a walk
    assert about['rows'] == {'units': named}
    assert about['axes'] == [f'latent {latent}' for latent in order[:2]]


def test_two_studies_keep_their_lanes_and_the_comparison_stands_on_top(tmp_path, directory):
  other = make_run(tmp_path / 'other')
  out = tmp_path / 'both.html'
  assert reporting.report([directory, other], out) == out
  page = Parsed(out.read_text())
  names = [lane['id'] for lane in page.about['lanes']]
  assert len(set(names)) == 24 and {name[:2] for name in names} == {'A ', 'B '}
  words = ''.join(page.words)
  assert words.index(f'A is {directory}, B is {other}') < words.index('Best by NLL')


def test_studies_of_one_data_set_share_their_scales_and_others_have_their_own(tmp_path):
  rows = rows_of()
  for row in rows:
    row['test/nll'] += 2.0
  paths = [make_run(tmp_path / 'run'), make_run(tmp_path / 'worse', rows)]
  one, worse = (report.read(path, key) for path, key in zip(paths, 'AB', strict=True))
  other = worse._replace(provenance={**worse.provenance, 'data_sha256': '1'})
  coarse = worse._replace(config={**worse.config, 'data': {'binarize': 'threshold'}})
  held_out = worse._replace(split='validation')

  def fills(page, key):
    values = page['specs'][f'map-{key}']['data']['values']
    return {(row['x'], row['y']): row['fill'] for row in values}

  alike = Parsed(report.whole([one, worse])).about
  assert alike['sameNats'] and 'tradeoff-' in alike['specs']
  # 8 latents at beta 4 have 93.05 there, and at beta 1 as much here.
  assert fills(alike, 'A')[('4', '8')] == fills(alike, 'B')[('1', '8')]
  alone = Parsed(report.whole([one])).about
  for apart in (other, coarse, held_out):
    text = report.whole([one, apart])
    page = Parsed(text).about
    assert f'B: {apart.split.capitalize()} ELBO' in text
    assert not page['sameNats'] and {'tradeoff-A', 'tradeoff-B'} <= page['specs'].keys()
    assert fills(page, 'A') == fills(alone, 'A')
    assert fills(page, 'B') == fills(page, 'A')  # two nats worse everywhere, of its own best


@pytest.mark.parametrize(
  ('workdirs', 'out', 'words'),
  [
    (['run', 'run'], None, 'run is given twice; give it once'),
    (['none'], None, 'none holds no run (no config.json)'),
    (['run'], 'page.txt', 'is no .html; give --out='),
    (['run'], 'none/page.html', 'make it first'),
  ],
)
def test_what_cannot_be_written_is_refused(directory, monkeypatch, workdirs, out, words):
  monkeypatch.chdir(directory.parent)
  with pytest.raises(errors.InputError, match=words.replace('(', r'\(').replace(')', r'\)')):
    reporting.report(workdirs, out)


def test_a_page_that_fails_is_a_warning(directory, monkeypatch, caplog):
  def fail(*arguments):
    raise OSError('disk full')

  monkeypatch.setattr(report, 'write', fail)
  outcome.write_page(directory)
  assert f'no report.html: disk full; vae-jax report --workdir={directory} makes it' in caplog.text


def test_numbers_have_a_true_minus_sign():
  assert charts.shown(-1.005) == '−1.00'
  assert charts.shown(-12345.6) == '−12346'
