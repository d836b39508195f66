"""The pictures of the final values, read back: what is drawn is what stands in the rows."""

import numpy as np
import pytest
from figure_data import grid, heading, lane, lines_by_label, metrics_of
from matplotlib.collections import QuadMesh
from matplotlib.patches import Rectangle
from PIL import Image

from vae_jax import figures, standing
from vae_jax.figures import style
from vae_jax.report import charts

pytestmark = pytest.mark.run


def test_a_picture_is_whole_with_narrow_white_margins(tmp_path):
  """A frame of 2 x 1 inches in a figure of 4 x 3: 400 x 200 dots, and 16 of white around them."""
  figure = style.new_figure(4, 3)
  figure.set_layout_engine('none')
  figure.add_artist(Rectangle((0.25, 0.5), 0.5, 1 / 3, color='black', linewidth=0))
  pixels = np.asarray(Image.open(style.save(figure, tmp_path / 'frame.png')))
  assert pixels.shape == (200 + 32, 400 + 32, 3)
  assert not pixels[16:-16, 16:-16].any()
  pixels = pixels.astype(int)
  pixels[16:-16, 16:-16] = 255
  assert (pixels == 255).all()


# Rate and distortion


def test_rate_distortion_lines_are_the_means_over_seeds_in_the_order_of_beta():
  rows = grid(betas=(4.0, 0.5, 1.0))
  axes = figures.rate_distortion(rows, 'digits').axes[0]
  lines = lines_by_label(axes)
  assert list(lines) == ['2', '8']
  for latent_size, line in lines.items():
    # Seeds 0 and 1 add 0 and 1 nat: their mean adds a half.
    expected = [(100 + int(latent_size) - 10 * b + 0.5, 50 + 2 * b + 0.5) for b in (0.5, 1.0, 4.0)]
    np.testing.assert_allclose(line.get_xydata(), expected)


def test_rate_distortion_dots_are_the_lanes():
  rows = grid()
  axes = figures.rate_distortion(rows).axes[0]
  dots = np.concatenate([c.get_offsets() for c in axes.collections if c.get_sizes()[0] < 10])
  expected = [(row['test/rate'], row['test/distortion']) for row in rows]
  assert sorted(map(tuple, dots)) == sorted(expected)


def test_rate_distortion_diagonals_have_the_elbo_that_they_are_labelled_with():
  axes = figures.rate_distortion(grid()).axes[0]
  diagonals = [line for line in axes.lines if line.get_label().startswith('_')]
  totals = [np.sum(line.get_xydata(), axis=1) for line in diagonals]
  for total in totals:
    np.testing.assert_allclose(total, total[0])
  elbos = {round(-total[0], 6) for total in totals}
  assert len(axes.texts) >= 3
  for text in axes.texts:
    elbo = float(text.get_text().replace('−', '-'))
    assert elbo in elbos
    np.testing.assert_allclose(np.sum(text.xy), -elbo)


def test_rate_distortion_names_units_and_everything_in_a_legend_beside_the_axes():
  # A distortion that spans more than the rate: diagonals leave the frame at the right too.
  rows = [dict(row, **{'test/distortion': 50 + 40 * row['beta']}) for row in grid()]
  figure = figures.rate_distortion(rows, 'digits')
  figure.draw_without_rendering()
  axes = figure.axes[0]
  assert 'nats' in axes.get_xlabel() and 'rate' in axes.get_xlabel()
  assert 'nats' in axes.get_ylabel() and 'distortion' in axes.get_ylabel()
  assert heading(figure) == 'digits: rate and distortion on the test set mean over 2 seeds'
  words = [text.get_text() for text in axes.get_legend().get_texts()]
  assert words[:7] == ['latent size', '2', '8', 'β', '0.5', '1', '4']
  left = axes.get_legend().get_window_extent().x0
  assert left >= axes.get_window_extent().x1
  ends = [text.get_window_extent().x1 for text in axes.texts]
  assert axes.get_window_extent().x1 < max(ends) <= left


