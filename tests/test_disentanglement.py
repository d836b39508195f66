"""Disentanglement scores of codes whose score is known: perfect, rotated, random, doubled, inert.

Examples n, latents Z and factors F have different sizes throughout: an axis taken for another one
is seen. Oracles: closed forms, SciPy, scikit-learn's mutual information, and loops over the paper.
"""

import functools
import math

import numpy as np
import pytest
from scipy import stats
from sklearn import linear_model, metrics

from vae_jax import disentanglement, errors
from vae_jax.disentanglement import gaps, importance, interventions

pytestmark = pytest.mark.math

SIZES = (3, 4, 5)  # values of each factor
ALL = disentanglement.NAMES
STDERR = math.sqrt(0.25 / 1000)  # of an accuracy on 1,000 points, at most


def grid(sizes=SIZES, copies=8):
  """Returns every combination of factor values, `copies` times: [n, F]."""
  indices = np.indices(sizes).reshape(len(sizes), -1).T
  return np.tile(indices, (copies, 1))


def mixed(factors, seed=0, extra=4, noise=1.0):
  """Returns codes [n, F + extra]: each factor leaks into the next latent; the last are noise."""
  rng = np.random.default_rng(seed)
  scaled = (factors - factors.mean(axis=0)) / factors.std(axis=0)
  codes = scaled + 0.5 * np.roll(scaled, 1, axis=1) + noise * rng.normal(size=scaled.shape)
  return np.hstack([codes, rng.normal(size=(len(factors), extra))])


@functools.cache
def scores_of_mixed(sizes=SIZES, copies=8, extra=4):
  """Returns the scores of `mixed(grid())`, which several tests start from."""
  factors = grid(sizes, copies)
  return disentanglement.scores(mixed(factors, extra=extra), factors, seed=0)


FEW = dict(sizes=(2, 3), copies=40)  # two factors and three latents: fewer trees to grow


def rotated(factors):
  """Returns codes in which the first two factors, of one size, are turned by 45 degrees."""
  first, second = factors[:, 0], factors[:, 1]
  return np.column_stack([first + second, first - second, factors[:, 2:]]).astype(float)


def concentration(p, base):
  return 1 - stats.entropy(p) / math.log(base)


def perfect(factors):
  return factors.astype(np.float64)


@pytest.mark.parametrize(
  'code',
  [
    lambda factors: factors[:, [2, 0, 1]] * np.array([-3.0, 0.3, 7e3]) + 11,  # other order, scale
    lambda factors: (factors.astype(np.float32) + 1) ** 1.5,
    lambda factors: np.column_stack([np.zeros(len(factors)), factors, np.full(len(factors), 0.1)]),
  ],
)
def test_one_latent_for_each_factor_is_perfect(code):
  factors = grid()
  found = disentanglement.scores(code(factors), factors, seed=0)
  assert tuple(found) == ALL
  assert found.pop('sap') == pytest.approx(np.mean([1 - 1 / size for size in SIZES]), abs=1e-12)
  for name, value in found.items():
    assert value == pytest.approx(1, abs=1e-12), name


def test_two_factors_turned_by_45_degrees():
  """Of three factors two are mixed, so each score is that of one factor, or of a fair guess."""
  factors = grid((6, 6, 4), copies=6)
  found = disentanglement.scores(rotated(factors), factors, seed=0)
  assert found['mig'] == pytest.approx(1 / 3, abs=1e-12)
  assert found['sap'] == pytest.approx((1 - 1 / 4) / 3, abs=1e-12)
  half = concentration([0.5, 0.5], base=3)
  assert found['dci_disentanglement'] == pytest.approx((half + half + 1) / 3, abs=0.03)
  assert found['dci_completeness'] == pytest.approx((half + half + 1) / 3, abs=0.03)
  assert found['dci_informativeness'] > 0.97
  assert found['beta_vae_score'] == pytest.approx((0.5 + 0.5 + 1) / 3, abs=5 * STDERR)
  assert found['factor_vae_score'] == pytest.approx((0.5 + 0.5 + 1) / 3, abs=5 * STDERR)


