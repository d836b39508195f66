"""The pictures that are made of images: tiles, reconstructions, samples and traversals."""

import base64
import io
import itertools

import numpy as np
import pytest
from figure_data import GRIDS, grid, heading, overlap, shades
from PIL import Image

from vae_jax import errors, figures
from vae_jax.report import pictures

pytestmark = pytest.mark.run

# Images


def test_image_grid_equals_a_tiling_by_hand():
  images = np.arange(12, dtype=np.uint8).reshape(3, 2, 2, 1)
  expected = [
    [0, 1, 255, 4, 5],
    [2, 3, 255, 6, 7],
    [255, 255, 255, 255, 255],
    [8, 9, 255, 255, 255],
    [10, 11, 255, 255, 255],
  ]
  np.testing.assert_array_equal(figures.image_grid(images)[..., 0], expected)
  np.testing.assert_array_equal(
    figures.image_grid(images, columns=3, separator=0)[..., 0],
    [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]],
  )


@pytest.mark.parametrize(('channels', 'shown'), [(1, 1), (2, 1), (3, 3), (4, 3), (5, 1)])
def test_image_grid_shows_colours_or_the_first_channel(channels, shown):
  images = np.random.default_rng(0).integers(0, 255, (4, 1, 7, channels), np.uint8)
  tiled = figures.image_grid(images, columns=1)
  assert tiled.shape == (7, 7, shown) and tiled.dtype == np.uint8
  np.testing.assert_array_equal(tiled[::2], images[:, 0, :, :shown])
  assert (tiled[1::2] == 255).all()


@pytest.mark.parametrize(
  ('images', 'columns'),
  [
    (np.zeros((2, 4, 4), np.uint8), None),
    (np.zeros((0, 4, 4, 1), np.uint8), 2),
    (np.zeros((2, 4, 4, 1)), None),
    (np.zeros((2, 4, 4, 1), np.uint8), 0),
  ],
)
def test_image_grid_refuses_what_is_no_list_of_images(images, columns):
  with pytest.raises(errors.InputError):
    figures.image_grid(images, columns)


def test_what_is_red_is_red_in_the_png_and_on_the_page(tmp_path):
  """Also where nothing is black or white: no colour depends on what else is shown."""
  red = (220, 30, 40)
  rows = grid((1.0,), (2,), (0,))
  images = np.broadcast_to(np.array(red, np.uint8), (1, 3, 8, 8, 3))
  path = figures.save(figures.reconstructions(images[0], images, rows), tmp_path / 'red.png')
  pixels = np.asarray(Image.open(path)).reshape(-1, 3)
  coloured = pixels[np.ptp(pixels.astype(int), axis=1) > 0]
  assert len(coloured) > 20_000
  assert (coloured == red).all(axis=1).mean() > 0.95  # but for the edges of images
  text = pictures.uri(images[0], 3).partition('base64,')[2]
  shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(text))).convert('RGB'))
  np.testing.assert_array_equal(shown[:, :8].reshape(-1, 3), np.tile(red, (64, 1)))


def test_samples_by_condition_are_rows_of_the_best_lane_with_the_names():
  rows = grid((1.0, 4.0), (2, 8), (0,))  # the ELBO of beta 4 and two latents is the highest
  shades_of = np.arange(0, 120, 10, dtype=np.uint8).reshape(4, 3, 1, 1, 1, 1)
  images = np.broadcast_to(shades_of, (4, 3, 4, 8, 8, 1))
  figure = figures.by_condition(images, ['cat', 'dog', 'elk'], rows, 'pets')
  assert rows_drawn(figure) == {'cat': 60, 'dog': 70, 'elk': 80}
  assert rows[2]['name'] in heading(figure)
  lost = [dict(row, status='diverged') for row in rows]
  assert figures.by_condition(images, ['cat', 'dog', 'elk'], lost) is None


def rows_drawn(figure):
  """Returns {label: shade} read from the picture at the height of each label."""
  axes = figure.axes[0]
  picture = axes.images[0].get_array()
  labels = [label.get_text() for label in axes.get_yticklabels()]
  heights = [int(tick) for tick in axes.get_yticks()]
  return {label: int(picture[y, 0]) for label, y in zip(labels, heights, strict=True)}


