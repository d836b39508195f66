"""The curves over the optimiser steps, read back: the test ELBO and the training loss."""

import numpy as np
import pytest
from figure_data import (
  GRIDS,
  SIZES,
  assert_nothing_overlaps,
  grid,
  heading,
  legend_words,
  losses_of,
  metrics_of,
  overlap,
  thick_lines,
)

from vae_jax import figures
from vae_jax.figures import style

pytestmark = pytest.mark.run

# Learning curves


def test_learning_curves_are_the_means_and_the_lanes():
  rows = grid(betas=(1.0, 4.0))
  figure = figures.learning_curves(metrics_of(rows), rows, 'digits')
  assert [axes.get_title() for axes in figure.axes] == ['latent size 2', 'latent size 8']
  for axes, z in zip(figure.axes, (2, 8), strict=True):
    ends = [-(150 + z - 8 * beta) for beta in (1.0, 4.0)]
    for line, end in zip(thick_lines(axes), ends, strict=True):
      np.testing.assert_allclose(
        line.get_xydata(), [(0, end - 101), (50, end - 51), (100, end - 1)]
      )
    thin = [line.get_ydata()[-1] for line in axes.lines if line.get_linewidth() == 0.5]
    assert thin == [ends[0], ends[0] - 2, ends[1], ends[1] - 2]
    faint = [line.get_ydata()[-1] for line in axes.lines if line.get_linewidth() == 2]
    assert faint == [end - 1 + 1 for end in ends]
  assert 'nats' in figure.get_supylabel() and 'step' in figure.get_supxlabel()
  assert heading(figure) == 'digits: test ELBO while training mean over 2 seeds'


@pytest.mark.parametrize(
  ('betas', 'latent_sizes', 'seeds', 'panels'),
  [
    ((1.0,), (16,), (0,), 1),
    ((0.0, 0.5, 1.0, 2.0, 4.0), (2, 8, 32, 64), (0, 1), 4),
    ((0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), (2, 4, 8, 16, 32), (0, 1), 5),
    (tuple(2.0**i for i in range(-6, 10)), (1, 2, 4, 8), (0, 1, 2, 3), 4),
    ((1.0,), tuple(range(1, 16)), (0,), 8),
  ],
)
def test_learning_curves_have_a_panel_per_latent_size_and_a_legend_beside(
  betas, latent_sizes, seeds, panels
):
  rows = grid(betas, latent_sizes, seeds)
  study = 'a study of the rate and the distortion of handwritten digits'
  figure = figures.learning_curves(metrics_of(rows), rows, study)
  figure.draw_without_rendering()
  assert len(figure.axes) == panels
  assert all(len(thick_lines(axes)) == len(betas) for axes in figure.axes)
  (legend,) = figure.legends
  words = [text.get_text() for text in legend.get_texts()]
  assert words[: len(betas) + 1] == ['β', *map(style.plain, betas)]
  assert not any(overlap(legend, axes) for axes in figure.axes)
  assert not overlap(legend, figure._suptitle)
  assert not any(overlap(figure._suptitle, axes.title) for axes in figure.axes)
  assert (f'{panels} of {len(latent_sizes)} latent sizes' in heading(figure)) == (
    panels < len(latent_sizes)
  )
  assert figure.axes[0].get_title() == f'latent size {latent_sizes[0]}'
  assert figure.axes[-1].get_title() == f'latent size {latent_sizes[-1]}'


def test_a_diverged_curve_ends_in_a_cross_where_it_diverged():
  rows = grid(betas=(1.0,), latent_sizes=(2,))
  rows[1].update({'status': 'diverged', 'step': 60, 'test/elbo': None})
  metrics = [
    *metrics_of(rows[:1]),
    {'lane': 1, 'step': 0, 'test/elbo': -300.0},
    {'lane': 1, 'step': 50, 'test/elbo': -250.0},
    {'lane': 1, 'step': 60, 'test/elbo': None},
    {'lane': 1, 'step': 100, 'test/elbo': -250.0},  # frozen, measured again
  ]
  figure = figures.learning_curves(metrics, rows)
  (axes,) = figure.axes
  (cross,) = [line for line in axes.lines if line.get_marker() == 'x']
  np.testing.assert_array_equal(cross.get_xydata(), [(50, -250.0)])
  (mean,) = thick_lines(axes)
  np.testing.assert_array_equal(mean.get_ydata(), [-244.0, -194.0, -144.0])
  assert '1 of 2 lanes diverged' in heading(figure)


