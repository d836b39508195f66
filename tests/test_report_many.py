"""report.html of very many lanes: some of them one by one, means over all of them in the charts."""

import numpy as np
import pytest
from report_run import Parsed, make_run, rows_of

from vae_jax import report
from vae_jax.report import choosing, heat_maps, learning, words

pytestmark = pytest.mark.run

MOST = 20


@pytest.fixture(scope='module')
def of_seeds(tmp_path_factory):
  """A run of 6 points of 32 seeds each, the best of which is the last seed."""
  rows = rows_of(seeds=range(32))
  for row in rows:
    row['test/nll'] -= row['seed'] / 5
  return make_run(tmp_path_factory.mktemp('seeds') / 'run', rows)


def test_each_point_shows_its_first_seeds_and_the_page_shows_the_best(of_seeds):
  every, some = report.read(of_seeds), report.read(of_seeds, most_lanes=MOST)
  whole, page = (Parsed(report.whole([study])) for study in (every, some))
  assert every.shown == every.drawn == every.rows and some.drawn == some.rows == every.rows
  of_all = {lane['id']: lane for lane in whole.about['lanes']}
  found = {lane['id']: lane for lane in page.about['lanes']}
  best = page.about['best']
  assert best == whole.about['best'] == 'beta1_z8_s31_lr0.001'
  seeds = sorted(int(name.split('_s')[1].split('_')[0]) for name in found if name != best)
  assert seeds == [0] * 6 + [1] * 6 + [2] * 6 + [3]
  in_table = [value for tag, name, value in page.attributes if (tag, name) == ('tr', 'data-lane')]
  assert sorted(in_table) == sorted(found)
  curves = learning.curves(some._replace(rows=some.shown)).of_lanes
  assert sorted(curves) == [row['lane'] for row in some.shown]
  for name, lane in found.items():
    for key in ('facts', 'warnings', 'curve', 'latents', 'groups', 'pictures'):
      assert lane[key] == of_all[name][key], (name, key)


def test_charts_have_all_seeds_of_a_point(of_seeds):
  every, some = report.read(of_seeds), report.read(of_seeds, most_lanes=MOST)
  specs = [Parsed(report.whole([study])).about['specs'] for study in (every, some)]
  for name in ('map-', 'tradeoff-', 'elbo-', 'units-', 'udr-', 'samples-'):
    assert specs[0][name] == specs[1][name]
  (cell, *_) = heat_maps.heat_map(some, 'elbo')['data']['values']
  own = sorted(row['elbo'] for row in some.rows if row['name'].startswith('beta0.5_z2_'))
  assert cell['seeds'] == '32 seeds'
  middle, low, high = (f'{v:.2f}'.replace('-', '−') for v in (np.median(own), own[0], own[-1]))
  assert cell['of_seeds'] == f'{middle} in the middle, {low} to {high}'


def test_the_page_says_what_it_leaves_out(of_seeds):
  some = report.read(of_seeds, most_lanes=MOST)
  said = words.left_out(some)
  assert said.startswith('Charts have all points') and '20 of 192 lanes' in said
  text = ' '.join(Parsed(report.whole([some])).words)
  assert said in text and '20 of 192 lanes' in text and 'All lanes' not in text
  assert words.left_out(report.read(of_seeds)) == ''
  assert [report.most_lanes(n) for n in (1, 2, 6, 1000)] == [300, 300, 100, 10]


def test_of_very_many_settings_charts_have_some_and_the_best(tmp_path):
  betas = tuple(1.1**i for i in range(-8, 8))
  path = make_run(tmp_path / 'run', rows_of(betas, (2, 8), (0,)))
  study = report.read(path, most_lanes=10)
  drawn = [row['beta'] for row in study.drawn if row['latent_size'] == 8]
  assert len(drawn) == 5 and {min(betas), max(betas), 1.0} < set(drawn)
  assert study.shown == study.drawn
  assert words.left_out(study).startswith('Charts have 10 of 32 points')
  specs = Parsed(report.whole([study])).about['specs']
  cells = specs['map-']['data']['values']
  assert [row['x'] for row in cells if row['y'] == '8'] == [f'{beta:.4g}' for beta in drawn]
  assert len(specs['tradeoff-']['layer'][-2]['data']['values']) <= 10


def test_a_study_of_few_lanes_is_shown_whole(of_seeds):
  rows = report.read(of_seeds).rows
  swept, best = report.read(of_seeds).swept, rows[:1]
  for choose in (choosing.drawn, choosing.shown):
    assert choose(rows, swept, best, len(rows)) is rows
