"""Signals are lines and tables histograms: of what they hold, by name, and drawn as data are."""

import jax
import numpy as np
import pytest
from conftest import small_config
from figure_data import fill_workdir, grid, heading
from matplotlib.colors import to_hex

from vae_jax import evaluation, figures, programs, records, report, study
from vae_jax.figures import plots, tables, values
from vae_jax.report import lanes, pictures
from vae_jax.runs import outcome

pytestmark = pytest.mark.run

LANES, LENGTH, CHANNELS = 2, 30, 2
NAMES = ('age', 'town', 'weight')


def signals(*only):
  """Returns images.npz of signals: of all kinds, or of some beside what is always drawn."""
  rng = np.random.default_rng(0)
  kinds = {
    'originals': (8,), 'reconstructions': (LANES, 8), 'samples': (LANES, 8),
    'units': (LANES, 8, 8), 'interpolations': (LANES, 2, 8), 'by_condition': (LANES, 3, 8),
    'walks_by_condition': (LANES, 3, 8),
  }  # fmt: skip
  made = {
    kind: rng.normal(size=(*shape, LENGTH, CHANNELS)).astype('f') for kind, shape in kinds.items()
  }
  codes = rng.normal(size=(LANES, 20, 2)).astype('f')
  made |= {'codes': codes, 'conditions': np.array(['cat', 'dog', 'elk'])}
  kept = ('originals', 'units', 'codes', 'conditions', *only) if only else made
  return {kind: made[kind] for kind in kept}


def few_signals():
  """Returns the same with three in each row, which are drawn in less than half of the time."""
  found = signals()
  return found | {
    kind: made[..., :3, :, :] for kind, made in found.items() if kind not in ('codes', 'conditions')
  }


def table(size=400):
  """Returns images.npz of a table: an age, a town of three, a weight that is missing at times."""
  rng = np.random.default_rng(0)

  def rows(*shape):
    age, weight = rng.normal(40, 10, shape), rng.normal(70, 3, shape)
    return np.stack([age, rng.choice(3, shape, p=(0.5, 0.3, 0.2)), weight], axis=-1).astype('f')

  data = rows(size)
  data[::7, 2] = np.nan
  return {
    'originals': data,
    'reconstructions': rows(LANES, size),
    'samples': rows(LANES, size),
    'units': rows(LANES, 8, 8),
    'interpolations': rows(LANES, 2, 8),
    'codes': rng.normal(size=(LANES, 20, 2)).astype('f'),
    'columns': np.array(NAMES),
    'categories': np.array([['', '', ''], ['Bern', 'Oslo', 'Rome'], ['', '', '']]),
  }


@pytest.fixture
def rows():
  return grid((1.0, 4.0), (2,), (0,))


def lines_of(axes):
  return [line.get_ydata() for line in axes.lines]


def test_a_signal_is_drawn_as_lines_with_its_reconstruction_over_it(rows):
  images = signals('reconstructions')
  figure = values.draw(images, rows, 'waves')['reconstructions']
  assert 'test signals, pale, and their reconstructions' in heading(figure)
  for lane in range(LANES):
    for n in range(6):
      axes = figure.axes[12 * lane + n]  # two rows of six, of which the second one has two
      expected = [*images['originals'][n].T, *images['reconstructions'][lane, n].T]
      np.testing.assert_allclose(lines_of(axes), expected, rtol=1e-5, atol=1e-5)
      colours = [to_hex(line.get_color()) for line in axes.lines]
      assert colours[CHANNELS:] == list(plots.COLOURS[:CHANNELS])
      assert len(set(colours)) == 2 * CHANNELS


def test_channels_of_other_units_have_a_scale_each(rows):
  images = signals('reconstructions', 'samples')
  for kind in ('originals', 'reconstructions', 'samples'):
    images[kind][..., 1] *= 1e4
  axes = values.draw(images, rows, '')['reconstructions'].axes[0]
  low, high = (end(images['originals'], axis=(0, 1)) for end in (np.min, np.max))
  expected = ((images['originals'][0] - low) / (high - low)).T
  np.testing.assert_allclose(lines_of(axes)[:CHANNELS], expected, rtol=1e-4, atol=1e-5)