def test_reconstructions_are_labelled_and_below_the_originals():
  rows = grid()
  originals, images = shades(len(rows))
  names = [rows[5]['name'], rows[0]['name']]
  figure = figures.reconstructions(originals, images, rows, names, 'digits')
  assert list(rows_drawn(figure).items()) == [
    ('original', 7),
    (f'{names[0]}\nrate 93.0, distortion 53.0', 25),
    (f'{names[1]}\nrate 97.0, distortion 51.0', 20),
  ]
  assert heading(figure).startswith('digits: ') and 'nats' in heading(figure)
  sampled = figures.samples(images, rows, names)
  assert list(rows_drawn(sampled).items()) == [
    (f'{names[0]}\nELBO −146.0', 25),
    (f'{names[1]}\nELBO −148.0', 20),
  ]


def test_an_unknown_lane_is_refused_with_the_nearest_name():
  rows = grid()
  with pytest.raises(
    errors.InputError, match=r"'beta1_z2_s0_lr0.01'.*nearest is 'beta1_z2_s0_lr0.001'"
  ):
    figures.reconstructions(*shades(len(rows)), rows, ['beta1_z2_s0_lr0.01'])


def test_default_lanes_are_first_seeds_spread_over_the_grid_without_the_lost():
  rows = grid(betas=(0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0), latent_sizes=(2, 4, 8, 16, 32))
  lost = next(row for row in rows if (row['beta'], row['latent_size'], row['seed']) == (8.0, 32, 0))
  lost['status'] = 'diverged'
  labels = list(rows_drawn(figures.samples(shades(len(rows))[1], rows)))
  names = [label.split('\n')[0] for label in labels]
  chosen = [row for row in rows if row['name'] in names]
  assert len(chosen) == 8 and lost not in chosen
  # The other seed stands in for the lost one; all other lanes are of the first.
  assert sum(row['seed'] for row in chosen) == 1
  widest = [row['beta'] for row in chosen if row['latent_size'] == 32]
  assert (min(widest), max(widest)) == (0.1, 8.0) and len(widest) >= 5
  assert {2, 32} < {row['latent_size'] for row in chosen if row['beta'] == 1.0}
  few = grid(seeds=(0,))
  assert len(rows_drawn(figures.samples(shades(len(few))[1], few))) == len(few)


@pytest.mark.parametrize(
  'shape', [(1, 64, 1), (64, 1, 1), (1, 1, 1), (1, 784, 1), (13, 9, 3), (28, 28, 4), (28, 56, 1)]
)
def test_images_of_any_shape_are_drawn_with_room_for_their_labels(shape):
  rows = grid(seeds=(0,))
  figure = figures.reconstructions(*shades(len(rows), 20, shape), rows)
  figure.draw_without_rendering()
  axes = figure.axes[0]
  assert axes.images[0].get_array().ndim == (3 if shape[2] in (3, 4) else 2)
  labels = axes.get_yticklabels()
  assert len(labels) == 7
  assert not any(overlap(a, b) for a, b in itertools.pairwise(labels))
  assert all(label.get_window_extent().x1 <= axes.get_window_extent().x0 for label in labels)
  width, height = figure.get_size_inches()
  assert width < 10 and height < 12
  # Only what would be too thin for its label, or half a page high, loses its square pixels.
  assert (axes.get_aspect() == 1) == (1 / 10 < shape[0] / shape[1] < 10)


# Traversals


def grids(num_lanes, rows=3, columns=4, shape=(8, 8, 1)):
  """Returns images of lane g, row i and column j of value 10 g + 3 i + j (modulo 256)."""
  lane, row, column = np.indices((num_lanes, rows, columns))
  values = (10 * lane + 3 * row + column).astype(np.uint8)
  return np.broadcast_to(values[..., None, None, None], (num_lanes, rows, columns, *shape))


