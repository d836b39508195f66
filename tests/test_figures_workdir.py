"""Every picture of a workdir: drawn from its files, whole or not at all."""

import json

import matplotlib
import matplotlib.image
import numpy as np
import pytest
from figure_data import (
  fill_workdir,
  grid,
  heading,
  latents_of,
  losses_of,
  metrics_of,
  nll_curve_of,
  shades,
  thick_lines,
)
from PIL import Image

from vae_jax import errors, figures, records

pytestmark = pytest.mark.run


@pytest.fixture
def small_pictures(monkeypatch):
  """Pictures of a quarter of the dots, where it is not looked at what is drawn."""
  monkeypatch.setattr(figures.style, 'DPI', 50)


@pytest.fixture
def images_alone(monkeypatch):
  """Draws nothing of what is read before the images."""
  for name in ('rate_distortion', 'elbo_heatmap', 'active_units', 'learning_curves'):
    monkeypatch.setattr(figures, name, lambda *arguments: None)


# Everything of a workdir


ALL = ['rate_distortion', 'elbo_heatmap', 'learning_curves', 'reconstructions', 'samples']
LATER = ['latents', 'nll_curve', 'traversals', 'loss_curves']


def test_draw_all_writes_every_picture_whole_and_nothing_else(tmp_path):
  paths = figures.draw_all(fill_workdir(tmp_path, grid()))
  assert [path.stem for path in paths] == ALL
  assert sorted(p.name for p in (tmp_path / 'figures').iterdir()) == sorted(p.name for p in paths)
  for path in paths:
    picture = matplotlib.image.imread(path)
    assert min(picture.shape[:2]) > 200 and picture.std() > 0.01


def test_draw_all_of_a_workdir_with_lost_lanes_draws_what_is_left(tmp_path, small_pictures):
  rows = grid()
  for row in rows[:3]:
    row.update({'status': 'diverged', 'test/elbo': None, 'test/rate': None})
  paths = figures.draw_all(fill_workdir(tmp_path, rows, metrics_of(rows[3:]), images=False))
  assert [path.stem for path in paths] == ALL[:3]


def test_draw_all_heads_each_picture_with_the_study(tmp_path, monkeypatch):
  drawn = []
  monkeypatch.setattr(figures, 'save', lambda figure, path: drawn.append(heading(figure)))
  figures.draw_all(fill_workdir(tmp_path, grid()))
  assert len(drawn) == 5 and all(words.startswith('digits: ') for words in drawn)
  (tmp_path / 'config.json').unlink()
  drawn.clear()
  figures.draw_all(tmp_path)
  assert len(drawn) == 5 and all(words.startswith(f'{tmp_path.name}: ') for words in drawn)


@pytest.mark.parametrize('status', ['diverged', 'failed'])
def test_draw_all_draws_nothing_when_every_lane_is_lost(tmp_path, status):
  rows = [dict(row, status=status) for row in grid()]
  assert figures.draw_all(fill_workdir(tmp_path, rows)) == []
  assert list((tmp_path / 'figures').iterdir()) == []


def test_draw_all_of_an_empty_workdir_draws_nothing(tmp_path):
  assert figures.draw_all(tmp_path) == []
  assert list(tmp_path.iterdir()) == []


def test_draw_all_refuses_images_of_another_run(tmp_path, images_alone):
  fill_workdir(tmp_path, grid())
  originals, made = shades(2)
  np.savez(tmp_path / 'images.npz', originals=originals, reconstructions=made, samples=made)
  with pytest.raises(errors.DamagedError, match=r'reconstructions of 2 lanes.*has 12'):
    figures.draw_all(tmp_path)


@pytest.mark.parametrize(
  'damage',
  [
    lambda content: b'',
    lambda content: b'not an archive',
    lambda content: content[:-100],
    lambda content: content[:900] + b'\xff' * 300 + content[1200:],
  ],
)
@pytest.mark.parametrize('write', [np.savez, np.savez_compressed])
def test_draw_all_refuses_damaged_images(tmp_path, damage, write, images_alone):
  fill_workdir(tmp_path, grid(), images=False)
  path = tmp_path / 'images.npz'
  noise = np.random.default_rng(0).integers(0, 4, (12, 9, 8, 8, 1), np.uint8)
  write(path, originals=noise[0], reconstructions=noise, samples=noise)
  path.write_bytes(damage(path.read_bytes()))
  with pytest.raises(errors.DamagedError, match=r'images\.npz'):
    figures.draw_all(tmp_path)


