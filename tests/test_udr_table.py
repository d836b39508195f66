"""udr.csv: which lanes are compared, on which images, and what counts as a latent."""

import types

import numpy as np
import pytest

from vae_jax import evaluation, lanes, records
from vae_jax.runs.outcome import seeds

pytestmark = pytest.mark.run

GRID = np.stack(np.meshgrid(*[np.arange(3.0)] * 3), axis=-1).reshape(-1, 3)


def evaluated(rates, variances=None):
  return evaluation.Evaluation({}, np.array(rates), np.array(variances or rates))


def table_of(tmp_path, monkeypatch, points, codes, found, images=50):
  """What a study of these points leaves whose lanes have these codes [G, n, Z]."""
  asked = []

  def encode(model, params, of_study, images, scale, place, beside):
    asked.append(images)
    return np.asarray(codes)

  monkeypatch.setattr(seeds.programs, 'encode', encode)
  sizes = [point['latent_size'] for point in points]
  built = types.SimpleNamespace(
    points=points,
    names=lanes.names(points),
    lanes=lanes.stack(points, max(sizes)),
    chosen_on='validation',
    dataset=types.SimpleNamespace(
      split=lambda name: [name] * images, fixed_scale=1.0, beside_of=lambda *_: None
    ),
    sample=lambda split, count: np.arange(0),
    evaluation=types.SimpleNamespace(factor_images=9),
    model=None,
    place=None,
  )
  built.dataset.split = lambda name: np.array([f'{name}-{i}' for i in range(images)])
  built.sample = lambda split, count: np.arange(min(count, images))
  state = types.SimpleNamespace(evaluated=None, multiplier=None)
  seeds.write_udr(built, tmp_path, state, {'validation': found})
  path = tmp_path / 'udr.csv'
  return asked, records.read_table(path, records.UDR_COLUMNS) if path.exists() else None


def test_the_seeds_of_a_point_are_compared_and_nothing_else(tmp_path, monkeypatch):
  """Three seeds of one beta find the same; a lane of another beta has none to compare with."""
  points = [
    lanes.point(1.0, 3, 0),
    lanes.point(4.0, 3, 0),
    *(lanes.point(1.0, 3, s) for s in (1, 2)),
  ]
  codes = [GRID, GRID[::-1], -GRID[:, [1, 2, 0]], 5 * GRID[:, ::-1]]
  asked, rows = table_of(tmp_path, monkeypatch, points, codes, evaluated(np.ones((4, 3))))
  assert [row['lane'] for row in rows] == [0, 2, 3]
  assert [row['name'] for row in rows] == ['b1-z3-s0', 'b1-z3-s1', 'b1-z3-s2']
  assert {(row['images'], row['others'], row['informative']) for row in rows} == {(9, 2, 3)}
  np.testing.assert_allclose([row['udr'] for row in rows], 1.0)
  np.testing.assert_allclose([row['udr_lasso'] for row in rows], 0.9, rtol=1e-6)
  assert asked[0].tolist() == [f'validation-{i}' for i in range(9)]


def test_padding_and_latents_that_say_nothing_do_not_count(tmp_path, monkeypatch):
  points = [lanes.point(1.0, 2, seed) for seed in (0, 1)] + [lanes.point(1.0, 3, 0)]
  rates = [[0.5, 0.009, 9.0], [0.5, 0.011, 9.0], [1.0, 1.0, 1.0]]
  _, rows = table_of(tmp_path, monkeypatch, points, [GRID] * 3, evaluated(rates))
  assert [row['informative'] for row in rows] == [1, 2]
  # A rate that does not split by latent: those whose centre varies.
  found = evaluated([[3.0]] * 3, [[0.5, 0.02, 9.0], [0.5, 0.005, 9.0], [1.0, 1.0, 1.0]])
  _, rows = table_of(tmp_path, monkeypatch, points, [GRID] * 3, found)
  assert [row['informative'] for row in rows] == [2, 1]


def test_a_lane_that_diverged_has_an_empty_row(tmp_path, monkeypatch):
  points = [lanes.point(1.0, 3, seed) for seed in (0, 1, 2)]
  codes = [GRID, GRID * np.nan, -GRID]
  _, rows = table_of(tmp_path, monkeypatch, points, codes, evaluated(np.ones((3, 3))))
  assert [row['others'] for row in rows] == [1, None, 1]
  assert [row['udr'] for row in rows] == [1.0, None, 1.0]


def test_without_several_seeds_nothing_is_coded(tmp_path, monkeypatch):
  points = [lanes.point(beta, 3, 0) for beta in (1.0, 2.0)]
  asked, rows = table_of(tmp_path, monkeypatch, points, [GRID] * 2, evaluated(np.ones((2, 3))))
  assert rows is None and not asked
  points = [lanes.point(1.0, 3, seed) for seed in (0, 1)]
  found = evaluated(np.ones((2, 3)))
  asked, rows = table_of(tmp_path, monkeypatch, points, [GRID] * 2, found, images=1)
  assert rows is None and not asked
