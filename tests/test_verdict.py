"""The verdict: error bars and confidence set against simulations and SciPy, and its words."""

import json

import numpy as np
import pytest
import scipy.stats

from vae_jax import verdict
from vae_jax.verdict import advice, confidence, differences

pytestmark = pytest.mark.math

DRAWS = 1000
FIVE = 5 * np.sqrt(0.05 * 0.95 / DRAWS)  # standard errors of a share of 5 %


def row(number, beta=1.0, latent_size=8, seed=0, status='done', units=None, **more):
  name = f'b{beta:g}-z{latent_size}-s{seed}'
  found = dict(lane=number, name=name, status=status, step=9)
  found |= dict(beta=beta, latent_size=latent_size, seed=seed, **more)
  return found | {'validation/active_units': units}


def grid(betas=(0.5, 1.0, 2.0), sizes=(2, 8), seeds=(0,), units=lambda beta, size: size):
  """Rows of results.csv of a grid."""
  points = [(beta, size, seed) for beta in betas for size in sizes for seed in seeds]
  return [row(i, *point, units=units(*point[:2])) for i, point in enumerate(points)]


def draw(rng, means, seeds=1, n=200, own=0.5, noise=0.5, of_seeds=0.0):
  """Returns NLL [P S, n] by the model of `verdict.differences`, whose true means are these."""
  means = np.asarray(means, float)[:, None, None]
  images = 100 + 20 * rng.standard_normal(n)  # how hard each image is: most of all variance
  values = images + means + own * rng.standard_normal((len(means), 1, n))
  values = values + of_seeds * rng.standard_normal((len(means), seeds, 1))
  values = values + noise * rng.standard_normal((len(means), seeds, n))
  return values.reshape(-1, n)


def compared(values, seeds):
  lanes = np.arange(len(values)).reshape(-1, seeds)
  means = differences.means_of(values, lanes)
  return means, differences.differences_of(means)


def inside(rng, means, alpha=0.05, **keywords):
  values = draw(rng, means, **keywords)
  found = confidence.confidence_set(*compared(values, keywords.get('seeds', 1)), alpha)
  return found.inside


def test_one_seed_is_the_paired_t_test():
  values = draw(np.random.default_rng(0), (0.0, 0.1, 0.3), n=50)
  _, pairs = compared(values, 1)
  for p, q in ((0, 1), (1, 2), (2, 0)):
    oracle = scipy.stats.ttest_rel(values[p], values[q])
    assert pairs.t[p, q] == pytest.approx(oracle.statistic, rel=1e-9)
    assert pairs.p_value[p, q] == pytest.approx(oracle.pvalue, rel=1e-9)
    assert pairs.stderr[p, q] == pytest.approx(scipy.stats.sem(values[p] - values[q]), rel=1e-9)
  assert pairs.degrees == 49


def test_pairing_takes_out_how_hard_an_image_is():
  _, pairs = compared(draw(np.random.default_rng(0), (0.0, 0.0), n=10_000), 1)
  assert pairs.stderr[0, 1] == pytest.approx(1 / np.sqrt(10_000), rel=0.05)  # not 28 / 100


@pytest.mark.parametrize('of_seeds', (0.0, 0.3))
def test_the_variance_has_images_and_seeds_once_each(of_seeds):
  """Of many draws: the mean of the estimates is the variance of the differences."""
  rng, found, estimates = np.random.default_rng(1), [], []
  for _ in range(DRAWS):
    means, pairs = compared(draw(rng, np.zeros(2), seeds=4, n=50, of_seeds=of_seeds), 4)
    found.append(pairs.mean[0, 1])
    estimates.append([pairs.images[0, 1], pairs.seeds[0, 1], *means.of_seeds])
  images = 2 * (0.25 + 0.25 / 4) / 50
  seeds = 2 * of_seeds**2 / 4
  assert np.var(found) == pytest.approx(images + seeds, rel=5 * np.sqrt(2 / DRAWS))
  assert np.mean(estimates, axis=0)[0] == pytest.approx(images, rel=0.03)
  # The larger of a point's own and the pooled one is cautious by up to half of it here.
  assert seeds * 0.97 <= np.mean(estimates, axis=0)[1] <= 1.5 * seeds + 0.2 * images


