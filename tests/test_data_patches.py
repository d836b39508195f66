"""Patches of photographs: no pixel in two splits, and each where it says it is."""

import hashlib

import numpy as np
import pytest

from vae_jax import data
from vae_jax.data import patches

pytestmark = pytest.mark.math


def test_no_pixel_of_a_photograph_is_in_two_splits():
  seen = np.zeros((len(patches.SPLITS), 2, 427, 640), bool)
  for split, name in zip(seen, patches.SPLITS, strict=True):
    for photograph, _, top, left in patches.corners(name):
      assert 0 <= top <= 427 - patches.SIZE and 0 <= left <= 640 - patches.SIZE
      split[photograph, top : top + patches.SIZE, left : left + patches.SIZE] = True
  assert seen.sum(axis=0).max() == 1
  # Of all pixels two thirds, a fifth and a fifth, without the edges that no patch of 8 n reaches.
  np.testing.assert_allclose(seen.mean(axis=(1, 2, 3)), [0.6, 0.2, 0.2], atol=0.03)


def test_the_patches_are_those_of_the_photographs(tmp_path, monkeypatch):
  monkeypatch.setenv('VAE_JAX_CACHE', str(tmp_path))
  source = data.open_source({'name': 'patches'})
  photographs = patches.photographs()
  for _ in range(2):  # cut, and from the cache
    found = source.read('test')
    for i in (0, 500, 1091):
      photograph, region, top, left = patches.corners('test')[i]
      np.testing.assert_array_equal(
        found.images[i], photographs[photograph][top : top + 32, left : left + 32]
      )
      assert found.beside['label'][i] == ('china', 'flower')[photograph]
      assert found.beside['region'][i] == region + 15 * photograph
  counts = [len(patches.corners(split)) for split in patches.SPLITS]
  assert counts == [3276, 1092, 1092]


def test_the_order_is_the_same_on_any_machine():
  places = patches.corners('train').astype('<i8')
  assert hashlib.sha256(places.tobytes()).hexdigest()[:16] == 'd3d3409874f6371e'