def test_a_walk_along_a_latent_is_a_fan_of_lines_and_those_that_are_not_there_are_not_drawn(rows):
  images = {kind: made[..., :1] for kind, made in signals('samples').items() if 'cond' not in kind}
  images['units'][:, 2:] = images['units'][:, :1, :1]  # lanes of two latents
  drawn = values.draw(images, rows, '')
  axes = [axes for axes in drawn['traversals'].axes if axes.lines]
  assert [axes.get_title() for axes in axes] == ['used most', 'second']
  best = 1  # of beta 4
  np.testing.assert_allclose(
    lines_of(axes[1]), images['units'][best, 1, :, :, 0], rtol=1e-5, atol=1e-5
  )


def test_a_walk_of_several_channels_is_a_row_of_plots(rows):
  images = signals('walks_by_condition')
  found = values.of_lane(images, 1)
  walk, row = images['units'][1, 1], found['units'][1]
  assert [plot.title for plot in row] == ['second', '', '', '']
  for plot, x in ((row[0], walk[0]), (row[-1], walk[-1])):
    np.testing.assert_allclose([mark.y for mark in plot.marks], x.T, rtol=1e-5, atol=1e-5)
  assert [len(row) for row in found['walks_by_condition']] == [4, 4, 4]
  assert ', pale,' not in heading(values.draw(images, rows, '')['traversals'])


def test_signals_under_conditions_are_rows_that_are_named(rows):
  images = signals('by_condition')
  figure = values.draw(images, rows, '')['by_condition']
  assert [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()] == ['cat', 'dog', 'elk']
  first = figure.axes[4]  # four samples a row
  np.testing.assert_allclose(
    lines_of(first), images['by_condition'][1, 1, 0].T, rtol=1e-5, atol=1e-5
  )


def test_a_table_is_a_histogram_of_each_column_by_name_beside_that_of_the_data(rows):
  images = table()
  figure = values.draw(images, rows, '')['samples']
  assert [axes.get_title() for axes in figure.axes[:3]] == list(NAMES)
  plot = tables.of_lane(images, 0, ())['samples'][0][1]
  towns, made = images['originals'][:, 1], images['samples'][0, :, 1]
  area, line = plot.marks
  np.testing.assert_allclose(area.y[1::4], [(towns == k).mean() for k in range(3)])
  np.testing.assert_allclose(line.y[::3], [(made == k).mean() for k in range(3)])
  assert plot.ticks == [(0, 'Bern'), (1, 'Oslo'), (2, 'Rome')]
  weight = tables.of_lane(images, 0, ())['samples'][0][2]
  assert weight.marks[0].y[1::4].sum() == pytest.approx(1)  # of those that are known


def test_counts_have_bins_of_whole_numbers():
  rng = np.random.default_rng(0)
  images = {'originals': rng.poisson([2, 100], (300, 2)).astype('f')}
  images['samples'] = rng.poisson([2, 100], (1, 300, 2)).astype('f')
  few, many = tables.of_lane(images, 0, ())['samples'][0]
  for plot in (few, many):
    centres = plot.marks[0].x.reshape(-1, 4).mean(axis=1)
    np.testing.assert_allclose(2 * centres, np.rint(2 * centres))
  np.testing.assert_allclose(few.marks[0].x[:4], [-0.4, -0.4, 0.4, 0.4], atol=1e-6)
  assert many.marks[0].y[1::4].sum() == pytest.approx(1)