@pytest.mark.parametrize('noise', [0.3, 1.0])
def test_factorised_codes_with_noise_are_disentangled(noise):
  """A latent for each factor, and three of noise: 1 is ideal, fully grown trees find 0.7, 0.2."""
  rng = np.random.default_rng(0)
  factors = np.stack([rng.integers(0, size, 1500) for size in SIZES], axis=1)
  scaled = (factors - factors.mean(axis=0)) / factors.std(axis=0)
  codes = scaled + noise * rng.normal(size=scaled.shape)
  codes = np.hstack([codes, rng.normal(size=(len(codes), 3))])
  found = disentanglement.dci(codes, factors, seed=0)
  assert found.disentanglement > 0.9 and found.completeness > 0.9
  # Bayes' rule knows the factor of a code: what is left is the trees' doing.
  levels = [
    (np.arange(size) - f.mean()) / f.std() for size, f in zip(SIZES, factors.T, strict=True)
  ]
  nearest = [
    np.abs(c[:, None] - level).argmin(axis=1) for c, level in zip(codes.T, levels, strict=False)
  ]
  best = np.mean([np.mean(n == f) for n, f in zip(nearest, factors.T, strict=True)])
  assert best - 0.06 < found.informativeness < best + 0.04


@pytest.mark.parametrize('seed', range(2))
def test_no_latent_is_of_use_where_none_knows_anything(seed):
  """Importance is 0 then, not that of the latent which a tree happened to take."""
  rng = np.random.default_rng(seed)
  factors = np.stack([rng.integers(0, size, 400) for size in SIZES], axis=1)
  found = disentanglement.dci(rng.normal(size=(400, 4)), factors, seed)
  assert found.disentanglement == found.completeness == 0


@pytest.mark.parametrize('size', [2, 3, 5, 8])
def test_few_examples_are_scored_without_an_error(size):
  factors = np.stack([np.arange(size) % 2, np.arange(size)], axis=1)
  found = disentanglement.dci(np.random.default_rng(0).normal(size=(size, 3)), factors, seed=0)
  assert all(0 <= value <= 1 for value in found)


def test_importance_that_is_not_known_is_not_none():
  rows = np.array([[np.nan, 1.0], [0.0, 0.0], [0.5, 0.0]])
  np.testing.assert_array_equal(importance._concentration(rows), [np.nan, 0, 1])


def test_codes_that_know_nothing():
  factors = grid(copies=60)
  codes = np.random.default_rng(0).normal(size=(len(factors), 4))
  found = disentanglement.scores(codes, factors, seed=0)
  for name in ('mig', 'sap', 'dci_disentanglement', 'dci_completeness'):
    assert 0 <= found[name] < 0.02, name
  chance = np.mean([1 / size for size in SIZES])
  assert found['dci_informativeness'] == pytest.approx(chance, abs=5 * math.sqrt(0.25 / 2700))


@pytest.mark.parametrize('score', ['beta_vae_score', 'factor_vae_score'])
def test_chance_is_one_of_the_factors(score):
  factors = grid((4, 4, 4, 4, 4), copies=60)  # so many that no group differs by accident
  codes = np.random.default_rng(1).normal(size=(len(factors), 3))
  found = getattr(disentanglement, score)(codes, factors, seed=0)
  assert found == pytest.approx(1 / 5, abs=5 * math.sqrt(0.16 / 1000))


def test_doubled_latents_have_no_gap():
  factors = grid()
  found = disentanglement.scores(np.hstack([factors, -2.0 * factors]), factors, seed=0)
  assert found['mig'] == pytest.approx(0, abs=1e-12)
  assert found['sap'] == pytest.approx(0, abs=1e-12)
  assert found['dci_disentanglement'] == pytest.approx(1, abs=1e-12)
  # Trees take one or the other of two equal latents, about as often.
  assert found['dci_completeness'] == pytest.approx(concentration([0.5, 0.5], base=6), abs=0.1)
  assert found['factor_vae_score'] == 1
  thrice = np.hstack([factors, factors, mixed(factors)])
  assert disentanglement.mig(thrice, factors) == pytest.approx(0, abs=1e-12)


def test_inert_latents_count_in_completeness_only():
  factors = grid()
  codes = mixed(factors)
  padded = np.hstack([codes, np.zeros((len(codes), 3)), np.full((len(codes), 1), 0.1)])
  plain, inert = scores_of_mixed(), disentanglement.scores(padded, factors, seed=0)
  for name in ('mig', 'sap', 'beta_vae_score', 'factor_vae_score'):
    assert inert[name] == pytest.approx(plain[name], abs=1e-12), name
  for name in ('dci_disentanglement', 'dci_informativeness'):
    assert inert[name] == pytest.approx(plain[name], abs=0.02), name
  expected = 1 - (1 - plain['dci_completeness']) * math.log(7) / math.log(11)
  assert inert['dci_completeness'] == pytest.approx(expected, abs=0.02)


