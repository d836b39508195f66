"""Long vectors are strips, images [1, D, 1]: of each value its own range, one below the other."""

import types

import numpy as np
import pytest
from figure_data import fill_workdir, grid

from vae_jax import data, figures, programs
from vae_jax.densities import Column
from vae_jax.runs import outcome
from vae_jax.runs.outcome import images as saved

pytestmark = pytest.mark.run

SIZE, LANES = 65, 2  # one more than a table has columns


def made_of(monkeypatch, size=SIZE):
  """Returns a study of vectors, and the arguments and the results of what makes its pictures."""
  rng = np.random.default_rng(0)
  train = (rng.normal(size=(500, size)) * 10.0 ** (np.arange(size) % 5)).astype(np.float32)
  dataset = types.SimpleNamespace(
    train=train,
    test=train[:20],
    support='real',
    fixed_scale=1.0,
    range=(train.min(), train.max()),
    conditions=(),
    typical=data.NOTHING,
    beside_of=lambda *_: data.NOTHING,
  )
  built = types.SimpleNamespace(
    event=(size,),
    dataset=dataset,
    model=None,
    place=None,
    sample=lambda split, count: data.subset(20, count, 0),
  )
  shapes = [(8,), (LANES, 8), (LANES, 8), (LANES, 8, 8), (LANES, 3, 8), (LANES, 2, 8)]
  pixels = [rng.integers(0, 256, (*shape, size), np.uint8) for shape in shapes]
  codes = rng.normal(size=(LANES, 20, 2))
  given = []

  def make_pictures(*arguments):
    given.append(arguments)
    return lambda *of_lanes: programs.Pictures(*pixels, codes)

  monkeypatch.setattr(programs, 'make_pictures', make_pictures)
  return built, given, pixels, codes


def test_they_become_images_of_one_line_and_codes_stay(monkeypatch):
  built, _, pixels, codes = made_of(monkeypatch)
  *found, points = saved.make_pictures(built)(None, None, None)[:7]
  for array, expected in zip(found, pixels, strict=True):
    assert array.shape == (*expected.shape[:-1], 1, SIZE, 1)
    np.testing.assert_array_equal(array[..., 0, :, 0], expected)
  np.testing.assert_array_equal(points, codes)


def test_each_value_has_a_black_and_a_white_of_its_own(monkeypatch):
  built, given, *_ = made_of(monkeypatch)
  built.dataset.train[:, 2] = 7.0
  saved.make_pictures(built)
  black, white = given[0][3]
  train = np.sort(built.dataset.train, axis=0)
  for value in (0, 1, 3, 4):  # a hundredth of 500 is beyond either end
    assert train[4, value] <= black[value] <= train[5, value]
    assert train[-6, value] <= white[value] <= train[-5, value]
  assert (black[2], white[2]) == (7.0, 8.0)
  built.dataset.support = 'unit'
  saved.make_pictures(built)
  assert given[1][3] == built.dataset.range


def test_a_range_is_that_of_the_whole_training_split(monkeypatch):
  """Of rows that are sorted, too, where a part of them tells it."""
  built, given, *_ = made_of(monkeypatch)
  built.dataset.train.sort(axis=0)
  monkeypatch.setattr(saved, '_RANGED', 50)
  saved.make_pictures(built)
  black, white = given[0][3]
  assert (black <= built.dataset.train[10]).all() and (white >= built.dataset.train[-20]).all()


def test_pictures_are_of_the_examples_that_are_chosen_with_what_is_known_of_them(monkeypatch):
  built, given, *_ = made_of(monkeypatch)
  known = np.arange(40.0).reshape(20, 2)
  built.dataset.fixed_scale = 3.0
  built.dataset.beside_of = lambda split, rows: data.Beside({'test': known}[split][rows])
  built.dataset.typical = data.Beside(known[7])
  built.sample = lambda split, count: {('test', 8): [5, 2, 11], ('test', 400): [4, 9]}[split, count]
  saved.make_pictures(built)
  _, shown, scale, *_ = given[0]
  assert scale == 3.0
  np.testing.assert_array_equal(shown.images, built.dataset.test[[5, 2, 11]])
  np.testing.assert_array_equal(shown.beside.condition, known[[5, 2, 11]])
  np.testing.assert_array_equal(shown.coded, built.dataset.test[[4, 9]])
  np.testing.assert_array_equal(shown.beside_coded.condition, known[[4, 9]])
  np.testing.assert_array_equal(shown.typical.condition, known[7])


def test_codes_have_the_labels_of_their_examples_or_else_their_first_factor(monkeypatch):
  built, *_ = made_of(monkeypatch)
  built.sample = lambda split, count: {('test', 400): [4, 9, 1]}[split, count]
  labels, factors = np.arange(20) % 7, np.arange(40).reshape(20, 2)
  named = types.SimpleNamespace(test=factors, names=('shape', 'size'))
  built.dataset.labels, built.dataset.factors = {'test': labels}, named
  found = saved._labels(built)
  assert found['labels'].tolist() == [4, 2, 1] and found['labels_of'] == 'class'
  built.dataset.labels = None
  found = saved._labels(built)
  assert found['labels'].tolist() == [8, 18, 2] and found['labels_of'] == 'shape'
  built.dataset.factors = None
  assert saved._labels(built) == {}


def test_columns_have_their_names_and_their_categories():
  columns = (Column('age'), Column('town', ('Bern', 'Oslo', 'Rome')), Column('sex', ('f', 'm')))
  found = saved._columns(types.SimpleNamespace(columns=columns))
  assert found['columns'].tolist() == ['age', 'town', 'sex']
  assert found['categories'].tolist() == [['', '', ''], ['Bern', 'Oslo', 'Rome'], ['f', 'm', '']]
  assert 'categories' not in saved._columns(types.SimpleNamespace(columns=columns[:1]))
  assert saved._columns(types.SimpleNamespace(columns=())) == {}


def test_of_those_that_no_screen_is_wide_enough_for_there_are_none(monkeypatch):
  built, *_ = made_of(monkeypatch, size=4097)
  assert saved.make_pictures(built) is None


def test_in_a_grid_each_stands_above_its_reconstruction(monkeypatch):
  built, _, pixels, _ = made_of(monkeypatch)
  grids = outcome.lane_grids(saved.make_pictures(built)(None, None, None)._asdict(), (0, 1))
  originals, reconstructions, samples, *_ = pixels
  grid = grids['reconstructions'][1][..., 0]
  np.testing.assert_array_equal(grid[::4], originals)  # each second line is white
  np.testing.assert_array_equal(grid[2::4], reconstructions[1])
  np.testing.assert_array_equal(grids['samples'][0][::2, :, 0], samples[0])


def test_walks_over_two_latents_are_no_figure(tmp_path, monkeypatch):
  built, *_ = made_of(monkeypatch)
  fill_workdir(tmp_path, grid((1.0,), (2,), (0, 1)), images=False)
  found = saved.make_pictures(built)(None, None, None)
  arrays = {name: array for name, array in found._asdict().items() if array is not None}
  np.savez(tmp_path / 'images.npz', **arrays)
  figures.draw_all(tmp_path)
  drawn = {path.stem for path in (tmp_path / 'figures').iterdir()}
  assert 'reconstructions' in drawn and 'traversals' not in drawn
