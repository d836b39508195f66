"""Drawn shapes: geometry against closed forms, the factorial grid, the split, the exact bytes."""

import functools
import hashlib

import numpy as np
import pytest

from vae_jax import data
from vae_jax.data import shapes

pytestmark = pytest.mark.math

SIZES = (3, 4, 5, 8, 8)
ANGLE = np.arctan2(7, 24)


@pytest.fixture(scope='module')
def grid():
  """Returns all images as [shape, scale, orientation, x, y, H, W], and their factors."""
  images, factors = shapes.render()
  return images.reshape(*SIZES, 32, 32), factors


@functools.cache
def load(**changes):
  settings = {'train_split': 'train', 'test_split': 'test', 'binarize': 'none', 'seed': 0}
  return data.load(
    'shapes',
    crop=(),
    pad=(),
    scale_to_unit=False,
    kind='auto',
    range=(),
    standardize='none',
    **(settings | changes),
  )


def moments(images):
  """Returns mass [...], centre (x, y) [..., 2] and covariance [..., 2, 2]; y is downwards."""
  weights = images / 255.0
  mass = weights.sum(axis=(-2, -1))
  at = np.arange(32) + 0.5
  places = np.stack(np.meshgrid(at, at), axis=-1)  # [H, W, 2]
  centre = np.einsum('...hw,hwi->...i', weights, places) / mass[..., None]
  deviation = places - centre[..., None, None, :]
  covariance = np.einsum('...hw,...hwi,...hwj->...ij', weights, deviation, deviation)
  return mass, centre, covariance / mass[..., None, None]


@pytest.fixture(scope='module')
def measured(grid):
  """Returns the moments of all images."""
  return moments(grid[0])


def test_every_combination_once_and_no_two_images_alike(grid):
  images, factors = grid
  assert factors.dtype.names == ('shape', 'scale', 'orientation', 'x', 'y')
  values = np.stack([factors[name] for name in factors.dtype.names])
  np.testing.assert_array_equal(np.ravel_multi_index(values, SIZES), np.arange(np.prod(SIZES)))
  flat = images.reshape(-1, 32 * 32)
  assert len(set(map(bytes, flat))) == len(flat)
  assert len(set(map(bytes, flat > 127))) == len(flat), 'alike once binarised'
  assert (flat.min(), flat.max()) == (0, 255)
  assert len(np.unique(flat)) == 65, 'not antialiased'


def test_neighbouring_values_are_told_apart(grid):
  """Turning a square from its last orientation on would lead back to the first: not so near."""
  images = grid[0][:, :, :, 4, 4] / 255.0  # [shape, scale, orientation, H, W]
  step = np.linalg.norm(images[:, :, 1:] - images[:, :, :-1], axis=(-2, -1))
  around = np.linalg.norm(images[:, :, -1] - images[:, :, 0], axis=(-2, -1))
  assert step.min() > 1
  assert np.all(around > step.mean(axis=2))


def test_area_against_the_closed_form(measured):
  mass, _, _ = measured
  assert np.all(np.ptp(mass, axis=(3, 4)) < 1e-9), 'a shape is cut off at the border'
  scale = np.array([4, 5, 6, 7.0])
  area = mass[..., 0, 0]  # [shape, scale, orientation]
  np.testing.assert_allclose(area[0], np.tile((1.8 * scale[:, None]) ** 2, 5), rtol=0.02)
  np.testing.assert_allclose(area[1], np.tile(np.pi * 0.72 * scale[:, None] ** 2, 5), rtol=0.01)
  u, v = np.meshgrid(np.linspace(-2, 2, 1001), np.linspace(-2, 2, 1001))
  heart = np.mean((u**2 + v**2 - 1) ** 3 <= u**2 * v**3) * 16 / 1.125**2
  np.testing.assert_allclose(area[2], np.tile(heart * scale[:, None] ** 2, 5), rtol=0.01)


def test_position_is_two_pixels_a_step_and_centred(measured):
  _, centre, _ = measured
  x, y = centre[..., 0], centre[..., 1]
  np.testing.assert_allclose(np.diff(x, axis=3), 2, atol=1e-9)
  np.testing.assert_allclose(np.diff(y, axis=4), 2, atol=1e-9)
  np.testing.assert_allclose(np.diff(x, axis=4), 0, atol=1e-9)
  np.testing.assert_allclose(np.diff(y, axis=3), 0, atol=1e-9)
  middle = (centre[:, :, :, 0, 0] + centre[:, :, :, 7, 7]) / 2
  np.testing.assert_allclose(middle[:2], 16, atol=0.02)  # square and ellipse
  np.testing.assert_allclose(middle[2], 16, atol=2)