def test_latents_that_hardly_vary_have_no_vote():
  factors = grid()
  codes = perfect(factors)[:, :2]
  almost_inert = 0.05 * factors[:, 2:] / factors[:, 2].std()
  with_it = disentanglement.factor_vae_score(np.hstack([codes, almost_inert]), factors, seed=0)
  assert with_it == disentanglement.factor_vae_score(codes, factors, seed=0) < 0.9
  active = np.hstack([codes, 4 * almost_inert])
  assert disentanglement.factor_vae_score(active, factors, seed=0) == 1


@pytest.mark.parametrize(
  'change',
  [
    lambda codes: codes[:, [3, 0, 6, 1, 5, 2, 4]],
    lambda codes: codes * np.array([1, -2, 0.7, 30, -1, 5, 1]) - 4,
  ],
)
def test_order_sign_and_scale_of_the_latents_do_not_matter(change):
  factors = grid()
  codes = mixed(factors)
  before, after = scores_of_mixed(), disentanglement.scores(change(codes), factors, seed=0)
  for name, value in before.items():
    # The bins and thresholds of a mirrored code differ by the codes on their borders; and the depth
    # of trees is a whole number.
    assert after[name] == pytest.approx(value, abs=0.07 if name.startswith('dci') else 0.02), name
  tiny = disentanglement.beta_vae_score(1e-4 * change(codes), factors, seed=0)
  assert tiny == pytest.approx(before['beta_vae_score'], abs=0.02)
  order = np.random.default_rng(3).permutation(len(factors))
  assert disentanglement.mig(codes[order], factors[order]) == pytest.approx(before['mig'])
  assert disentanglement.sap(codes[order], factors[order]) == pytest.approx(before['sap'])


def test_mutual_information_and_mig_against_scikit_learn():
  factors = grid()
  codes = mixed(factors)  # [480, 7] and [480, 3]
  bins = [np.digitize(c, np.histogram_bin_edges(c, 20)[1:-1]) for c in codes.T]
  expected = np.array([[metrics.mutual_info_score(b, f) for f in factors.T] for b in bins])
  assert expected.shape == (7, 3)
  np.testing.assert_allclose(gaps.mutual_information(codes, factors), expected, atol=1e-12)
  ratios = []
  for column, factor in zip(expected.T, factors.T, strict=True):
    third, second, first = sorted(column)[-3:]
    assert first - third > first - second > 0
    ratios.append((first - second) / stats.entropy(np.bincount(factor)))
  assert disentanglement.mig(codes, factors) == pytest.approx(np.mean(ratios), abs=1e-12)