def test_curves_are_averaged_only_at_the_steps_that_all_lanes_reached():
  rows = grid(betas=(1.0,), latent_sizes=(2,))
  metrics = [line for line in metrics_of(rows) if (line['lane'], line['step']) != (1, 100)]
  (mean,) = thick_lines(figures.learning_curves(metrics, rows).axes[0])
  np.testing.assert_array_equal(mean.get_xdata(), [0, 50])


def test_a_lane_that_has_not_begun_is_in_no_mean():
  rows = grid(betas=(1.0,), latent_sizes=(2,))
  metrics = metrics_of(rows[:1])
  (mean,) = thick_lines(figures.learning_curves(metrics, rows).axes[0])
  np.testing.assert_array_equal(mean.get_ydata(), [-244.0, -194.0, -144.0])
  assert figures.learning_curves([], rows) is None


def test_learning_curves_of_an_unfinished_run_are_points():
  rows = [dict(row, status='running', step=0) for row in grid()]
  figure = figures.learning_curves(metrics_of(rows, steps=(0,)), rows)
  figure.draw_without_rendering()
  line = thick_lines(figure.axes[0])[0]
  np.testing.assert_array_equal(line.get_xydata(), [(0, -249.0)])
  low, high = figure.axes[0].get_ylim()
  assert low < -249 < high and line.get_marker() == 'o'
  assert '12 of 12 lanes still running' in heading(figure)


def test_learning_curves_frame_the_end_of_training_not_its_start():
  rows = grid(betas=(0.0, 1.0, 2.0), seeds=(0,))
  metrics = metrics_of(rows, steps=range(0, 101, 10))
  for line in metrics:
    if rows[line['lane']]['beta'] == 0:
      line['test/elbo'] -= 5000
    if line['step'] == 0:
      line['test/elbo'] = -1e4
    if (line['lane'], line['step']) == (5, 50):  # one evaluation gone wrong
      line['test/elbo'] = -1e4
  figure = figures.learning_curves(metrics, rows)
  low, high = figure.axes[0].get_ylim()
  assert -300 < low < -225 and high > -134
  assert '2 of 6 lanes end below the frame (β = 0)' in heading(figure)


# The loss


def test_loss_curves_are_minus_the_objective_over_powers_of_two():
  rows = grid(betas=(1.0, 4.0))
  metrics = losses_of(rows, steps=(1, 2, 3, 4, 8, 30, 64, 100))
  figure = figures.loss_curves(metrics, rows, 'digits')
  assert [axes.get_title() for axes in figure.axes] == ['latent size 2', 'latent size 8']
  for axes in figure.axes:
    # Steps 3 and 30 are no powers of two; 100 is the last. Seeds add 0 and 1: their mean a half.
    for line, beta in zip(thick_lines(axes), (1.0, 4.0), strict=True):
      expected = [(s, 100.5 + 10 * beta + 400 / s) for s in (1, 2, 4, 8, 64, 100)]
      np.testing.assert_allclose(line.get_xydata(), expected)
    thin = [line.get_ydata()[-1] for line in axes.lines if line.get_linewidth() == 0.5]
    assert thin == [114, 115, 144, 145]
  assert 'loss' in figure.get_supylabel() and 'nats' in figure.get_supylabel()
  assert heading(figure) == 'digits: loss while training mean over 2 seeds'


