"""Active units over beta, read back from the picture."""

import numpy as np
import pytest
from figure_data import fill_workdir, grid, heading, thick_lines, with_fields

from vae_jax import figures, records
from vae_jax.forecast import Forecast

pytestmark = pytest.mark.run

FORECAST = Forecast(np.array([7.0, 3.0, 2.0, 0.9]))


def counted(rows, split='test'):
  """Returns the rows with z / (1 + beta) + seed active units."""
  units = lambda row: row['latent_size'] / (1 + row['beta']) + row['seed']  # noqa: E731
  return [{**row, f'{split}/active_units': units(row)} for row in rows]


def forecasts(axes):
  return [line for line in axes.lines if line.get_linewidth() == 0.9]


def test_lines_are_means_over_seeds_and_dashes_the_forecast_up_to_the_latent_size():
  figure = figures.active_units(counted(grid()), FORECAST, 'digits')
  (axes,) = figure.axes
  assert axes.get_xscale() == 'log'
  for line, size in zip(thick_lines(axes), (2, 8), strict=True):
    expected = [(beta, size / (1 + beta) + 0.5) for beta in (0.5, 1.0, 4.0)]
    np.testing.assert_allclose(line.get_xydata(), expected)
  for line, size, mean in zip(forecasts(axes), (2, 8), thick_lines(axes), strict=True):
    beta, units = line.get_xydata().T
    assert (beta[0], beta[-1]) == pytest.approx((0.5, 4.0))
    levels = np.select([beta < 0.9, beta < 2.0, beta < 3.0, beta < 7.0], [4, 3, 2, 1])
    np.testing.assert_array_equal(units, np.minimum(levels, size))
    assert line.get_linestyle() == '--' and line.get_color() == mean.get_color()
  dots = [line for line in axes.lines if line.get_marker() == '.']
  assert [tuple(line.get_ydata()[:2]) for line in dots] == [
    (2 / 1.5, 2 / 1.5 + 1),
    (8 / 1.5, 8 / 1.5 + 1),
  ]
  assert heading(figure) == 'digits: active units over β, test set mean over 2 seeds'
  words = [text.get_text() for text in axes.get_legend().get_texts()]
  assert words == ['latent size', '2', '8', '', 'forecast', 'one lane']


def test_without_a_forecast_there_are_no_dashes():
  figure = figures.active_units(counted(grid(seeds=(0,))))
  (axes,) = figure.axes
  assert not forecasts(axes) and len(thick_lines(axes)) == 2
  assert 'forecast' not in [text.get_text() for text in axes.get_legend().get_texts()]


def test_beta_zero_is_left_out_and_said():
  figure = figures.active_units(counted(grid(betas=(0.0, 0.5, 2.0))), FORECAST)
  assert [list(line.get_xdata()) for line in thick_lines(figure.axes[0])] == [[0.5, 2.0]] * 2
  assert 'β = 0 left out' in heading(figure)


def test_the_split_that_is_chosen_on_is_drawn():
  rows = counted(counted(grid(seeds=(0,))), 'validation')
  rows = [{**row, 'test/active_units': 0, 'validation/elbo': -1.0} for row in rows]
  figure = figures.active_units(rows)
  assert thick_lines(figure.axes[0])[0].get_ydata()[0] == 2 / 1.5
  assert 'validation set' in heading(figure)


def test_what_else_varies_has_its_own_lines_and_lost_lanes_none():
  rows = counted(grid(latent_sizes=(8,), seeds=(0,)))
  both = [with_fields(row, warmup=warmup) for warmup in ('constant', 'linear') for row in rows]
  both[0]['status'] = 'diverged'
  lines = thick_lines(figures.active_units(both).axes[0])
  assert [list(line.get_xdata()) for line in lines] == [[1.0, 4.0], [0.5, 1.0, 4.0]]


@pytest.mark.parametrize('rows', [grid(), counted(grid(betas=(0.0, 1.0)))])
def test_of_fewer_than_two_betas_there_is_no_picture(rows):
  assert figures.active_units(rows, FORECAST) is None


def test_draw_all_takes_the_forecast_of_the_run(tmp_path, monkeypatch):
  drawn = {}
  monkeypatch.setattr(figures, 'save', lambda figure, path: drawn.update({path.stem: figure}))
  fill_workdir(tmp_path, counted(grid()), images=False)
  rows = [dict(latent=i, beta=beta) for i, beta in enumerate(FORECAST.onsets)]
  records.write_table(tmp_path / 'forecast.csv', records.FORECAST_COLUMNS, rows)
  figures.draw_all(tmp_path)
  assert forecasts(drawn['active_units'].axes[0])[1].get_ydata()[0] == 4