def panel(axes):
  """Returns the label of a panel and the value of each of its images of 8 x 8."""
  picture = axes.images[0].get_array()
  assert picture.shape[0] % 9 == 8 and picture.shape[1] % 9 == 8
  tiles = picture[::9, ::9]
  np.testing.assert_array_equal(picture[7::9, 7::9], tiles)
  return axes.get_title(), tiles.tolist()


def test_traversals_are_those_of_the_best_lane_of_each_latent_size():
  rows = grid(betas=(1.0, 4.0, 2.0), latent_sizes=(2, 8))
  rows[4]['test/elbo'] = None  # beta 4, latent size 2, seed 0: would be the best
  figure = figures.traversals(grids(len(rows)), rows, 'digits')
  # The test ELBO of beta 4 is the best, that of seed 0 above that of seed 1.
  assert [panel(axes) for axes in figure.axes] == [
    (f'{rows[5]["name"]}\nELBO −122.0', [[50 + 3 * i + j for j in range(4)] for i in range(3)]),
    (f'{rows[6]["name"]}\nELBO −126.0', [[60 + 3 * i + j for j in range(4)] for i in range(3)]),
  ]
  words = 'digits: images for z from −1 to 1 the most used latent across, the second down; test'
  assert heading(figure).startswith(words)


def test_a_lane_of_one_latent_has_one_row():
  rows = grid(betas=(1.0,), latent_sizes=(1, 2), seeds=(0,))
  images = grids(2).copy()
  below = figures.traversals(images, rows)  # a second latent, in a layer below
  assert panel(below.axes[0])[1] == [[0, 1, 2, 3], [3, 4, 5, 6], [6, 7, 8, 9]]
  images[:] = images[:, :1]
  figure = figures.traversals(images, rows)
  assert [panel(axes)[1] for axes in figure.axes] == [[[0, 1, 2, 3]], [[10, 11, 12, 13]] * 3]
  alone = figures.traversals(grids(1, rows=1), rows[:1])
  assert panel(alone.axes[0])[1] == [[0, 1, 2, 3]]
  assert 'the most used latent across;' in heading(alone)


def test_of_many_latent_sizes_the_best_lane_is_among_the_four_that_are_drawn():
  sizes = (2, 4, 8, 16, 32, 64)
  rows = grid(betas=(1.0,), latent_sizes=sizes, seeds=(0,))
  rows[3]['test/elbo'] = -1.0
  rows[0]['status'] = 'diverged'
  figure = figures.traversals(grids(len(rows)), rows)
  names = [axes.get_title().split('\n')[0] for axes in figure.axes]
  assert names == [rows[i]['name'] for i in (1, 3, 4, 5)]


def test_there_are_no_traversals_without_an_elbo_or_images():
  rows = grid(seeds=(0,))
  assert figures.traversals(grids(len(rows), columns=0), rows) is None
  assert figures.traversals(grids(len(rows)), [dict(row, status='failed') for row in rows]) is None
  assert (
    figures.traversals(grids(len(rows)), [dict(row, **{'test/elbo': None}) for row in rows]) is None
  )


@pytest.mark.parametrize(
  ('size', 'shape'),
  [
    *((size, (28, 28, 1)) for size in GRIDS),
    *(('4', shape) for shape in ((64, 32, 3), (1, 100, 1), (100, 1, 1), (13, 9, 2))),
  ],
)
def test_traversals_of_any_size_are_readable(size, shape):
  rows = grid(*GRIDS[size])
  figure = figures.traversals(grids(len(rows), 10, 10, shape), rows, 'a study of the digits')
  figure.draw_without_rendering()
  assert len(figure.axes) == min(4, len({row['latent_size'] for row in rows}))
  width, height = figure.get_size_inches()
  assert width < 9 and height < 14
  parts = [part for axes in figure.axes for part in (axes, axes.title)]
  pairs = itertools.combinations([figure._suptitle, *parts], 2)
  assert not any(overlap(*pair) for pair in pairs)
  for axes in figure.axes:
    box = axes.get_window_extent()
    assert box.width > 200 and box.height > 10