@pytest.mark.parametrize('kind', ['signals', pytest.param('table', marks=pytest.mark.slow)])
def test_all_is_drawn_for_the_workdir_the_page_and_wandb(tmp_path, rows, kind, monkeypatch):
  monkeypatch.setattr(figures.style, 'DPI', 50)  # what is drawn is read above
  images = few_signals() if kind == 'signals' else table()
  fill_workdir(tmp_path, rows, images=False)
  np.savez(tmp_path / 'images.npz', **images)
  assert records.kind_of(records.read_images(tmp_path / 'images.npz', LANES)) == kind
  drawn = {each.stem for each in figures.draw_all(tmp_path)}
  assert {'reconstructions', 'samples', 'traversals'} <= drawn
  assert ('by_condition' in drawn) == (kind == 'signals')
  of_page = report.read(tmp_path)
  made = pictures.of_lanes(of_page)
  assert all(made[i]['samples'].startswith('data:image/png') for i in range(LANES))
  assert set(made[0]) <= pictures.kinds(of_page).keys()
  about = lanes.of_page(of_page, of_page.rows[0])
  assert about['enlargement'] == 0.5
  assert ('by_condition' in about['rows']) == (kind == 'signals')
  grids = outcome.lane_grids(images, range(LANES))
  for lane in grids['samples'].values():
    assert lane.dtype == np.uint8 and lane.shape[2] == 3 and lane[0, 0].tolist() == [255] * 3
  assert len(report.whole([of_page])) > 0


def test_a_sketch_has_the_line_where_its_values_are():
  rising = plots.Plot([plots.Mark('line', np.arange(5), np.arange(5), '#ff0000')], (0, 4), (0, 4))
  pixels = plots.sketch([[rising]])
  height, column = np.nonzero((pixels[..., :3] == (255, 0, 0)).all(axis=2) & (pixels[..., 3] > 0))
  assert np.corrcoef(height, column)[0, 1] < -0.99  # upwards is less
  np.testing.assert_array_equal(plots.on_white(pixels)[0, 0], [255] * 3)
  broken = rising.marks[0]._replace(y=np.array([0, 1, np.nan, 3, 4]))
  pixels = plots.sketch([[rising._replace(marks=[broken])]])
  middle = pixels[:, pixels.shape[1] // 2 - 9 : pixels.shape[1] // 2 + 9]
  assert not (middle[..., :3] == (255, 0, 0)).all(axis=2).any()


SCALE = 3.0


@pytest.fixture(scope='module')
def built(tmp_path_factory):
  """A study of a table under a Gaussian of known scale, not trained, and its states."""
  path = tmp_path_factory.mktemp('table') / 'x.npz'
  x = np.random.default_rng(0).normal(size=(500, 3)).astype('f')
  np.savez(path, train=x, test=x[:450])
  config = small_config()
  config['data'] |= dict(
    name='npz', path=str(path), kind='real', binarize='none', scale_to_unit=False
  )
  config['lanes'] |= dict(beta=(1.0,), latent_size=(2,))
  config['likelihood'] |= dict(name='gaussian', initial_scale=SCALE)
  built = study.from_config(config)
  return built, programs.init(built.training.learner, built.lanes, built.place)


def test_rows_of_a_table_are_drawn_from_the_likelihood_and_are_no_means(built):
  """x - E[x | z] ~ N(0, s^2): its mean and its variance, with 5 standard errors."""
  trained, state = built
  params = programs.params_of(state)
  made = outcome.make_pictures(trained)(params, trained.lanes, np.ones((1, 2)))
  assert made.samples.shape == (1, 400, 3) and made.samples.dtype == np.float32
  assert made.originals.shape == (400, 3) and made.traversals is None

  @jax.jit
  def means(params, lane):
    z = evaluation.sample_prior(trained.model, params, lane, 400)
    return evaluation.decode(trained.model, params, lane, z)

  noise = made.samples[0] - means(*jax.tree.map(lambda leaf: leaf[0], (params, trained.lanes)))
  assert (abs(noise.mean(axis=0)) < 5 * SCALE / 20).all()
  assert (abs(noise.var(axis=0) - SCALE**2) < 5 * SCALE**2 * np.sqrt(2 / 400)).all()
  spread = made.reconstructions[0].std(axis=0)
  assert (spread < SCALE / 3).all()  # those are means