def test_rate_distortion_of_one_lane_is_a_point():
  figure = figures.rate_distortion([lane(0, 1.0, 16)])
  axes = figure.axes[0]
  np.testing.assert_array_equal(lines_by_label(axes)['16'].get_xydata(), [(106.0, 52.0)])
  assert 'mean' not in heading(figure)
  assert axes.get_xlim()[0] < 106 < axes.get_xlim()[1]


@pytest.mark.parametrize('status', ['diverged', 'failed'])
def test_a_lost_lane_is_in_no_mean_even_if_it_has_values(status):
  rows = grid(betas=(1.0,), latent_sizes=(2, 8))
  rows[0].update({'status': status, 'test/rate': 1e6, 'test/elbo': -1e6})
  figure = figures.rate_distortion(rows)
  np.testing.assert_allclose(lines_by_label(figure.axes[0])['2'].get_xydata(), [(93.0, 53.0)])
  assert f'1 of 4 lanes {status}' in heading(figure)
  assert cell_texts(figures.elbo_heatmap(rows))[(0, 0)] == '−146.0*'


def test_beta_zero_does_not_press_the_others_into_a_corner():
  rows = grid(betas=(0.0, 0.5, 1.0, 4.0), seeds=(0,))
  for row in rows:
    if row['beta'] == 0:
      row.update({'test/rate': 5000.0, 'test/elbo': -5050.0})
  figure = figures.rate_distortion(rows)
  axes = figure.axes[0]
  assert lines_by_label(axes)['2'].get_xdata()[0] == 5000.0
  assert axes.get_xlim()[1] < 150
  assert '2 of 8 points outside the frame (β = 0, rate 5000 nats)' in heading(figure)
  near = figures.rate_distortion(grid(betas=(0.0, 0.5, 1.0, 4.0)))
  assert 'outside' not in heading(near)
  assert near.axes[0].get_xlim()[1] > 108
  heat = figures.elbo_heatmap(rows)
  mesh = next(c for c in heat.axes[0].collections if isinstance(c, QuadMesh))
  assert mesh.norm.vmin > -200
  assert mesh.colorbar.extend == 'min'


def test_more_betas_than_shapes_are_written_beside_the_points():
  betas = tuple(np.linspace(0.0, 8.0, 17))
  axes = figures.rate_distortion(grid(betas=betas, latent_sizes=(2, 32), seeds=(0,))).axes[0]
  assert [text.get_text() for text in axes.get_legend().get_texts()][:3] == [
    'latent size',
    '2',
    '32',
  ]
  written = {
    float(t.get_text().removeprefix('β = ')): t.xy for t in axes.texts if t.get_ha() == 'right'
  }
  assert len(written) >= 5
  for beta, point in written.items():
    np.testing.assert_allclose(point, (132 - 10 * beta, 50 + 2 * beta))


# The heat map


def cell_texts(figure):
  return {text.get_position(): text.get_text() for text in figure.axes[0].texts}


def test_heatmap_writes_the_mean_of_each_cell():
  rows = grid(betas=(4.0, 0.5, 1.0), latent_sizes=(8, 2))
  figure = figures.elbo_heatmap(rows, 'digits')
  axes = figure.axes[0]
  expected = {
    (column, row): f'−{150 + z - 8 * beta + 1:.1f}'
    for column, z in enumerate((2, 8))
    for row, beta in enumerate((0.5, 1.0, 4.0))
  }
  assert cell_texts(figure) == expected
  mesh = next(c for c in axes.collections if isinstance(c, QuadMesh))
  for (column, row), text in expected.items():
    assert float(text.replace('−', '-')) == pytest.approx(mesh.get_array()[row, column])
  assert [tick.get_text() for tick in axes.get_xticklabels()] == ['2', '8']
  assert [tick.get_text() for tick in axes.get_yticklabels()] == ['0.5', '1', '4']
  assert figure.axes[1].get_ylabel() == 'test ELBO (nats)'
  (best,) = axes.patches
  assert best.get_xy() == (-0.5, 1.5)  # latent size 2, beta 4: -153 + 32 - 1