def test_a_picture_that_fails_midway_leaves_the_old_one(tmp_path, monkeypatch, small_pictures):
  (path, *_) = figures.draw_all(fill_workdir(tmp_path, grid(latent_sizes=(2,)), images=False))
  before = path.read_bytes()

  def save_half(image, target, **options):
    target.write_bytes(b'\x89PNG half')
    raise RuntimeError('interrupted')

  monkeypatch.setattr(Image.Image, 'save', save_half)
  with pytest.raises(RuntimeError, match='interrupted'):
    figures.draw_all(tmp_path)
  assert path.read_bytes() == before
  assert len(list((tmp_path / 'figures').iterdir())) == 3


def test_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path, small_pictures):
  with matplotlib.rc_context({'font.size': 17.0, 'axes.linewidth': 3.0}):
    before = dict(matplotlib.rcParams)
    figures.draw_all(fill_workdir(tmp_path, grid()))
    assert dict(matplotlib.rcParams) == before


# What later runs leave


def fill_later(path, rows, config=None):
  """Fills a workdir as a run with all that can be recorded does."""
  fill_workdir(path, rows, metrics_of(rows) + losses_of(rows))
  if config is not None:
    (path / 'config.json').write_text(json.dumps(config))
  records.write_table(path / 'latents.csv', records.LATENT_COLUMNS, latents_of(rows))
  records.write_table(path / 'nll_curve.csv', records.NLL_CURVE_COLUMNS, nll_curve_of(rows))
  originals, made = shades(len(rows))
  walks = np.zeros((len(rows), 2, 3, 8, 8, 1), np.uint8)
  arrays = dict(originals=originals, reconstructions=made, samples=made, traversals=walks)
  np.savez(path / 'images.npz', **arrays)
  return path


def test_draw_all_draws_what_a_later_run_has_left(tmp_path, monkeypatch):
  drawn = {}
  monkeypatch.setattr(figures, 'save', lambda figure, path: drawn.update({path.stem: figure}))
  config = {'study': 'digits', 'train': {'log_powers_of_two': True}}
  figures.draw_all(fill_later(tmp_path, grid(), config))
  assert set(drawn) == {*ALL, *LATER}
  assert all(heading(figure).startswith('digits: ') for figure in drawn.values())
  line = thick_lines(drawn['latents'].axes[0])[0]
  np.testing.assert_allclose(line.get_xydata(), [(1, 2 / 1.5 + 0.5), (2, 2 / 1.5 - 0.5)])
  line = thick_lines(drawn['nll_curve'].axes[0])[0]
  np.testing.assert_allclose(line.get_xydata()[-1], (1000, -143.0))
  line = thick_lines(drawn['loss_curves'].axes[0])[0]
  np.testing.assert_allclose(line.get_xydata()[-1], (100, 109.5))


@pytest.mark.parametrize(
  'config',
  [None, {}, {'train': {}}, {'study': 'digits', 'train': {'log_powers_of_two': False}}],
)
def test_the_loss_is_drawn_only_where_the_config_asks_for_powers_of_two(
  tmp_path, monkeypatch, config
):
  monkeypatch.setattr(figures, 'save', lambda figure, path: path)
  paths = figures.draw_all(fill_later(tmp_path, grid(), config))
  assert {path.stem for path in paths} == {*ALL, *LATER[:-1]}


@pytest.mark.parametrize('name', ['latents', 'nll_curve'])
def test_draw_all_refuses_a_table_of_another_run(tmp_path, name, images_alone):
  rows = grid(betas=(0.5, 1.0), seeds=(0,))
  fill_later(tmp_path, rows)
  path = tmp_path / f'{name}.csv'
  text = path.read_text()
  path.write_text(text.replace(rows[3]['name'], 'b7'))
  with pytest.raises(errors.DamagedError, match=rf'{name}\.csv: lane 3 is b7'):
    figures.draw_all(tmp_path)
  path.write_text(text.replace(f'\n3,{rows[3]["name"]}', f'\n12,{rows[3]["name"]}'))
  with pytest.raises(errors.DamagedError, match=rf'{name}\.csv: lane 12 is beta'):
    figures.draw_all(tmp_path)
  path.write_text(text[:-4])
  with pytest.raises(errors.DamagedError, match=rf'{name}\.csv'):
    figures.draw_all(tmp_path)


def test_draw_all_refuses_traversals_of_another_run(tmp_path, images_alone):
  fill_later(tmp_path, grid())
  originals, made = shades(12)
  walks = np.zeros((2, 2, 3, 8, 8, 1), np.uint8)
  arrays = dict(originals=originals, reconstructions=made, samples=made, traversals=walks)
  np.savez(tmp_path / 'images.npz', **arrays)
  with pytest.raises(errors.DamagedError, match=r'traversals of 2 lanes.*has 12'):
    figures.draw_all(tmp_path)


def test_draw_all_of_results_without_lanes_draws_nothing(tmp_path):
  assert figures.draw_all(fill_workdir(tmp_path, [], images=False)) == []