def test_mig_normalises_each_factor_by_its_own_entropy():
  """Factors of 2 and 16 values, the second found half: 1/2 (1 + H(8)/H(16))."""
  factors = grid((2, 16), copies=3)
  codes = np.column_stack([np.zeros(len(factors)), factors[:, 1] // 2, factors[:, 0]])
  expected = (1 + math.log(8) / math.log(16)) / 2
  assert disentanglement.mig(codes, factors) == pytest.approx(expected, abs=1e-12)


def test_more_values_than_bins_bound_mig():
  factors = grid((40, 2), copies=2)
  expected = (math.log(20) / math.log(40) + 1) / 2
  assert disentanglement.mig(perfect(factors), factors) == pytest.approx(expected, abs=1e-12)


def best_threshold(code, factor):
  """Returns the best balanced accuracy of one threshold for a factor of two values, by trying."""
  best = 0.0
  for level in np.unique(code):
    above = code >= level
    recall = (above[factor == 1].mean() + (~above)[factor == 0].mean()) / 2
    best = max(best, recall, 1 - recall)
  return best


def test_sap_against_every_threshold():
  """Two values, one nine times as frequent: a latent that knows nothing scores a half, not 0.9."""
  rng = np.random.default_rng(0)
  factors = (rng.random((700, 2)) < 0.1).astype(int)
  codes = rng.normal(size=(700, 4)) + 1.5 * np.pad(factors, [(0, 0), (1, 1)])
  best = np.array([[best_threshold(c, f) for f in factors.T] for c in codes.T])  # [Z, F]
  found = np.array([[gaps._predictability(c, f) for f in factors.T] for c in codes.T])
  assert np.all(found <= best)
  np.testing.assert_allclose(found, best, atol=0.04)  # the tree's criterion is a little different
  ordered = np.sort(found, axis=0)
  expected = np.mean(ordered[-1] - ordered[-2])
  assert disentanglement.sap(codes, factors) == pytest.approx(expected, abs=1e-12)


def test_dci_against_the_definition(monkeypatch):
  """Importances [Z, F] that are given; a latent of no use, and a factor that none is of use for."""
  table = np.array(
    [[0.7, 0.1, 0.0, 0.0], [0.1, 0.9, 0.0, 0.0], [0, 0, 0, 0], [0, 0, 0.3, 0], [0.2, 0, 0.7, 0]]
  )
  columns = iter(zip(table.T, (0.9, 0.5, 0.7, 0.1), strict=True))
  monkeypatch.setattr(importance, '_fit', lambda *arguments: next(columns))
  factors = grid((3, 2, 4, 2), copies=1)
  found = disentanglement.dci(np.zeros((len(factors), 5)), factors, seed=0)
  rows = [row for row in table if row.sum()]
  shares = [row.sum() / table.sum() for row in rows]
  each = [concentration(row, base=4) for row in rows]
  assert found.disentanglement == pytest.approx(np.dot(shares, each), abs=1e-12)
  each = [concentration(column, base=5) if column.sum() else 0 for column in table.T]
  assert found.completeness == pytest.approx(np.mean(each), abs=1e-12)
  assert found.informativeness == pytest.approx(0.55, abs=1e-12)


def test_informativeness_is_that_of_examples_held_out():
  """One latent names the example: trees can learn it by heart, and know nothing of others."""
  rng = np.random.default_rng(0)
  factors = rng.integers(0, 4, (2000, 1))
  codes = rng.permutation(2000)[:, None].astype(float)
  found = disentanglement.dci(codes, factors, seed=0).informativeness
  assert found == pytest.approx(1 / 4, abs=5 * math.sqrt(3 / 16 / 500))


def sharing(factors, factor, example):
  return np.flatnonzero(factors[:, factor] == factors[example, factor])


def vote(codes, factors, rng):
  """Returns a factor and the latent that stays put when it is fixed, as Kim & Mnih describe it."""
  factor, example = rng.integers(factors.shape[1]), rng.integers(len(codes))
  chosen = rng.choice(sharing(factors, factor, example), 64)
  return factor, np.argmin(codes[chosen].std(axis=0) / codes.std(axis=0))


def pairs(codes, factors, rng):
  """Returns a factor and the mean distance of 64 pairs that share it, as in Higgins et al."""
  factor = rng.integers(factors.shape[1])
  first = rng.integers(len(codes), size=64)
  shared = factors[first, factor][:, None] == factors[:, factor]  # [64, n]
  second = np.argmax(shared * rng.random(shared.shape), axis=1)
  return factor, np.mean(np.abs(codes[first] - codes[second]) / codes.std(axis=0), axis=0)


def test_factor_vae_score_against_a_loop_over_the_paper():
  factors = grid()
  codes = mixed(factors)
  rng = np.random.default_rng(5)
  table = np.zeros((7, 3))
  for factor, latent in (vote(codes, factors, rng) for _ in range(2000)):
    table[latent, factor] += 1
  expected = table.max(axis=1).sum() / table.sum()
  assert 0.5 < expected < 0.95
  found = disentanglement.factor_vae_score(codes, factors, seed=0)
  assert found == pytest.approx(expected, abs=5 * STDERR * math.sqrt(1.5))


def test_beta_vae_score_against_a_loop_over_the_paper():
  factors = grid((4, 4, 4), copies=5)
  codes = mixed(rotated(factors), noise=2.0)
  rng = np.random.default_rng(5)
  labels, points = zip(*(pairs(codes, factors, rng) for _ in range(600)), strict=True)
  classifier = linear_model.LogisticRegression(max_iter=1000).fit(points[:400], labels[:400])
  expected = classifier.score(points[400:], labels[400:])
  assert 0.5 < expected < 0.95
  found = disentanglement.beta_vae_score(codes, factors, seed=0)
  assert found == pytest.approx(expected, abs=5 * STDERR * math.sqrt(6))


def test_partners_share_the_value_and_are_uniform():
  rng = np.random.default_rng(0)
  factors = np.column_stack([rng.integers(0, 2, 50), rng.integers(0, 7, 50)])
  examples = np.full((4000, 5), 13)
  fixed = np.tile([[0], [1]], (2000, 1))
  drawn = interventions._partners(factors, fixed, examples, rng)
  assert drawn.shape == (4000, 5)
  for factor in (0, 1):
    group = sharing(factors, factor, 13)
    counts = np.bincount(drawn[factor::2].ravel(), minlength=50)
    assert counts[group].sum() == 10_000
    expected = 10_000 / len(group)
    freedom = len(group) - 1
    chi_squared = np.sum((counts[group] - expected) ** 2) / expected
    assert chi_squared < freedom + 5 * math.sqrt(2 * freedom)


def test_one_latent():
  factors = grid()
  codes = perfect(factors)[:, :1]
  found = disentanglement.scores(codes, factors, seed=0)
  assert found['mig'] == pytest.approx(1 / 3, abs=1e-12)
  assert found['sap'] == pytest.approx((1 - 1 / 3) / 3, abs=1e-12)
  assert found['factor_vae_score'] == pytest.approx(1 / 3, abs=5 * STDERR)
  assert all(0 <= value <= 1 for value in found.values())


def test_one_factor_cannot_be_mistaken():
  factors = grid()[:, 1:2]
  codes = mixed(grid())
  found = disentanglement.scores(codes, factors, seed=0)
  assert found['beta_vae_score'] == found['factor_vae_score'] == 1
  assert found['dci_disentanglement'] == pytest.approx(1)


@pytest.mark.parametrize('value', [0.0, -1e6])
def test_constant_codes(value):
  factors = grid()
  found = disentanglement.scores(np.full((len(factors), 4), value), factors, seed=0)
  for name in ('mig', 'sap', 'dci_disentanglement', 'dci_completeness', 'factor_vae_score'):
    assert found[name] == pytest.approx(0, abs=1e-12), name
  assert found['beta_vae_score'] == pytest.approx(1 / 3, abs=5 * STDERR)
  assert found['dci_informativeness'] < 0.35


def test_factors_of_one_value_are_left_out_and_values_are_names():
  factors = grid(**FEW)
  codes = mixed(factors, extra=1)
  constant = np.full((len(factors), 1), 7)
  renamed = np.array([-3, 100, 4])[factors]
  plain = scores_of_mixed(**FEW, extra=1)
  assert disentanglement.scores(codes, np.hstack([constant, factors]), seed=0) == plain
  other = disentanglement.scores(codes, renamed.astype(np.int64), seed=0)
  for name, value in plain.items():
    assert other[name] == pytest.approx(value, abs=0.03), name


def test_a_seed_fixes_what_is_drawn():
  factors = grid(**FEW)
  codes = mixed(factors, extra=1)
  first = scores_of_mixed(**FEW, extra=1)
  again, other = (disentanglement.scores(codes, factors, seed) for seed in (0, 1))
  assert first == again
  parts = disentanglement.dci(codes, factors, 0)
  assert parts == tuple(first[name] for name in ALL if name.startswith('dci'))
  changed = {name for name in ALL if first[name] != other[name]}
  assert changed == set(ALL) - {'mig', 'sap'}
  assert disentanglement.beta_vae_score(codes, factors, 1) == other['beta_vae_score']


@pytest.mark.parametrize('bad', [np.nan, np.inf, 1e39])
def test_diverged_codes_score_nan(bad):
  factors = grid()
  codes = mixed(factors)
  codes[5, 2] = bad
  found = disentanglement.scores(codes, factors, seed=0)
  assert tuple(found) == ALL
  assert all(math.isnan(value) for value in found.values())
  with pytest.raises(errors.InputError, match='NaN or infinite'):
    disentanglement.mig(codes, factors)


@pytest.mark.parametrize(
  ('codes', 'factors', 'parts'),
  [
    (np.zeros((9, 4)), np.zeros((8, 2), int), ['codes=[9, 4]', 'factors=[8, 2]', '[n, Z]']),
    (np.zeros(9), np.zeros((9, 2), int), ['codes=[9]', '[n, Z]']),
    (np.zeros((9, 4)), np.zeros(9, int), ['factors=[9]', '[n, F]']),
    (np.zeros((0, 4)), np.zeros((0, 2), int), ['codes=[0, 4]', 'at least 1']),
    (np.zeros((9, 0)), np.ones((9, 2), int), ['codes=[9, 0]', 'at least 1']),
    (np.zeros((9, 4)), np.zeros((9, 2)), ['factors float64', 'integers']),
    (np.zeros((9, 4), complex), np.zeros((9, 2), int), ['codes are complex128', 'floats']),
    (np.zeros((9, 4)), np.full((9, 2), 3), ['factors=[9, 2]', 'one value', 'two']),
  ],
)
@pytest.mark.filterwarnings('ignore:Casting complex values')
def test_inputs_that_do_not_fit_are_refused_in_one_line(codes, factors, parts):
  with pytest.raises(errors.InputError) as caught:
    disentanglement.scores(codes, factors, seed=0)
  assert '\n' not in str(caught.value)
  for part in parts:
    assert part in str(caught.value)


@pytest.mark.parametrize(('variance', 'has_a_vote'), [(0.0099, False), (0.0101, True)])
def test_a_latent_votes_above_a_variance_of_a_hundredth(variance, has_a_vote):
  """The threshold of an active unit: the third factor is found by a latent of this variance."""
  factors = grid()
  codes = perfect(factors).astype(float)
  codes[:, 2] *= math.sqrt(variance / codes[:, 2].var())
  found = disentanglement.factor_vae_score(codes, factors, seed=0)
  without = disentanglement.factor_vae_score(codes[:, :2], factors, seed=0)
  assert without < 0.9
  assert found == (1 if has_a_vote else without)


def test_no_vote_is_left_where_all_latents_hardly_vary():
  factors = grid()
  codes = perfect(factors) / perfect(factors).std(axis=0) * math.sqrt(0.0099)
  assert disentanglement.factor_vae_score(codes, factors, seed=0) == 0
  # The beta-VAE's score has no such threshold.
  assert disentanglement.beta_vae_score(codes, factors, seed=0) == 1


def points_of_the_classifier(codes, factors, seed, monkeypatch):
  """What the logistic regression of the beta-VAE score learns from, and what it is scored on."""
  given = {}

  class Classifier:
    def __init__(self, **keywords):
      del keywords

    def fit(self, points, labels):
      given['fit'] = np.asarray(points), np.asarray(labels)

    def score(self, points, labels):
      given['score'] = np.asarray(points), np.asarray(labels)
      return 0.25

  monkeypatch.setattr(linear_model, 'LogisticRegression', Classifier)
  assert disentanglement.beta_vae_score(codes, factors, seed) == 0.25
  return given['fit'], given['score']


def test_a_point_of_the_beta_vae_score_is_the_mean_of_64_absolute_differences(monkeypatch):
  """Mean and variance over the points, against all pairs that share a factor's value.

  Neither squares nor the largest of the 64 have them, nor the mean over another number of pairs.
  """
  factors = grid((3, 4), copies=5)
  rng = np.random.default_rng(0)
  codes = np.column_stack([rng.exponential(3.0, len(factors)), factors[:, 1] + 0.0])
  fit, score = points_of_the_classifier(codes, factors, 0, monkeypatch)
  assert (len(fit[0]), len(score[0])) == (2000, 1000)
  assert not set(map(bytes, fit[0])) & set(map(bytes, score[0]))
  points, labels = (np.concatenate(both) for both in zip(fit, score, strict=True))
  unit = codes / codes.std(axis=0)
  for factor in range(2):
    own = points[labels == factor]
    assert len(own) == pytest.approx(1500, abs=5 * math.sqrt(750))
    shared = factors[:, factor][:, None] == factors[:, factor]
    # The first is any example, the second any that shares its value.
    weights = shared / shared.sum(axis=1, keepdims=True) / len(codes)
    for latent in range(2):
      distance = np.abs(unit[:, latent][:, None] - unit[:, latent])
      mean = np.sum(weights * distance)
      variance = np.sum(weights * distance**2) - mean**2
      stderr = math.sqrt(variance / 64 / len(own))
      assert own[:, latent].mean() == pytest.approx(mean, abs=5 * stderr + 1e-12)
      tolerance = 5 * math.sqrt(2 / len(own)) + 0.02  # 64 draws are nearly normal
      assert own[:, latent].var() == pytest.approx(variance / 64, rel=tolerance, abs=1e-12)