@pytest.mark.parametrize(
  ('seeds', 'of_seeds', 'low', 'high'),
  (
    (1, 0.0, 0.03, 0.07),  # exact
    (3, 1.0, 0.0, 0.07),  # where the seeds are most of it: nominal, or cautious
    (2, 0.05, 0.0, 0.05),  # where they are not, the few degrees of freedom are very cautious
  ),
)
def test_type_one_error_of_a_pair(seeds, of_seeds, low, high):
  rng, rejected = np.random.default_rng(2), []
  for _ in range(DRAWS):
    _, pairs = compared(draw(rng, np.zeros(2), seeds=seeds, n=30, of_seeds=of_seeds), seeds)
    rejected.append(pairs.p_value[0, 1] < 0.05)
  assert low <= np.mean(rejected) <= high


@pytest.mark.parametrize(
  ('means', 'seeds', 'of_seeds', 'low', 'high'),
  (
    ((0.0, 0.0, 1.0, 3.0), 1, 0.0, 0.93, 0.97),  # two of four: the nominal level is attained
    pytest.param((0.0,) * 6, 1, 0.0, 0.93, 0.97, marks=pytest.mark.slow),  # and where all are best
    pytest.param((0.0,) * 6, 3, 0.5, 0.93, 1.0, marks=pytest.mark.slow),
    pytest.param((0.0, 0.0, 9.0, 9.0), 3, 0.5, 0.93, 1.0, marks=pytest.mark.slow),
    ((0.0,) * 6, 2, 0.02, 0.92, 0.98),  # also where the images are most of the variance
  ),
)
def test_the_set_holds_all_best_points(monkeypatch, means, seeds, of_seeds, low, high):
  monkeypatch.setattr(confidence, '_DRAWS', 200)
  rng, best = np.random.default_rng(3), np.array(means) == 0
  held = [
    inside(rng, means, seeds=seeds, of_seeds=of_seeds, n=60)[best].all() for _ in range(DRAWS)
  ]
  assert low <= np.mean(held) <= high