def test_heatmap_marks_lost_cells_and_leaves_absent_ones_empty():
  lost = {'test/elbo': None, 'step': 40}
  rows = [
    lane(0, 1.0, 2, status='diverged', **lost),
    lane(1, 1.0, 8, status='failed', **lost),
    lane(2, 4.0, 2),
    lane(3, 4.0, 8, status='running', **lost),
    lane(4, 8.0, 8, **{'test/elbo': float('nan')}),
  ]
  figure = figures.elbo_heatmap(rows)
  assert cell_texts(figure) == {(0, 0): 'diverged', (1, 0): 'failed', (0, 1): '−120.0'}
  patches = {patch.get_xy(): patch for patch in figure.axes[0].patches if patch.get_fill()}
  assert set(patches) == {(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (0.5, 1.5)}  # none at (2, beta 8)
  assert [bool(patch.get_hatch()) for _, patch in sorted(patches.items())] == [
    True,
    True,
    False,
    False,
  ]
  for words in ('1 of 5 lanes diverged', '1 of 5 lanes failed', '1 of 5 lanes still running'):
    assert words in heading(figure)


@pytest.mark.parametrize('latent_sizes', [(16,), tuple(range(1, 16))])
def test_heatmap_numbers_fit_their_cells(latent_sizes):
  study = 'a study of the rate and the distortion of handwritten digits'
  figure = figures.elbo_heatmap(grid(latent_sizes=latent_sizes), study)
  figure.draw_without_rendering()
  axes = figure.axes[0]
  width = axes.get_window_extent().width / len(latent_sizes)
  height = axes.get_window_extent().height / 3
  assert len(axes.texts) == 3 * len(latent_sizes)
  assert all(text.get_window_extent().width < width for text in axes.texts)
  assert all(2 * text.get_window_extent().height < height for text in axes.texts)
  assert axes.get_window_extent().y1 < figure._suptitle.get_window_extent().y0


@pytest.mark.parametrize(('betas', 'label'), [((1.0,), 'nats'), ((0.5, 1.0), 'test ELBO (nats)')])
def test_what_the_colours_of_a_heatmap_are_is_as_long_as_they_are_high(betas, label):
  figure = figures.elbo_heatmap([row for row in grid() if row['beta'] in betas])
  figure.draw_without_rendering()
  bar = figure.axes[1]
  assert bar.get_ylabel() == label
  text = bar.yaxis.label.get_window_extent()
  assert text.y0 >= 0 and text.y1 <= figure.bbox.height


# What a mean is over


@pytest.mark.parametrize(
  ('rows', 'words'),
  [
    (grid(seeds=(0,)), None),
    (grid(), 'mean over 2 seeds'),
    (grid(learning_rates=(1e-4, 1e-3, 1e-2)), 'mean over 2 seeds'),
    (grid(seeds=(0,), learning_rates=(1e-4, 1e-3)), None),
    ([*grid(seeds=(0,)), lane(9, 1.0, 2, seed=1)], 'mean over up to 2 seeds'),
    ([lane(i, 1.0, 2, i, 10.0**-i) for i in range(3)], None),
    ([lane(0, 0.5, 2), lane(1, 1.0, 8), lane(2, 4.0, 31)], None),
  ],
)
def test_the_heading_says_what_a_mean_is_over(rows, words):
  rows = [dict(row, lane=i) for i, row in enumerate(rows)]
  drawn = [
    figures.rate_distortion(rows),
    figures.elbo_heatmap(rows),
    figures.learning_curves(metrics_of(rows), rows),
  ]
  for figure in drawn:
    assert words in heading(figure) if words else 'mean' not in heading(figure)


@pytest.mark.parametrize(
  ('number', 'text'),
  [(0.0, '0'), (1.0, '1'), (0.0001, '0.0001'), (1e-7, '0.0000001'), (1234.0, '1234'), (2, '2')],
)
def test_betas_are_written_as_plain_numbers(number, text):
  assert style.plain(number) == text


@pytest.mark.parametrize(
  ('number', 'text'), [(-0.04, '0.0'), (-0.06, '−0.1'), (999.94, '999.9'), (-1234.4, '−1234')]
)
def test_nats_have_a_true_minus_and_no_negative_zero(number, text):
  assert style.nats(number) == charts.shown(number, 1) == text


def test_the_terminal_has_no_negative_zero_either():
  assert [standing.nats(value) for value in (-0.004, -0.006)] == ['0.00', '-0.01']