def test_orientation_turns_the_ellipse_by_the_angle_of_the_triangle(measured):
  covariance = measured[2][1]  # [scale, orientation, x, y, 2, 2]
  a, b, c = (covariance[..., i, j] for i, j in ((0, 0), (1, 1), (0, 1)))
  angle = np.arctan2(2 * c, a - b) / 2
  expected = ANGLE * np.arange(5)[:, None, None]
  np.testing.assert_allclose(angle, np.broadcast_to(expected, angle.shape), atol=0.02)
  axes = np.linalg.eigvalsh(covariance)  # of an ellipse: a quarter of the squared half axes
  scale = np.array([4, 5, 6, 7.0])[:, None, None, None]
  pixel = 1 / 12  # variance of a point in its pixel
  np.testing.assert_allclose(
    axes[..., 1], np.broadcast_to((1.2 * scale) ** 2 / 4 + pixel, angle.shape), rtol=0.03
  )
  np.testing.assert_allclose(
    axes[..., 0], np.broadcast_to((0.6 * scale) ** 2 / 4 + pixel, angle.shape), rtol=0.03
  )


def test_heart_stands_on_its_tip_and_turns_with_the_others(grid):
  """Its third moment lies along its axis: upright at first, then turned by the same angles."""
  upright = grid[0][2, 3, 0, 4, 4]
  np.testing.assert_array_equal(upright[:, 2:], upright[:, :1:-1])  # its centre is at x = 17
  widths = np.count_nonzero(upright, axis=1)
  rows = np.flatnonzero(widths)
  assert widths[rows[0]] > 2 * widths[rows[-1]], 'the tip is not below'
  weights = grid[0][2, 3, :, 4, 4] / 255.0  # [orientation, H, W]
  mass, centre, _ = moments(grid[0][2, 3, :, 4, 4])
  at = np.arange(32) + 0.5
  turned = []
  for image, (cx, cy), total in zip(weights, centre, mass, strict=True):
    dx, dy = at - cx, (at - cy)[:, None]
    radius = dx**2 + dy**2
    turned.append(np.array([(image * radius * dx).sum(), (image * radius * dy).sum()]) / total)
  angle = np.arctan2(*np.array(turned).T[::-1])
  np.testing.assert_allclose(angle, -np.pi / 2 + ANGLE * np.arange(5), atol=0.05)


def test_images_are_the_same_bytes_everywhere(grid):
  images, _ = grid
  digest = hashlib.sha256(np.ascontiguousarray(images)).hexdigest()
  assert digest == '9b0dd9d1732d423a0d765fc4efb2de4e8371425d9c5631c5d669470e380bbff8'


def test_split_is_fixed_and_shares_out_the_grid(grid):
  images, _ = grid
  loaded = load()
  assert (loaded.name, loaded.version, loaded.support) == ('shapes', '1.0.0', 'uint8')
  assert (loaded.train.shape, loaded.test.shape) == ((3072, 32, 32, 1), (768, 32, 32, 1))
  assert loaded.sha256 == load(train_split='train[:10]').sha256
  assert loaded.sha256.startswith('cc72a759a76fa5f9')
  names, train, validation, test = loaded.factors
  assert validation.shape == (0, 5)
  assert names == ('shape', 'scale', 'orientation', 'x', 'y')
  assert train.dtype == test.dtype == np.int32
  codes = [np.ravel_multi_index(part.T, SIZES) for part in (train, test)]
  np.testing.assert_array_equal(np.sort(np.concatenate(codes)), np.arange(np.prod(SIZES)))
  flat = images.reshape(-1, 32, 32, 1)
  for part, code in zip((loaded.train, loaded.test), codes, strict=True):
    np.testing.assert_array_equal(part, flat[code])  # each image beside its own factors
  assert not np.array_equal(np.sort(codes[0]), codes[0]), 'in the order of the grid'


@pytest.mark.parametrize('part', ['train[:20%]', 'train[80%:]', 'test', 'test[:50%]'])
def test_a_slice_is_a_random_sample_of_the_grid(part):
  sample = load(test_split=part).factors.test
  n, population = len(sample), np.prod(SIZES)
  for column, size in zip(sample.T, SIZES, strict=True):
    counts = np.bincount(column, minlength=size)
    p = 1 / size
    stderr = np.sqrt(n * p * (1 - p) * (population - n) / (population - 1))
    assert np.all(np.abs(counts - n * p) < 5 * stderr)


@pytest.mark.parametrize('binarize', ['dynamic', 'static', 'threshold'])
def test_shapes_can_be_binarised(binarize):
  plain, loaded = load(), load(binarize=binarize)
  assert (loaded.support, loaded.dynamic) == ('binary', binarize == 'dynamic')
  if binarize == 'threshold':
    np.testing.assert_array_equal(loaded.test, plain.test > 127)
  for before, after in zip(plain.factors[1:], loaded.factors[1:], strict=True):
    np.testing.assert_array_equal(before, after)
