"""Which codes pictures are of, and what is known of each, by a model that shows both."""

import types

import distrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vae_jax import data, densities, evaluation, lanes, placement, programs

pytestmark = pytest.mark.math

SIZE, SHIFT = 5, 1000.0  # samples; by which a draw is more than its mean
RNG = np.random.default_rng(0)
IMAGES, CODED = (RNG.normal(size=(n, 4)).astype(np.float32) for n in (3, 6))
KNOWN, KNOWN_OF_CODED = (RNG.normal(size=(n, 2)).astype(np.float32) for n in (3, 6))
TYPICAL = np.float32([0.5, -0.5])
CONDITIONS = np.eye(2, dtype=np.float32)
USAGE = np.array([[0.1, 0.2], [0.2, 0.1]], np.float32)  # of two lanes
MEANS = np.array([[3.0, 4.0], [-1.0, 2.0]], np.float32)  # of their mixtures


class Shown(distrax.Deterministic):
  """Its mean is a code [2] beside what is known [2]; a draw is more."""

  def _sample_n(self, key, n):
    return super()._sample_n(key, n) + SHIFT


def encode(known, x, mask):
  return densities.DiagonalGaussian(x[:2] + known, jnp.ones(2), mask)


MODEL = types.SimpleNamespace(
  at_beta=lambda params, beta: params,
  knowing=lambda params, beside: beside.condition,
  encode=encode,
  decode=lambda known, z, mask: Shown(jnp.concatenate([z, known])),
  prior=lambda params, mask: densities.StandardNormal(mask),
  lower_size=0,
)
LANES = lanes.stack([lanes.point(1.0, 2, seed, 1e-3) for seed in (0, 7)], 2)


def made(ends=None, is_drawn=False, images=IMAGES):
  shown = programs.Shown(
    images=images,
    coded=CODED,
    beside=data.Beside(KNOWN),
    beside_coded=data.Beside(KNOWN_OF_CODED),
    typical=data.Beside(TYPICAL),
    conditions=data.Beside(CONDITIONS),
  )
  place = placement.of_width(2, 10)
  mixtures = evaluation.Mixture(
    np.zeros((2, 1), np.float32), MEANS[:, None], np.zeros((2, 1, 2, 2), np.float32)
  )
  program = programs.make_pictures(MODEL, shown, 1.0, ends, SIZE, place, is_drawn)
  return program(np.zeros(2), LANES, USAGE, mixtures)


def beside_each(codes, known):
  """Codes [..., 2] and what is known of them, as the model shows both."""
  return np.concatenate([codes, np.broadcast_to(known, codes.shape)], axis=-1)


def assert_same(found, expected):
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('is_drawn', [False, True])
def test_every_picture_is_of_its_codes_and_of_what_is_known_of_them(is_drawn):
  """Samples are known as the images are, in turn; walks as the typical example."""
  pictures = made(is_drawn=is_drawn)
  assert_same(pictures.originals, IMAGES)
  assert pictures.traversals is None
  centres, of_coded = IMAGES[:, :2] + KNOWN, CODED[:, :2] + KNOWN_OF_CODED
  of_samples, drawn = KNOWN[[0, 1, 2, 0, 1]], SHIFT * is_drawn
  share, along = np.linspace(0, 1, 8)[:, None], np.linspace(-2, 2, 8)
  first_samples = []
  for i in range(2):
    lane = jax.tree.map(lambda leaf, i=i: leaf[i], LANES)
    z = np.asarray(jax.jit(lambda lane: evaluation.sample_prior(MODEL, None, lane, SIZE))(lane))
    first_samples.append(z[0])
    order = np.argsort(-USAGE[i])
    walks = np.zeros((8, 8, 2))
    walks[0, :, order[0]] = walks[1, :, order[1]] = along
    assert_same(pictures.reconstructions[i], beside_each(centres, KNOWN))
    assert_same(pictures.samples[i], beside_each(z, of_samples) + drawn)
    assert_same(pictures.units[i], beside_each(walks, TYPICAL))
    ends = beside_each(centres, KNOWN)
    assert_same(pictures.interpolations[i, 0], (1 - share) * ends[0] + share * ends[1])
    assert_same(pictures.codes[i], of_coded[:, order])
    of_mixture = np.tile(MEANS[i], (SIZE, 1))
    assert_same(pictures.aggregate_samples[i], beside_each(of_mixture, of_samples) + drawn)
    for k, condition in enumerate(CONDITIONS):
      assert_same(pictures.by_condition[i, k], beside_each(z, condition) + drawn)
      assert_same(pictures.walks_by_condition[i, k], beside_each(walks[0], condition))
  assert not np.allclose(*first_samples)  # each lane has its own


def test_pixels_go_from_black_to_white_and_what_is_beyond_is_clipped():
  images = np.float32([[-5, -4, 0, 1], [2.9, 4, 9, np.nan], [0, 0, 0, 0]])
  pictures = made(ends=(-4.0, 4.0), images=images)
  expected = [[0, 0, 128, 159], [220, 255, 255, 128], [128, 128, 128, 128]]
  np.testing.assert_array_equal(pictures.originals, expected)
  assert pictures.originals.dtype == np.uint8
  assert pictures.traversals.shape == (2, 8, 8, 4) and pictures.codes.dtype == np.float32


def test_codes_are_of_what_is_known_of_each_image():
  place = placement.of_width(2, 10)
  found = programs.encode(MODEL, np.zeros(2), LANES, IMAGES, 1.0, place, data.Beside(KNOWN))
  assert_same(found, [IMAGES[:, :2] + KNOWN] * 2)


def test_the_parts_of_the_rate_are_of_what_is_known_of_each_image():
  """More of them than a batch has: six codes that only that tells apart are log 6 nats."""
  apart = 100 * np.arange(12, dtype=np.float32).reshape(6, 2)
  given = np.zeros(2), LANES, np.zeros((6, 4), np.float32), 1.0, 4, placement.of_width(2, 10)
  found = programs.aggregate(MODEL, *given, beside=data.Beside(apart))
  assert_same(found['mutual_information'], [np.log(6)] * 2)
