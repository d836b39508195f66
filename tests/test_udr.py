"""UDR: the same latents score 1 in any order and sign, random ones little; SciPy is the oracle."""

import numpy as np
import pytest
from scipy import stats
from sklearn import linear_model

from vae_jax import disentanglement, errors
from vae_jax.disentanglement.udr import LASSO_WEIGHT, Similarity, lasso, pair_score, spearman

pytestmark = pytest.mark.math

N, Z = 400, 5


def codes_of(seed, size=Z):
  return np.random.default_rng(seed).normal(size=(N, size))


ALL = np.ones(Z, bool)


def test_models_with_the_same_latents_score_1_in_any_order_sign_and_scale():
  """A latent is a little like the others of its model, by chance: below 1, and the same for all."""
  codes = codes_of(0)
  codes = np.linalg.qr(codes - codes.mean(axis=0))[0]  # no latent is like another
  ranks = stats.rankdata(codes, axis=0)
  order = np.array([3, 0, 4, 1, 2])
  models = [ranks, -ranks[:, order], 7 * ranks * np.array([1, -1, 1, -1, 1]) + 3]
  # R is the same matrix up to its order: each model scores what one scores against itself.
  expected = pair_score(np.abs(stats.spearmanr(ranks).statistic), 2 * Z)
  np.testing.assert_allclose(disentanglement.udr(models, [ALL] * 3), expected, rtol=1e-9)
  assert 0.8 < expected < 1


def orthogonal_ranks():
  """Three codes [9 * 3, 3] on a grid: ranks of each are exactly uncorrelated with the others'."""
  return np.stack(np.meshgrid(*[np.arange(3.0)] * 3), axis=-1).reshape(-1, 3)


def test_a_perfect_match_is_1_to_rounding():
  grid = orthogonal_ranks()
  models = [grid, -grid[:, [2, 0, 1]], np.exp(grid[:, [1, 2, 0]])]
  masks = [np.ones(3, bool)] * 3
  np.testing.assert_allclose(disentanglement.udr(models, masks), 1.0, rtol=1e-12)
  # The Lasso shrinks a coefficient of 1 by its weight; exp is no linear function.
  linear = disentanglement.udr(models[:2], masks[:2], lasso)
  np.testing.assert_allclose(linear, 1 - LASSO_WEIGHT, rtol=1e-6)


def test_random_codes_score_little():
  """|rho| of n independent pairs is about sqrt(2 / (pi n)): 0.04."""
  models, masks = [codes_of(seed) for seed in range(4)], [ALL] * 4
  assert max(disentanglement.udr(models, masks)) < 0.1
  assert max(disentanglement.udr(models, masks, lasso)) < 0.05


def test_a_rotation_scores_between_the_two():
  """Latents that are mixtures: the same information, and another basis in each model."""
  codes = codes_of(0)
  rotate = lambda seed: codes @ np.linalg.qr(codes_of(seed, Z)[:Z])[0]  # noqa: E731
  mixed = disentanglement.udr([rotate(1), rotate(2), rotate(3)], [ALL] * 3)
  assert min(mixed) > 0.1 and max(mixed) < 0.6


def test_similarity_is_scipys():
  codes, others = codes_of(0), np.round(codes_of(1, 3) + codes_of(0)[:, :3], 1)  # with ties
  found = spearman(codes, others)
  for z in range(Z):
    for y in range(3):
      rho = stats.spearmanr(codes[:, z], others[:, y]).statistic
      assert found[z, y] == pytest.approx(abs(rho), abs=1e-12)


def test_the_lasso_of_orthogonal_codes_is_a_soft_threshold():
  """w = sign(c) max(|c| - 0.1, 0), c the correlation."""
  grid = orthogonal_ranks()
  others = np.stack([grid @ [0.9, 0.3, 0.05], grid @ [0.0, -1.0, 2.0]], axis=1)
  correlation = np.corrcoef(grid.T, others.T)[:3, 3:]
  expected = np.maximum(np.abs(correlation) - 0.1, 0)
  np.testing.assert_allclose(lasso(grid, others), expected, atol=1e-4)


def test_the_lasso_of_related_latents_is_scikit_learns():
  """Of two models at once, one latent constant; latents of a model are alike, up to 0.9."""
  mixed = codes_of(0) @ np.linalg.cholesky(0.1 * np.eye(Z) + 0.9)
  others = mixed @ codes_of(1)[:Z] + codes_of(2)
  mixed[:, 1] = 3.0
  model = linear_model.Lasso(alpha=LASSO_WEIGHT, tol=1e-12)
  scaled = stats.zscore(np.delete(mixed, 1, axis=1))
  expected = np.abs(model.fit(scaled, stats.zscore(others)).coef_).T
  found = lasso(mixed, others)
  np.testing.assert_allclose(np.delete(found, 1, axis=0), expected, atol=1e-6)
  assert not found[1].any() and 0 < np.count_nonzero(expected) < expected.size