def test_the_set_holds_a_single_best_point_nearly_always_and_drops_what_is_worse(monkeypatch):
  monkeypatch.setattr(confidence, '_DRAWS', 200)
  rng = np.random.default_rng(4)
  held = np.array([inside(rng, (0.0, 0.15, 0.6), n=60) for _ in range(DRAWS // 2)])
  assert held[:, 0].mean() >= 0.95
  assert held[:, 1].mean() > 0.5  # 0.15 is about one standard error
  assert held[:, 2].mean() < 0.2


def test_two_points_leave_the_set_by_the_p_value_of_their_test():
  values = draw(np.random.default_rng(5), (0.0, 0.25), n=40)
  means, pairs = compared(values, 1)
  found = confidence.confidence_set(means, pairs, 0.05)
  p_value = scipy.stats.ttest_rel(*values).pvalue
  assert found.p_value.min() == pytest.approx(p_value, abs=5 * np.sqrt(p_value / 10_000))
  assert found.critical == pytest.approx(scipy.stats.t(39).ppf(0.975), rel=0.03)


def test_no_point_leaves_that_the_test_of_its_pair_would_keep():
  """Where the seeds of one point lie far apart, which all errors are then cautious by."""
  between, noise = np.array([0.09, 0.008, 0.004, 0.0004, 0.026, 0.002]), np.full(6, 0.002)
  seeds = np.full(6, 2)
  means = differences.Means(
    mean=np.array([1.48, 0.24, 1.05, 0.0, 1.51, 1.26]),
    of_images=0.03 * np.ones((6, 6)) + 0.002 * np.eye(6),
    of_seeds=differences.seeds_part(between, noise, seeds),
    between=between,
    noise=noise,
    seeds=seeds,
    degrees=6,
    num_images=359,
  )
  pairs = differences.differences_of(means)
  assert pairs.p_value[1, 3] > 0.1
  found = confidence.confidence_set(means, pairs, 0.05)
  np.testing.assert_array_equal(found.inside, [False, True, False, True, False, False])
  assert found.p_value[1] == pytest.approx(pairs.p_value[1, 3])


def test_p_values_do_not_depend_on_the_order_of_points():
  values = draw(np.random.default_rng(6), (0.0, 0.1, 0.2, 0.3), n=60)
  p_value = confidence.confidence_set(*compared(values, 1), 0.05).p_value
  turned = confidence.confidence_set(*compared(values[::-1], 1), 0.05).p_value[::-1]
  np.testing.assert_allclose(p_value, turned, atol=0.03)


def test_equal_lanes_are_equal():
  values = np.tile(draw(np.random.default_rng(7), (0.0,)), (3, 1))
  found = verdict.judge(grid((1.0,), (2, 8, 16)), values, 'validation')
  assert all(s.inside and s.difference == s.stderr == 0 and s.p_value == 1 for s in found.inside)
  assert len(found.inside) == 3
  assert 'The smallest latent size among these: 2.' in verdict.sentences(found)


def test_a_constant_difference_is_decided():
  values = draw(np.random.default_rng(7), (0.0,))
  found = verdict.judge(grid((1.0,), (2, 8)), np.concatenate([values, values + 1]), 'validation')
  assert [s.inside for s in found.standings] == [True, False]


def test_constant_differences_have_no_error_whatever_rounding_leaves():
  values = draw(np.random.default_rng(7), (0.0,), n=997) + np.arange(7)[:, None] / 3
  _, pairs = compared(values, 1)
  assert not pairs.stderr.any()
  assert (pairs.p_value[~np.eye(7, dtype=bool)] == 0).all()


def test_a_point_that_leaves_later_has_no_smaller_p_value():
  for seed in range(5):
    values = draw(np.random.default_rng(seed), np.linspace(0, 0.2, 8), n=60)
    means, pairs = compared(values, 1)
    order, _ = confidence._elimination(pairs.t)
    p_value = confidence.confidence_set(means, pairs, 0.05).p_value[order]
    assert (np.diff(p_value) >= 0).all()
    assert p_value[-1] == 1


def test_a_hundred_lanes(monkeypatch):
  monkeypatch.setattr(confidence, '_DRAWS', 200)
  rng = np.random.default_rng(8)
  values = draw(rng, rng.random(100), n=1000)
  found = verdict.judge(grid(range(1, 11), range(1, 11)), values, 'validation')
  assert found.standings[found.best].inside
  assert found.inside[0] is found.standings[int(values.mean(axis=1).argmin())]


def test_diverged_lanes_are_left_out_and_said():
  rows = grid((1.0, 2.0), (2, 8), seeds=(0, 1))
  values = draw(np.random.default_rng(9), (0, 5, 5, 5), seeds=2)
  rows[1]['status'], values[1] = 'diverged', np.nan
  for i in (6, 7):
    rows[i]['status'], values[i] = 'failed', np.nan
  found = verdict.judge(rows, values, 'validation')
  assert found.images_left_out == 0
  assert [standing.point.lanes for standing in found.standings] == [(0,), (2, 3), (4, 5)]
  assert found.gone == ['beta 2, latent size 8']
  said = verdict.sentences(found)
  assert 'Left out: b1-z2-s1 (diverged), b2-z8-s0 (failed), b2-z8-s1 (failed).' in said
  assert 'Nothing is known of beta 2, latent size 8.' in said


def test_all_lanes_diverged():
  rows = [row(0, status='diverged'), row(1, 2.0, status='diverged')]
  found = verdict.judge(rows, np.full((2, 5), np.nan), 'validation')
  assert verdict.sentences(found) == [
    'No verdict: no lane has a value that counts (b1-z8-s0 diverged; b2-z8-s0 diverged).'
  ]
  assert verdict.as_record(found)['best'] is None


def test_images_without_a_value():
  values = draw(np.random.default_rng(10), (0, 1), n=20)
  values[0, 3] = np.inf
  values[1, 4] = np.nan
  found = verdict.judge(grid((1.0, 2.0), (8,)), values, 'validation')
  assert (found.num_images, found.images_left_out) == (18, 2)
  kept = np.delete(values, (3, 4), axis=1)
  assert found.standings[0].mean == pytest.approx(kept[0].mean())
  values[1, :11] = np.nan  # more than half: the lane itself
  found = verdict.judge(grid((1.0, 2.0), (8,)), values, 'validation')
  assert found.left_out == {'b2-z8-s0': 'no finite value of 11 of 20 images'}
  assert (found.num_images, len(found.standings)) == (19, 1)


def test_one_image_one_lane_two_lanes():
  one = verdict.judge(grid((1.0, 2.0), (8,)), np.array([[1.0], [2.0]]), 'validation')
  assert [s.inside for s in one.standings] == [True, True]
  assert 'One image has no error bar: no point can be told from another.' in verdict.sentences(one)
  lone = verdict.judge([row(0)], np.ones((1, 9)), 'validation')
  assert lone.best == 0
  assert 'It is the only point: there is nothing to choose from.' in verdict.sentences(lone)
  for found in (one, lone):
    json.dumps(verdict.as_record(found), allow_nan=False)


def test_points_are_named_by_what_varies():
  rows = [row(i, learning_rate=rate, warmup='none') for i, rate in enumerate((1e-4, 1e-3))]
  values = draw(np.random.default_rng(11), (1, 0))
  assert verdict.as_record(verdict.judge(rows, values, 'validation'))['best'] == (
    'learning rate 0.001'
  )


def test_where_collapse_sets_in():
  units = {(1, 2): 2, (2, 2): 2, (4, 2): 0, (1, 8): 6, (2, 8): 5, (4, 8): 1}
  rows = grid((4.0, 1.0, 2.0), (2, 8), units=lambda beta, size: units[beta, size])
  found = verdict.judge(rows, draw(np.random.default_rng(12), np.zeros(6)), 'validation')
  assert [(o.fields, o.units, o.fewer_from, o.none_from) for o in found.onsets] == [
    ({'latent_size': 2}, 2, 4.0, 4.0),
    ({'latent_size': 8}, 6, 2.0, None),
  ]
  said = verdict.sentences(found)
  assert (
    'Collapse: active units become fewer from beta 2 on (latent size 8), from beta 4 on '
    '(latent size 2).'
  ) in said
  assert 'Collapse: no unit is active from beta 4 on (latent size 2).' in said


def test_a_seed_that_wavers_is_no_collapse():
  rows = grid((1.0, 2.0), (8,), seeds=(0, 1))
  for each, units in zip(rows, (7, 6, 6, 5), strict=True):
    each['validation/active_units'] = units
  found = verdict.judge(rows, draw(np.random.default_rng(13), (0, 0), seeds=2), 'validation')
  assert found.onsets[0].fewer_from is None
  assert any(line.startswith('No collapse') for line in verdict.sentences(found))


@pytest.mark.parametrize(
  ('units', 'stops_at'), (((2, 6, 6, 6), 8), ((2, 6, 5, 7), 32), ((2, 2, 1, 1), 2))
)
def test_where_active_units_stop_growing(units, stops_at):
  sizes = (2, 8, 16, 32)
  rows = grid((1.0,), sizes, units=lambda _, size: units[sizes.index(size)])
  found = verdict.judge(rows, draw(np.random.default_rng(14), (1, 1, 1, 0)), 'validation')
  assert [(g.fields, g.stops_at, g.largest) for g in found.growths] == [
    ({'beta': 1.0}, stops_at, 32)
  ]
  # A latent size beyond the largest is advised only where units grow.
  assert [e.add for e in found.edges] == ([64] if stops_at == 32 else [])


def test_the_images_needed_decide_four_times_in_five():
  rng = np.random.default_rng(15)
  means, pairs = compared(draw(rng, (0.0, 0.05), n=100), 1)
  critical = scipy.stats.norm.ppf(0.975)
  count = advice.need(means, pairs, 1, 0, critical).images
  truth = abs(pairs.mean[0, 1])
  drawn = np.array([np.diff(draw(rng, (0.0, truth), n=count), axis=0)[0] for _ in range(400)])
  rejected = scipy.stats.ttest_1samp(drawn, 0.0, axis=1).pvalue < 0.05
  assert np.mean(rejected) == pytest.approx(0.8, abs=0.1)  # the variance is that of 100 images


def test_seeds_are_needed_where_they_are_the_error():
  means, pairs = compared(draw(np.random.default_rng(16), (0, 0.6), seeds=3, of_seeds=0.5), 3)
  found = advice.need(means, pairs, 1, 0, 2.0)
  assert found.seeds > 3
  # With these the variance is what the power asks for, or less.
  variance = pairs.images[0, 1] * 200 / found.images + pairs.seeds[0, 1] * 3 / found.seeds
  wanted = (abs(pairs.mean[0, 1]) / (2.0 + scipy.stats.norm.ppf(0.8))) ** 2
  assert 0.5 * wanted < variance <= wanted
  assert advice.need(*compared(np.ones((2, 5)), 1), 1, 0, 2.0) == (None, None)


@pytest.mark.parametrize(
  ('best', 'values', 'add'),
  (
    (0.5, (0.5, 1.0, 4.0), 0.25),
    (4.0, (0.5, 1.0, 4.0), 16.0),
    (1.0, (0.5, 1.0, 4.0), None),
    (0.0, (0.0, 1.0), None),
    (1.0, (0.0, 1.0), 2.0),
  ),
)
def test_the_best_at_the_edge(best, values, add):
  means = [0 if value == best else 9 for value in values]
  rows = grid(values, (8,), units=lambda *_: None)
  found = verdict.judge(rows, draw(np.random.default_rng(17), means), 'validation')
  assert [edge.add for edge in found.edges] == ([] if add is None else [add])


@pytest.mark.parametrize(
  ('units', 'add'), (((5, 0, 0), []), ((5, 2, 1), [16.0]), ((0, 0, 2), [16.0]))
)
def test_no_larger_beta_is_advised_where_no_unit_is_active(units, add):
  betas = (0.5, 1.0, 4.0)
  rows = grid(betas, (8,), units=lambda beta, _: units[betas.index(beta)])
  found = verdict.judge(rows, draw(np.random.default_rng(17), (9, 9, 0)), 'validation')
  assert [edge.add for edge in found.edges] == add
  # The smallest beta is, though none is active there.
  rows = grid(betas, (8,), units=lambda *_: 0)
  found = verdict.judge(rows, draw(np.random.default_rng(17), (0, 9, 9)), 'validation')
  assert [edge.add for edge in found.edges] == [0.25]


def test_what_is_said_of_one_seed_of_the_test_set_and_of_few_samples():
  rows = [{**each, 'test/low_effective_fraction': 0.2} for each in grid((1.0,), (2, 8))]
  found = verdict.judge(rows, draw(np.random.default_rng(18), (0, 0.0)), 'test')
  said = ' '.join(verdict.sentences(found))
  assert 'Chosen on the test set' in said
  assert 'One seed a point' in said
  assert 'evaluation.nll_samples' in said
  rows = grid((1.0,), (2, 8), seeds=(0, 1, 2))
  values = draw(np.random.default_rng(18), (0, 0.0), seeds=3)
  said = ' '.join(verdict.sentences(verdict.judge(rows, values, 'validation')))
  assert not any(word in said for word in ('test set', 'One seed', 'nll_samples'))
  assert '3 seeds' in said


def test_every_sentence_of_a_study_with_one_seed():
  rows = grid((1.0, 2.0), (2, 4, 8), units=lambda _, size: min(size, 4))
  rows[2]['validation/low_effective_fraction'] = 0.2
  values = draw(np.random.default_rng(0), (3.0, 0.05, 0.0, 3.1, 3.2, 3.3))
  values[0, 3] = np.nan
  found = verdict.judge(rows, values, 'validation')
  kept = np.delete(values, 3, axis=1)
  by_two = scipy.stats.sem(kept[1] - kept[2])
  assert verdict.sentences(found) == [
    'Best by NLL on the validation set: beta 1, latent size 8, '
    f'{kept[2].mean():.2f} ± {scipy.stats.sem(kept[2]):.2f} nats (± is one standard error, of 199 '
    'images).',
    f'Not told from it at 95 %: beta 1, latent size 4 (+{np.mean(kept[1] - kept[2]):.3f} ± '
    f'{by_two:.3f}); the other 4 are worse.',
    'The smallest latent size among these: 4.',
    'No collapse: the largest beta leaves as many units active as the smallest.',
    'At beta 1: a latent size above 4 adds no active unit (4 of 4 are active).',
    '1 image left out: a lane has no finite value there.',
    'One seed a point: what another seed would change is not in the error bars.',
    'Next, to tell beta 1, latent size 4 from the best: about 2,500 images in place of 199.',
    'Next: three seeds, lanes.seed=(0, 1, 2).',
    'Next: more of evaluation.nll_samples, as one sample carries the NLL of more than a tenth of '
    'the images of b1-z8-s0.',
    'Next: add lanes.beta=0.5, as the best, 1, is at the edge of the grid.',
  ]


@pytest.mark.parametrize('example', ('row', 'signal'))
def test_sentences_call_an_example_what_it_is(example):
  few = [{**each, 'test/low_effective_fraction': 0.2} for each in grid((1.0,), (2, 8))]
  close = draw(np.random.default_rng(18), (0, 0.1))
  close[0, 3] = np.nan
  lost = draw(np.random.default_rng(10), (0, 1), n=20)
  lost[1, :11] = np.nan
  for rows, values in ((few, close), (few, lost), (few, close[:, :1])):
    of_image = verdict.sentences(verdict.judge(rows, values, 'test'))
    said = verdict.sentences(verdict.judge(rows, values, 'test', example=example))
    assert said == [line.replace('image', example) for line in of_image] != of_image


def test_every_sentence_of_a_best_point_that_is_apart():
  rows = grid((0.5, 1.0, 2.0), (8,), seeds=(0, 1, 2))
  values = draw(np.random.default_rng(1), (0.0, 2.0, 4.0), seeds=3, of_seeds=0.1)
  found = verdict.judge(rows, values, 'validation')
  near = found.standings[1]
  assert near.difference == pytest.approx(values[3:6].mean() - values[:3].mean())
  assert verdict.sentences(found) == [
    f'Best by NLL on the validation set: beta 0.5, {values[:3].mean():.2f} ± '
    f'{found.standings[0].mean_stderr:.2f} nats (± is one standard error, of 200 images and 3 '
    'seeds).',
    'Every other point is worse, at 95 % for all of them together; the nearest is beta 1, '
    f'{near.difference:.2f} ± {near.stderr:.2f} nats worse.',
    'No collapse: the largest beta leaves as many units active as the smallest.',
    'Next: add lanes.beta=0.25, as the best, 0.5, is at the edge of the grid.',
  ]