def test_both_axes_of_the_loss_are_logarithmic_the_steps_to_base_two():
  rows = grid(seeds=(0,))
  figure = figures.loss_curves(losses_of(rows), rows)
  figure.draw_without_rendering()
  for axes in figure.axes:
    assert axes.xaxis.get_transform().base == 2
    assert (axes.get_xscale(), axes.get_yscale()) == ('log', 'log')
    for tick, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
      assert tick == 2 ** int(label.get_text().removeprefix('$2^{').removesuffix('}$'))
    assert {1, 2, 4, 8, 16, 32, 64} == {*axes.get_xticks(), *axes.get_xticks(minor=True)}
    low, high = axes.get_ylim()
    assert low < 105 and high > 540
    inside = [tick for tick in axes.get_yticks() if low < tick < high]
    assert inside == [100, 200, 500]


@pytest.mark.parametrize('shift', [104, 105, 1000])
def test_a_loss_without_a_logarithm_is_drawn_on_a_linear_axis(shift):
  rows = grid(betas=(0.0, 4.0), seeds=(0,))
  metrics = losses_of(rows)
  for line in metrics:
    line['batch/objective'] += shift  # the lowest loss is 104
  figure = figures.loss_curves(metrics, rows)
  figure.draw_without_rendering()
  (axes, *_) = figure.axes
  assert (axes.get_xscale(), axes.get_yscale()) == ('log', 'linear')
  low, high = axes.get_ylim()
  assert low < 104 - shift and 540 - shift < high
  np.testing.assert_allclose(thick_lines(axes)[0].get_ydata()[-1], 104 - shift)


def test_the_loss_of_a_lane_that_diverged_ends_in_a_cross_and_frames_nothing():
  rows = grid(betas=(1.0,), latent_sizes=(2,))
  rows[1].update({'status': 'diverged', 'step': 10, 'test/elbo': None})
  metrics = losses_of(rows)
  for line in metrics:
    if line['lane'] == 1 and line['step'] == 8:
      line['batch/objective'] = -1e30
    if line['lane'] == 1 and line['step'] > 8:
      line['batch/objective'] = None if line['step'] == 16 else -7.0  # frozen
  figure = figures.loss_curves(metrics, rows)
  (axes,) = figure.axes
  (cross,) = [line for line in axes.lines if line.get_marker() == 'x']
  np.testing.assert_array_equal(cross.get_xydata(), [(8, 1e30)])
  (mean,) = thick_lines(axes)
  np.testing.assert_allclose(mean.get_ydata(), [110 + 400 / s for s in mean.get_xdata()])
  assert axes.get_ylim()[1] < 1000 and axes.get_ylim()[0] > 50
  assert '1 of 2 lanes diverged' in heading(figure)
  assert legend_words(figure) == ['β', '1', 'loss', 'batch', 'batch, one lane', 'diverged']


def test_there_is_no_loss_without_an_objective():
  rows = grid()
  assert figures.loss_curves(metrics_of(rows), rows) is None
  assert figures.loss_curves([], rows) is None
  assert figures.loss_curves([{'lane': 0, 'step': 0, 'batch/objective': -1.0}], rows) is None
  lost = [dict(row, status='diverged') for row in rows]
  assert figures.loss_curves(losses_of(lost), lost) is None


@pytest.mark.parametrize(
  ('size', 'last'), [('1-latent', 5000), ('4', 1), ('4', 2**21), ('100', 5000), ('100-betas', 5000)]
)
def test_loss_curves_of_any_size_are_readable(size, last):
  rows = grid(*GRIDS[size])
  steps = [2**i for i in range(22) if 2**i < last] + [last]
  figure = figures.loss_curves(losses_of(rows, steps), rows, 'a study of the digits')
  assert_nothing_overlaps(figure)
  (*_, axes) = figure.axes
  assert len(thick_lines(axes)) == len({row['beta'] for row in rows})
  labels = [label.get_text() for label in axes.get_xticklabels()]
  assert len(labels) <= 6 and labels[0] == '$2^{0}$'


@pytest.mark.parametrize('size', SIZES)
def test_learning_curves_of_any_size_are_readable(size):
  rows = grid(*GRIDS[size])
  assert_nothing_overlaps(figures.learning_curves(metrics_of(rows), rows, 'a study of the digits'))