def test_a_pair_is_scored_by_the_formula():
  similarity = np.array([[0.8, 0.1, 0.0], [0.2, 0.6, 0.4]])
  columns = 0.8**2 / 1.0 + 0.6**2 / 0.7 + 0.4**2 / 0.4
  rows = 0.8**2 / 0.9 + 0.6**2 / 1.2
  expected = (columns + rows) / 5
  assert pair_score(similarity, 5) == pytest.approx(expected, rel=1e-12)
  # Latents that are not informative are zeros and do not count; pairs may be several.
  padded = np.pad(similarity, ((0, 1), (0, 2)))
  pairs = np.stack([padded, 0 * padded])
  np.testing.assert_allclose(pair_score(pairs, np.array([5, 2])), [expected, 0], rtol=1e-12)
  assert pair_score(np.zeros((0, 3)), 0) == 0


def test_a_score_is_the_median_over_the_others():
  grid = orthogonal_ranks()
  noise = np.random.default_rng(0).normal(size=grid.shape)
  masks = [np.ones(3, bool)] * 4
  scores = disentanglement.udr([grid, -grid, grid[:, ::-1], noise], masks)
  np.testing.assert_allclose(scores[:3], 1.0)  # of 1, 1 and what noise has
  against = [disentanglement.udr([noise, grid], masks[:2])[0] for _ in range(3)]
  assert scores[3] == pytest.approx(np.median(against)) and scores[3] < 0.5


def test_of_very_many_models_each_meets_an_even_choice():
  """Of 61 models the first one meets 1, 3, 5 ..., whatever each of them has informative."""
  rng, count = np.random.default_rng(0), 2 * disentanglement.MOST_OTHERS + 1
  codes = [rng.normal(size=(40, 2 + i % 2)) for i in range(count)]
  masks = [np.arange(own.shape[1]) != i % 3 for i, own in enumerate(codes)]
  known = [own[:, mask] for own, mask in zip(codes, masks, strict=True)]

  def score(own, other):
    return pair_score(spearman(known[own], known[other]), len(known[own].T) + len(known[other].T))

  scores = disentanglement.udr(codes, masks)
  for own, others in ((0, range(1, count, 2)), (count - 1, range(0, count - 1, 2))):
    assert scores[own] == pytest.approx(np.median([score(own, other) for other in others]))


def test_each_model_is_ranked_once_beside_those_that_all_are_compared_with():
  """A thousand models of 20 examples take 0.1 s of a core, not 12."""
  asked = []
  counted = Similarity(lambda codes: asked.append(len(codes)) or codes, spearman.compare)
  disentanglement.udr([codes_of(0)[:20]] * 1000, [ALL] * 1000, counted)
  assert len(asked) < 1000 + 3 * disentanglement.MOST_OTHERS


def test_latents_that_say_nothing_are_left_out():
  grid = orthogonal_ranks()
  padded = np.concatenate([grid, np.random.default_rng(0).normal(size=(len(grid), 2))], axis=1)
  informative = np.array([True, True, True, False, False])
  scores = disentanglement.udr([grid, padded], [informative[:3], informative])
  np.testing.assert_allclose(scores, 1.0)
  lone = disentanglement.udr([grid, grid], [informative[:3], np.zeros(3, bool)])
  assert lone == [0.0, 0.0]
  for similarity in (spearman, lasso):  # nobody has a latent that says anything
    assert disentanglement.udr([grid] * 3, [np.zeros(3, bool)] * 3, similarity) == [0.0] * 3


def test_constant_codes_are_like_nothing():
  grid = orthogonal_ranks()
  constant = np.full_like(grid, 0.1)
  for similarity in (spearman, lasso):
    np.testing.assert_array_equal(similarity(grid, constant), 0)


def test_a_model_that_diverged_has_no_score_and_takes_no_part():
  grid = orthogonal_ranks()
  masks = [np.ones(3, bool)] * 3
  scores = disentanglement.udr([grid, np.full_like(grid, np.nan), -grid], masks)
  np.testing.assert_allclose(scores, [1.0, np.nan, 1.0])
  assert np.isnan(disentanglement.udr([grid], masks[:1])).all()  # nobody to compare with


@pytest.mark.parametrize(
  ('codes', 'mask'),
  [(np.zeros((4, 3)), np.ones(2)), (np.zeros((5, 3)), np.ones(3)), (np.zeros(4), np.ones(1))],
)
def test_shapes_that_do_not_fit_are_refused(codes, mask):
  with pytest.raises(errors.InputError, match='do not fit; valid are'):
    disentanglement.udr([np.zeros((4, 3)), codes], [np.ones(3), mask])
